package archtest

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// graphOf builds a graph from lines "package: import import". Names with a dot
// in the first element are of the module ("./") or foreign; others are of the
// standard library.
func graphOf(lines ...string) graph {
	g := graph{}
	add := func(name string) *pkg {
		if g[name] == nil {
			first, _, _ := strings.Cut(name, "/")
			g[name] = &pkg{Name: name, Std: !strings.Contains(first, "."), Module: first == "."}
		}
		return g[name]
	}
	for _, l := range lines {
		name, imports, _ := strings.Cut(l, ":")
		p := add(name)
		for _, imp := range strings.Fields(imports) {
			add(imp)
			p.Imports = append(p.Imports, imp)
		}
	}
	return g
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		set  patterns
		name string
		want bool
	}{
		{patterns{"./fasp"}, "./fasp", true},
		{patterns{"./fasp"}, "./fasp/wire", false},
		{patterns{"./fasp/..."}, "./fasp", true},
		{patterns{"./fasp/..."}, "./fasp/wire", true},
		{patterns{"./fasp/..."}, "./fasper", false},
		{patterns{"./fasp/...", "!./fasp/transfer/..."}, "./fasp/transfer/watch", false},
		{patterns{"./fasp/...", "!./fasp/transfer/..."}, "./fasp/wire", true},
		{patterns{"std"}, "net/http", true},
		{patterns{"std"}, "golang.org/x/net", false},
		{nil, "fmt", false},
	} {
		g := graphOf(c.name + ":")
		require.Equal(t, c.want, c.set.match(c.name, g[c.name].Std), "%v of %s", c.set, c.name)
	}
}

// TestImportRules breaks each kind of import rule of the architecture, and
// keeps it in a case that looks alike.
func TestImportRules(t *testing.T) {
	for _, c := range []struct {
		name string
		g    graph
		want string // the chain reported; empty if none may be
	}{
		{"transport stays low", graphOf("./fasp: fmt ./fasp/internal/wire golang.org/x/sys/unix github.com/klauspost/reedsolomon"), ""},
		{"transport takes objstore", graphOf("./fasp: ./objstore"), "./fasp -> ./objstore"},
		{"transport takes accesskey", graphOf("./fasp: ./accesskey"), "./fasp -> ./accesskey"},
		{"transport takes cluster below", graphOf("./fasp/internal/core: ./cluster/api"), "./fasp/internal/core -> ./cluster/api"},
		{"transport takes its user", graphOf("./fasp: ./fasp/transfer"), "./fasp -> ./fasp/transfer"},
		{"transport takes SQL", graphOf("./fasp: database/sql"), "./fasp -> database/sql"},
		{"transport takes NATS", graphOf("./fasp: github.com/nats-io/nats.go"), "./fasp -> github.com/nats-io/nats.go"},
		{"transport takes viper", graphOf("./fasp: github.com/spf13/viper"), "./fasp -> github.com/spf13/viper"},
		{"transport takes minio", graphOf("./fasp: github.com/minio/minio-go/v7"), "./fasp -> github.com/minio/minio-go/v7"},
		{
			"transport reaches through another module",
			graphOf("./fasp: golang.org/x/odd", "golang.org/x/odd: github.com/a/b"), "./fasp -> golang.org/x/odd -> github.com/a/b",
		},
		{"transport links test tools", graphOf("./fasp: ./internal/simnet"), "./fasp -> ./internal/simnet"},

		{"transfer uses the core", graphOf("./fasp/transfer: ./fasp ./objstore github.com/zeebo/blake3"), ""},
		{"transfer takes a driver", graphOf("./fasp/transfer: ./objstore/s3"), "./fasp/transfer -> ./objstore/s3"},
		{
			"transfer reaches an SDK", graphOf("./fasp/transfer: ./objstore", "./objstore: github.com/minio/minio-go/v7"),
			"./fasp/transfer -> ./objstore -> github.com/minio/minio-go/v7",
		},

		{"parent takes driver", graphOf("./objstore: ./objstore/memstore"), "./objstore -> ./objstore/memstore"},
		{"driver takes parent", graphOf("./objstore/s3: ./objstore github.com/minio/minio-go/v7"), ""},
		{"driver takes another's SDK", graphOf("./objstore/gcs: github.com/minio/minio-go/v7"), "./objstore/gcs -> github.com/minio/minio-go/v7"},
		{"driver takes transfer", graphOf("./objstore/s3: ./fasp/transfer"), "./objstore/s3 -> ./fasp/transfer"},
		{"anybody takes a cloud SDK", graphOf("./cluster/provider/aws: github.com/aws/sdk"), "./cluster/provider/aws -> github.com/aws/sdk"},

		{"accounts take SQL", graphOf("./accesskey: database/sql"), "./accesskey -> database/sql"},
		{"scalekv takes its engine", graphOf("./scalekv: ./scalekv/jetstream"), "./scalekv -> ./scalekv/jetstream"},
		{"engine takes NATS", graphOf("./scalekv/jetstream: ./scalekv github.com/nats-io/nats.go", "github.com/nats-io/nats.go: github.com/minio/highwayhash"), ""},
		{"siblings", graphOf("./scalekv: ./accesskey"), "./scalekv -> ./accesskey"},
		{"autoscale only decides", graphOf("./autoscale: sort net/netip time"), ""},
		{"autoscale talks", graphOf("./autoscale: net/http"), "./autoscale -> net/http"},
		{"autoscale takes a library", graphOf("./autoscale/sim: golang.org/x/sync/errgroup"), "./autoscale/sim -> golang.org/x/sync/errgroup"},

		{"cluster joins all", graphOf("./cluster/node: ./fasp/transfer ./objstore/s3 ./accesskey ./scalekv ./autoscale github.com/prometheus/client_golang/prometheus"), ""},
		{"the API's types stand alone", graphOf("./cluster/api: net/http ./accesskey"), "./cluster/api -> ./accesskey"},
		{"the API takes SQL", graphOf("./cluster/node/nodeapi: database/sql"), "./cluster/node/nodeapi -> database/sql"},
		{"the API takes a command line", graphOf("./cluster/node/nodeapi: github.com/spf13/cobra"), "./cluster/node/nodeapi -> github.com/spf13/cobra"},
		{"the API takes its node", graphOf("./cluster/node/nodeapi: ./cluster/node"), "./cluster/node/nodeapi -> ./cluster/node"},
		{"SSH takes SQL", graphOf("./cluster/node/sshd: ./cluster/state", "./cluster/state: database/sql"), "./cluster/node/sshd -> ./cluster/state"},
		{"SSH takes a command line", graphOf("./cluster/node/sshd: github.com/spf13/pflag"), "./cluster/node/sshd -> github.com/spf13/pflag"},
		{"SSH uses what it serves", graphOf("./cluster/node/sshd: ./accesskey ./fasp/transfer golang.org/x/crypto/ssh"), ""},
		{"the API uses what it serves", graphOf("./cluster/node/nodeapi: ./cluster/api ./accesskey ./fasp/transfer ./objstore"), ""},
		{"cluster takes the command line", graphOf("./cluster: ./internal/cli"), "./cluster -> ./internal/cli"},
		{"cluster reaches viper", graphOf("./cluster: github.com/a/b", "github.com/a/b: github.com/spf13/viper"), "./cluster -> github.com/a/b -> github.com/spf13/viper"},
		{"command takes the command line", graphOf("./cmd/twcp: ./internal/cli github.com/spf13/cobra ./fasp/transfer"), ""},
		{"example takes the command line", graphOf("./examples/copy: ./internal/cli"), "./examples/copy -> ./internal/cli"},

		{"product links a test network", graphOf("./cluster/node: ./internal/wanlink"), "./cluster/node -> ./internal/wanlink"},
		{"demo links a test network", graphOf("./internal/demo: ./internal/wanlink"), ""},
		{"product links a test library", graphOf("./cluster: github.com/stretchr/testify/require"), "./cluster -> github.com/stretchr/testify/require"},
		{"metrics in a library", graphOf("./scalekv: github.com/prometheus/client_golang/prometheus"), "./scalekv -> github.com/prometheus/client_golang/prometheus"},
		{"an internal takes a database", graphOf("./internal/lab: modernc.org/sqlite"), "./internal/lab -> modernc.org/sqlite"},
		{"SQL outside its package", graphOf("./cluster/server: database/sql"), "./cluster/server -> database/sql"},
		{"SQL in its package", graphOf("./cluster/state: database/sql modernc.org/sqlite github.com/pressly/goose/v3"), ""},
		{"migrations outside their package", graphOf("./cluster/node: github.com/pressly/goose/v3"), "./cluster/node -> github.com/pressly/goose/v3"},
		{"the state store takes keys", graphOf("./cluster/state: ./accesskey"), "./cluster/state -> ./accesskey"},
		{"the state store takes the node", graphOf("./cluster/state: ./cluster/node"), "./cluster/state -> ./cluster/node"},
		{"the node takes the state store", graphOf("./cluster/node: ./cluster/state", "./cluster/state: modernc.org/sqlite"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := checkImports(c.g, architecture())
			if c.want == "" {
				require.Empty(t, found)
				return
			}
			require.NotEmpty(t, found)
			reported := false
			for _, line := range found {
				chain, reason, _ := strings.Cut(line, ": ")
				require.NotEmpty(t, reason)
				reported = reported || chain == c.want
			}
			require.True(t, reported, "%q is not among %q", c.want, found)
		})
	}
}

// TestEveryRuleHasAReason also keeps typing errors in module patterns out.
func TestEveryRuleHasAReason(t *testing.T) {
	r := architecture()
	for _, x := range r.reach {
		require.NotEmpty(t, x.Reason)
		for _, p := range x.From {
			require.True(t, strings.HasPrefix(strings.TrimPrefix(p, "!"), "./"), "%s: only packages of the module can be bound", p)
		}
	}
	for _, x := range r.importers {
		require.NotEmpty(t, x.Reason)
	}
	for _, x := range r.source {
		require.NotEmpty(t, x.Reason)
	}
	for _, x := range r.text {
		require.NotEmpty(t, x.Reason)
	}
}

func TestParseList(t *testing.T) {
	g, err := parseList([]byte(`{"ImportPath":"example.org/m/a","Imports":["C","fmt","example.org/m","example.org/mm","x"],
		"ImportMap":{"x":"vendor/x"},"Module":{"Main":true}} {"ImportPath":"fmt","Standard":true}`), "example.org/m")
	require.NoError(t, err)
	require.Equal(t, &pkg{Name: "./a", Module: true, Imports: []string{"fmt", ".", "example.org/mm", "vendor/x"}}, g["./a"])
	require.True(t, g["fmt"].Std)
	_, err = parseList([]byte(`{"ImportPath":`), "example.org/m")
	require.Error(t, err)
}

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func TestSourceRules(t *testing.T) {
	const doc = "// Package x is an example.\n"
	for _, c := range []struct {
		name, path, text string
		want             string // beginning of the line reported; empty if none may be
	}{
		{"clean", "fasp/x.go", doc + "package fasp\nfunc (t T) init() {}\ntype T int\n", ""},
		{"no comment", "fasp/x.go", "package fasp\n", "./fasp has no package comment"},
		{"detached comment", "fasp/x.go", doc + "\npackage fasp\n", "./fasp has no package comment"},
		{"command without comment", "cmd/twcp/main.go", "package main\n", "./cmd/twcp has no package comment"},
		{"init", "fasp/x.go", doc + "package fasp\nfunc init() {}\n", "fasp/x.go:3: func init"},
		{"init for one system", "fasp/x_windows.go", doc + "package fasp\nfunc init() {}\n", "fasp/x_windows.go:3: func init"},
		{"init in a command", "cmd/twcp/main.go", doc + "package main\nfunc init() {}\n", ""},
		{"init in a test", "fasp/x_test.go", "package fasp\nfunc init() {}\n", ""},
		{"environment", "objstore/s3/x.go", doc + "package s3\nimport \"os\"\nvar k = os.Getenv(\"K\")\n", "objstore/s3/x.go:4: os.Getenv"},
		{"environment by another name", "fasp/x.go", doc + "package fasp\nimport sys \"os\"\nfunc f() { _, _ = sys.LookupEnv(\"K\") }\n", "fasp/x.go:4: sys.LookupEnv"},
		{"environment by dot", "fasp/x.go", doc + "package fasp\nimport . \"os\"\nvar k = Getenv(\"K\")\n", "fasp/x.go:3: dot import of os"},
		{"environment in cli", "internal/cli/x.go", doc + "package cli\nimport \"os\"\nvar k = os.Getenv(\"K\")\n", ""},
		{"environment in another main", "internal/demo/x.go", doc + "package main\nimport \"os\"\nvar k = os.Getenv(\"K\")\n", "internal/demo/x.go:4: os.Getenv"},
		{"something else named os", "fasp/x.go", doc + "package fasp\nimport \"example.org/os\"\nvar k = os.Getenv(\"K\")\n", ""},
		{"flag", "fasp/x.go", doc + "package fasp\nimport \"flag\"\nvar v = flag.Bool(\"v\", false, \"\")\n", "fasp/x.go:4: flag.Bool"},
		{"flag set", "fasp/x.go", doc + "package fasp\nimport \"flag\"\nvar v = flag.NewFlagSet(\"\", 0)\n", ""},
		{"flag in a main", "internal/demo/x.go", doc + "package main\nimport \"flag\"\nvar v = flag.Bool(\"v\", false, \"\")\n", ""},
		{"testdata", "fasp/testdata/x.go", "package fasp\nfunc init() {}\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, err := loadSource(fstest.MapFS{c.path: file(c.text)})
			require.NoError(t, err)
			found := checkSource(all, architecture().source)
			if c.want == "" {
				require.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			require.True(t, strings.HasPrefix(found[0], c.want+": "), "%s", found[0])
		})
	}
}

func TestNestedModulesAreNotOurs(t *testing.T) {
	all, err := loadSource(fstest.MapFS{
		"tools/go.mod":      file("module example.org/tools\n"),
		"tools/x.go":        file("package tools\n"),
		"node_modules/x.go": file("package x\n"),
		"a/x.go":            file("package a\n"),
	})
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, "./a", all[0].name)
}

func TestTextRules(t *testing.T) {
	// The paths are put together here, so that this file obeys the rule.
	home, work := "/"+"home/alice/src", "/"+"work/main"
	for _, c := range []struct {
		path, text string
		bad        bool
	}{
		{"docs/x.md", "see " + home, true},
		{"docs/x.md", "first line\n" + work + "/go.mod", true},
		{"x.go", "var p = \"/" + "Users/alice/x\"", true},
		{"x.go", "var p = `C:\\" + "Users\\alice`", true},
		{"x.go", "var p = \"C:\\\\" + "Users\\\\alice\"", true},
		{".ci/run", "cd /" + "root/src", true},
		{"x.md", "file:/" + "/" + home, true},
		{"x.md", "https://example.org" + home, false},
		{"x.md", "$X" + work + " ." + work + " ~" + work, false},
		{"x.md", "/srv/data, /root and /home", false},
		{"a/testdata/x.txt", home, false},
		{".git/config", home, false},
		{"bin/twcp", home, false},
		{"image.png", "\x89PNG\x00 " + home, false},
	} {
		found, err := checkText(fstest.MapFS{c.path: file(c.text)}, architecture().text)
		require.NoError(t, err)
		require.Equal(t, c.bad, len(found) == 1, "%s: %q: %q", c.path, c.text, found)
	}
	rule := architecture().text[0]
	rule.Except = []string{"docs/x.md"}
	found, err := checkText(fstest.MapFS{"docs/x.md": file(home)}, []textRule{rule})
	require.NoError(t, err)
	require.Empty(t, found, "an excepted file")
	_, err = checkText(fstest.MapFS{}, []textRule{{Pattern: "("}})
	require.Error(t, err)
}
