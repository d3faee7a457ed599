package archtest

// reachRule bounds what a set of packages may import, directly or through
// others. Use Only, or Never, or both.
type reachRule struct {
	From   patterns // the packages bound
	Only   patterns // if not empty, all they may reach, themselves included
	Never  patterns // what they may not reach even so
	Reason string
}

// importerRule bounds who may import a set of packages directly. Members of
// the set may always import each other.
type importerRule struct {
	Packages patterns
	From     patterns
	Reason   string
}

// sourceRule bounds what source files of a set of packages may do.
type sourceRule struct {
	Except patterns // every other package of the module is bound
	Mains  bool     // commands are excepted too, wherever they stand
	Check  sourceCheck
	Reason string
}

// textRule bounds what any file outside testdata may say.
type textRule struct {
	Except  []string // files, by path below the repository's root
	Pattern string   // regular expression of what is not allowed
	Reason  string
}

// rules is everything that is checked.
type rules struct {
	reach     []reachRule
	importers []importerRule
	source    []sourceRule
	text      []textRule
}

// Families of packages outside the module that more than one rule names.
var (
	minioPackages   = patterns{"github.com/minio/minio-go/..."}
	azurePackages   = patterns{"github.com/Azure/..."}
	swiftPackages   = patterns{"github.com/ncw/swift/..."}
	hdfsPackages    = patterns{"github.com/colinmarc/hdfs/..."}
	unusedCloudSDKs = patterns{
		"github.com/aws/...", "cloud.google.com/...", "google.golang.org/api/...", "github.com/softlayer/...",
	}
	storageSDKs = join(minioPackages, azurePackages, swiftPackages, hdfsPackages, unusedCloudSDKs)

	sqlPackages = patterns{
		"database/sql/...", "modernc.org/...", "github.com/go-sql-driver/mysql/...", "github.com/jackc/...", "github.com/pressly/goose/...",
	}
	// google/uuid, which minio-go links, implements the interfaces of database/sql/driver without a database.
	sqlEngines   = patterns{"database/sql", "modernc.org/...", "github.com/go-sql-driver/mysql/...", "github.com/jackc/...", "github.com/pressly/goose/..."}
	natsPackages = patterns{"github.com/nats-io/..."}
	webPackages  = patterns{ // and what watches services
		"github.com/danielgtaylor/huma/...", "github.com/prometheus/...", "go.opentelemetry.io/...", "./internal/webui/...",
	}
	commandPackages = patterns{"github.com/spf13/cobra/...", "github.com/spf13/viper/...", "github.com/spf13/pflag/...", "./internal/cli/..."}
)

// architecture returns the rules of this repository.
func architecture() rules {
	return rules{
		reach: []reachRule{
			{
				From:   patterns{"./fasp/...", "!./fasp/transfer/...", "!./fasp/internal/vlab/..."},
				Only:   patterns{"std", "./fasp/...", "!./fasp/transfer/...", "golang.org/x/...", "github.com/klauspost/..."},
				Never:  sqlPackages,
				Reason: "the transport is the lowest layer: a program that imports it gets the standard library, golang.org/x and klauspost, and no files, storage or accounts",
			},
			{
				From: patterns{"./fasp/transfer/..."},
				Only: patterns{
					"std", "./fasp/...", "./objstore", "./objstore/internal/...", "./internal/fdctl", "golang.org/x/...", "github.com/klauspost/...",
					"github.com/cenkalti/backoff/...", "github.com/zeebo/blake3/...",
				},
				Never:  sqlPackages,
				Reason: "transfers use the transport and the core of objstore only: a program that imports them links no storage SDK, SQL, NATS or web UI",
			},
			{
				From:   patterns{"./objstore", "./objstore/internal/..."},
				Only:   patterns{"std", "./objstore", "./objstore/internal/...", "golang.org/x/...", "github.com/klauspost/...", "github.com/cenkalti/backoff/..."},
				Never:  sqlPackages,
				Reason: "a parent never imports its drivers, and the core of objstore carries no SDK",
			},
			{
				From:   patterns{"./objstore/...", "!./objstore"},
				Never:  join(natsPackages, sqlEngines, webPackages, commandPackages, aboveStorage),
				Reason: "a storage driver knows its service and objstore, and nothing of transfers, accounts or clusters",
			},
			{
				From:   patterns{"./accesskey/..."},
				Only:   patterns{"std", "./accesskey/...", "golang.org/x/..."},
				Never:  sqlPackages,
				Reason: "accesskey declares the Store it needs; whoever owns a database adapts",
			},
			{
				From:   patterns{"./scalekv"},
				Never:  join(patterns{"./scalekv/jetstream/..."}, natsPackages),
				Reason: "a parent never imports its driver: the engine is given to it",
			},
			{
				From: patterns{"./scalekv/..."},
				Never: join(storageSDKs, sqlPackages, webPackages, commandPackages, patterns{
					"./fasp/...", "./objstore/...", "./accesskey/...", "./autoscale/...", "./cluster/...",
				}),
				Reason: "top-level packages do not import each other; cluster joins them",
			},
			{
				From:   patterns{"./autoscale/..."},
				Only:   patterns{"std", "./autoscale/..."},
				Never:  join(sqlPackages, patterns{"net", "net/http/...", "os/exec"}),
				Reason: "autoscale decides and does no I/O: same input, same decision",
			},
			{
				From:   patterns{"./cluster/..."},
				Never:  join(commandPackages, patterns{"./examples/..."}),
				Reason: "cluster and its node are importable: configuration reaches them as values, not through a command line",
			},
			{
				From:   patterns{"./cluster/state/..."},
				Never:  join(storageSDKs, natsPackages, webPackages, patterns{"./...", "!./cluster/state/..."}),
				Reason: "the state store keeps rows and knows nothing of what they mean: transfers, keys and nodes are adapted to it above",
			},
			{
				From:   patterns{"./cluster/api/..."},
				Only:   patterns{"std", "./cluster/api/..."},
				Never:  sqlPackages,
				Reason: "a program that asks a node for something links nothing else of this module",
			},
			{
				From:   patterns{"./cluster/node/nodeapi/..."},
				Never:  join(sqlEngines, natsPackages, storageSDKs, patterns{"./cluster/node"}),
				Reason: "the API asks for keys, places and grants through interfaces: no database, no SDK, and not the node that serves it",
			},
			{
				From:   patterns{"./cluster/node/logins/..."},
				Only:   patterns{"std", "./cluster/node/logins/...", "./accesskey/...", "golang.org/x/..."},
				Never:  sqlPackages,
				Reason: "who logs in is asked through an interface: every server of logins can use it, and it needs no transfers and no database",
			},
			{
				From:   patterns{"./cluster/node/sshd/..."},
				Never:  join(sqlEngines, natsPackages, storageSDKs, webPackages, patterns{"./cluster/node", "./cluster/state/..."}),
				Reason: "SSH asks for accounts, places and tickets through interfaces: no database, no SDK, no HTTP framework, and not the node that serves it",
			},
			{
				From:   patterns{"./cluster/node/wsd/..."},
				Never:  join(sqlEngines, natsPackages, storageSDKs, webPackages, patterns{"./cluster/node", "./cluster/node/sshd/...", "./cluster/state/..."}),
				Reason: "WebSocket asks for keys, accounts and tickets through interfaces: no database, no SDK, no HTTP framework, and not the node that serves it",
			},
			{
				From:   patterns{"./internal/...", "!./internal/cli/...", "!./internal/demo/...", "!./internal/wanlink/cmd/..."},
				Never:  join(commandPackages, sqlEngines, patterns{"./cluster/..."}),
				Reason: "shared internals lie below the products and know no command line and no database",
			},
		},
		importers: []importerRule{
			{
				Packages: patterns{"./internal/cli/..."},
				From:     patterns{"./cmd/..."},
				Reason:   "internal/cli is for commands only",
			},
			{
				Packages: patterns{
					"./internal/simnet/...", "./internal/wanlink/...", "./internal/leaktest/...", "./internal/testlog/...", "./internal/testservers/...", "./internal/archtest/...",
					"./internal/faultproxy/...", "./internal/apitest/...", "./cluster/node/internal/apibed/...", "./objstore/storetest/...", "./fasp/internal/vlab/...",
				},
				From:   patterns{"./internal/demo/...", "./bench/...", "./fasp/internal/vlab/..."},
				Reason: "what tests, benchmarks and the demo use must not be linked into products",
			},
			{
				Packages: patterns{"github.com/spf13/cobra/...", "github.com/spf13/viper/..."},
				From:     patterns{"./cmd/...", "./internal/cli/...", "./internal/demo/...", "./internal/wanlink/cmd/...", "./bench/..."},
				Reason:   "command lines and configuration files belong to commands; libraries take values",
			},
			{
				Packages: natsPackages,
				From:     patterns{"./scalekv/jetstream/...", "./cluster/...", "./cmd/..."},
				Reason:   "NATS is an engine behind scalekv, replaceable",
			},
			{
				Packages: sqlPackages,
				From:     patterns{"./cluster/state/...", "./cmd/..."},
				Reason:   "one package owns the database and its SQL",
			},
			{
				Packages: webPackages,
				From:     patterns{"./cluster/...", "./cmd/..."},
				Reason:   "metrics, HTTP frameworks and web pages are linked by cluster and cmd only",
			},
			{
				Packages: minioPackages,
				From:     patterns{"./objstore/s3/...", "./cluster/provider/aws/...", "./internal/testservers/...", "./bench/..."}, // the provider for its request signer, a benchmark to compare with
				Reason:   "each storage SDK has one driver that knows it",
			},
			{
				Packages: azurePackages,
				From:     patterns{"./objstore/azblob/..."},
				Reason:   "each storage SDK has one driver that knows it",
			},
			{
				Packages: swiftPackages,
				From:     patterns{"./objstore/swift/..."},
				Reason:   "each storage SDK has one driver that knows it",
			},
			{
				Packages: hdfsPackages,
				From:     patterns{"./objstore/hdfs/..."},
				Reason:   "each storage SDK has one driver that knows it",
			},
			{
				Packages: unusedCloudSDKs,
				Reason:   "clouds are reached by small clients of our own; their SDKs serve as test oracles in nested modules",
			},
			{
				Packages: patterns{"github.com/santhosh-tekuri/jsonschema/..."},
				From:     patterns{"./internal/apitest/..."},
				Reason:   "schemas are validated in tests; what a node takes is checked by the code that takes it",
			},
			{
				Packages: patterns{"github.com/stretchr/testify/...", "github.com/rogpeppe/go-internal/testscript/..."},
				From:     patterns{"./objstore/storetest/...", "./internal/leaktest/...", "./internal/testservers/...", "./cluster/node/internal/apibed/..."},
				Reason:   "test libraries are for tests and test suites",
			},
		},
		source: []sourceRule{
			{
				Check:  packageDoc,
				Reason: "a package says what it is for",
			},
			{
				Except: patterns{"./cmd/...", "./internal/cli/..."},
				Check:  noInit,
				Reason: "nothing happens because a package was imported",
			},
			{
				Except: patterns{"./cmd/...", "./internal/cli/...", "./internal/testservers"}, // tests ask the last what must be there
				Check:  noEnvironment,
				Reason: "a library is configured by values, so that two with different settings live in one process",
			},
			{
				Except: patterns{"./cmd/...", "./internal/cli/..."},
				Mains:  true,
				Check:  noGlobalFlags,
				Reason: "the command line belongs to the command",
			},
		},
		text: []textRule{
			{
				// A home folder, or the folder that build machines work in. What stands
				// before it must not be a name, which would make it a relative path or a URL.
				Pattern: `(?:^|[^\w.\-*~}\])])(?:/(?:home|Users|root|work)/[\w.]|[A-Za-z]:\\+Users\\+\w)`,
				Reason:  "the path exists on one machine only",
			},
		},
	}
}

// aboveStorage are the layers that storage knows nothing of.
var aboveStorage = patterns{"./fasp/...", "./accesskey/...", "./scalekv/...", "./autoscale/...", "./cluster/..."}

// join returns the union of sets that contain no "!" patterns.
func join(sets ...patterns) patterns {
	var all patterns
	for _, s := range sets {
		all = append(all, s...)
	}
	return all
}
