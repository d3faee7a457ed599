package twcp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/cli"
)

const usage = `Usage:
  twcp [options] SRC... [user@]HOST:DEST        upload
  twcp [options] [user@]HOST:SRC... DEST        download
  twcp [options] SRC... DEST                    without a node, at least one side being a URI
  twcp [options] --mode=send|recv --host=HOST [--user=USER] SRC... DEST
  twcp ls|stat|mkdir|rm|mv|du|cat|clean TARGET  look and arrange; twcp ls --help tells more
  twcp bench [user@]HOST                        measure the path to a node; twcp bench --help tells more

Copies files and folders to or from a Tradewind node, over UDP, as fast as the path allows, and goes on by itself after a
lost link. The same command, given again after an interruption, resumes. SRC and DEST on this side may be URIs of places in
object stores, such as s3://host/bucket/key, faux:///name?1g (made-up data) or stdio:// (standard input or output); a local
file with the name of a command is written ./ls.

Credentials come from the environment: ASPERA_SCP_TOKEN="Basic BASE64(ID:SECRET)" with an access key of the node,
"Bearer TOKEN" of an application, or a transfer token that a node has made. Without it, an account of the node logs in by SSH:
ASPERA_SCP_PASS has its password, or else ASPERA_SCP_KEY its private key or -i the file of it, whose passphrase is in ASPERA_SCP_PASS.
With --ws-connect, a token or the password of an account is shown to the node over WebSocket and TLS instead, where a firewall lets nothing
else pass. Its certificate must be signed by one whom this system, or the file of -i, trusts, or its key is kept when it is seen first.

Rates are kbit/s, or carry K, M or G: -l 300M. They count IP packets, everything included.

Filters: a -N or -E pattern without / is matched with the last element of a path, one that begins with / with the whole path below the
destination, any other with the path's end; * stops at /, ** does not, a pattern that ends in / is for folders. The first match
among all -N and -E decides, and what none matches is included: -N alone changes nothing, it exempts from a later -E.

The exit code is 0 when everything is there and confirmed, and 1 otherwise; the last line of --json tells the cause by the product's error code.

Options:
`

const differences = `
Where this differs from ascp:
  - Without -l there is no default rate: the rate is found, up to what the server grants.
  - -k is 2 where nothing is said, and 2 compares content where times differ, so that an unchanged file is not sent again.
  - SSH serves to log in only, at -P 33001 where nothing else is said; with ASPERA_SCP_TOKEN there is none. So does --ws-connect, at -P 9093.
  - The cipher is always GCM: -c aes128-cfb and the like mean the key size, and the content is authenticated even with -T.
  - The progress display is for terminals; --progress=always shows it elsewhere, and --json tells machines more.
`

// options are the command line as it was read.
type options struct {
	help, version bool

	mode, host, user string
	udpPort, tcpPort int
	wsConnect        bool
	wssPort          int // where a specification says that there is WebSocket; 0 is nowhere
	dest64           bool

	target, min string // rates
	policy      string
	adaptive    int // -Q

	resume     int
	overwrite  string
	createDir  bool
	preserve   bool
	filters    []transfer.Filter
	symlinks   string
	srcBase    string
	srcBase64  string
	prefix     string // --source-prefix
	prefix64   string
	fileList   string
	pairList   string
	checksum   string
	durability string

	compression string

	partSize   string
	partMemory string

	noEncryption bool
	cipher       string
	datagram     int

	readSize, writeSize string

	quiet, json bool
	progress    string
	verbose     int
	logDir      string
	profile     string
	sessions    int
	part        string // -C
	split       string // --multi-session-threshold

	fingerprint   string
	checkSSHFP    string
	fixedPort     bool // the UDP port was given elsewhere than by -O
	ignoreHostKey bool
	knownHosts    string
	retryTimeout  string
	idleTimeout   string
	earlyData     bool

	managePort int    // -M; 0 is none
	userString string // -u
	tags       string
	tags64     string
	fallback   string // -y
	// What only the fallback over HTTPS would need.
	fallbackKey, fallbackCert string
	fallbackPort              int

	manager *manager // nil without -M

	spec  string // --spec
	notes []transfer.SpecNote
	flags *pflag.FlagSet

	keyFile string
	token   string // refused

	args   []string // what is left: sources and destination
	direct bool     // they name no node; see route
}

// flagSet declares the options.
func flagSet(o *options) *pflag.FlagSet {
	f := pflag.NewFlagSet("twcp", pflag.ContinueOnError)
	f.SortFlags = false
	f.StringVar(&o.spec, "spec", "", "`file` with a transfer specification in JSON, in place of sources, destination and the options about them; - is standard input. Fields that have no effect are told on standard error")
	f.StringVar(&o.mode, "mode", "", "`direction` send or recv; all paths are then bare, and --host is needed")
	f.StringVar(&o.host, "host", "", "the remote `host`, with --mode")
	f.StringVar(&o.user, "user", "", "the remote `user`, with --mode")
	f.IntVarP(&o.udpPort, "udp-port", "O", 33001, "UDP `port` of the node")
	f.IntVarP(&o.tcpPort, "tcp-port", "P", 33001, "TCP `port` of SSH, for accounts, or of WebSocket")
	f.BoolVar(&o.wsConnect, "ws-connect", false, "get a ticket over WebSocket and TLS, at -P 9093 where nothing else is said, with a token or the password of an account")
	f.StringVarP(&o.target, "target-rate", "l", "", "target `rate`, above 0; without it the rate is found, up to the server's grant")
	f.StringVarP(&o.min, "min-rate", "m", "", "minimum `rate` under congestion")
	f.StringVar(&o.policy, "policy", "", "rate `policy` fixed, high, fair or low (default fair); fixed needs -l")
	countVar(f, &o.adaptive, "adaptive", "Q", "older form: -Q is --policy=fair, -QQ is --policy=low")
	f.IntVarP(&o.resume, "resume", "k", 2, "resume `level`: 0 send all again; 1 compare size and time; 2 also a sample of the content; 3 all content")
	f.StringVar(&o.overwrite, "overwrite", "diff", "`when` files that exist are replaced: never, always, diff, older, diff+older")
	f.BoolVarP(&o.createDir, "create-dir", "d", false, "the destination is a folder and is made if needed")
	f.BoolVarP(&o.preserve, "preserve-times", "p", false, "keep modification and access times")
	f.VarP(filterFlag{o, false}, "include", "N", "include what matches `pattern`; the first match among all -N and -E decides")
	f.VarP(filterFlag{o, true}, "exclude", "E", "exclude what matches `pattern`")
	f.StringVar(&o.symlinks, "symbolic-links", "follow", "`how` links in the source are treated: follow, copy, copy+force, skip")
	f.StringVar(&o.srcBase, "src-base", "", "cut this `path` off the sources and keep the rest of their paths")
	f.StringVar(&o.srcBase64, "src-base64", "", "the same in `base64`")
	f.StringVar(&o.prefix, "source-prefix", "", "put this `path` in front of each source")
	f.StringVar(&o.prefix64, "source-prefix64", "", "the same in `base64`")
	f.StringVar(&o.fileList, "file-list", "", "`file` with a source on each line, as it is, blanks included, that ends in a line feed; empty lines are left out. - is standard input")
	f.StringVar(&o.pairList, "file-pair-list", "", "`file` with source and destination on alternating lines")
	f.StringVar(&o.checksum, "file-checksum", "none", "`digest` to report for each file: md5, sha1, sha-256, sha-384, sha-512, none")
	f.StringVar(&o.durability, "durability", "auto", "`when` files are safe on disk: file (each before it counts), session (in batches), none (not waited for), auto (file for one file, session for more)")
	f.IntVar(&o.sessions, "sessions", 0, "`number` of sessions, 1 to 64, that carry the data of a transfer, each by a processor of its own at both ends; rates are of all together; 0 is one, and more where one takes all of a processor")
	f.StringVarP(&o.part, "multi-session", "C", "", "`I:N`: copy only part I of the N parts of the files, the rest being copied by other commands, here or on other machines, that differ in I; every file belongs to one part")
	f.StringVar(&o.split, "multi-session-threshold", "", "with -C: files of at least this many `bytes` (K, M, G are powers of 1024) are divided among the N commands, each of which sends a stretch; such a file has its name when the last stretch is there. All commands need the same threshold. Not into object stores, where --sessions does it; 0 is never")
	f.StringVar(&o.compression, "compression", "auto", "`when` data is compressed on its way: auto (where the transfer becomes faster), off, always; a node may decline")
	f.StringVar(&o.partSize, "part-size", "64M", "`bytes` of the parts in which objects in a store are written; K, M, G are powers of 1024")
	f.StringVar(&o.partMemory, "part-memory", "", "most `bytes` of parts in memory at a time (default 9 parts)")
	f.BoolVarP(&o.noEncryption, "no-encryption", "T", false, "do not encrypt file content on the wire; it is authenticated all the same")
	f.StringVarP(&o.cipher, "cipher", "c", "aes128", "`cipher` aes128, aes192, aes256, none")
	f.IntVarP(&o.datagram, "datagram-size", "Z", 0, "`bytes` of an IP datagram, 1228 to 65535 (default 1500, and up to 9000 where the path takes it)")
	f.StringVarP(&o.readSize, "read-size", "g", "", "`bytes` of a source file that are read at a time, 16K to 4M, on whichever side it is (default a block, 128K or more)")
	f.StringVarP(&o.writeSize, "write-size", "G", "", "most `bytes` of a destination file that are written at a time, 16K to 4M: blocks that are already there go together, and larger ones in pieces (default a block)")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no progress display and no summary")
	f.BoolVar(&o.json, "json", false, "print a JSON object for every event, and a last one with the result")
	f.StringVar(&o.progress, "progress", "auto", "`when` the progress line is shown: auto (standard output is a terminal), always, never")
	countVar(f, &o.verbose, "verbose", "v", "say on standard error what happens: sessions, retries, failed files; twice: every file and more")
	countVar(f, &o.verbose, "debug", "D", "the same")
	f.StringVarP(&o.logDir, "log-dir", "L", "", "`folder` for the log file twcp.log, made if needed; - logs on standard error; -v as well: every file and more")
	f.StringVar(&o.profile, "profile", "", cli.ProfileHelp)
	f.StringVar(&o.fingerprint, "fingerprint", "", "the node's key must be this one, `sha256:HEX`")
	f.StringVar(&o.checkSSHFP, "check-sshfp", "", "for accounts, the key of the SSH host must be this one, `SHA256:BASE64` or 64 hexadecimal digits; over WebSocket, that of the certificate")
	f.BoolVar(&o.ignoreHostKey, "ignore-host-key", false, "accept any key: whoever answers can read and change what you send")
	f.StringVar(&o.knownHosts, "known-hosts", "", "`file` of keys accepted before (default known_hosts in the user's configuration folder)")
	f.StringVar(&o.retryTimeout, "retry-timeout", "600", "`seconds` to go on trying while nothing moves, or with a unit: 10m; 0 never tries again. A node that does not answer at all is given up after 15 s at most")
	f.BoolVar(&o.earlyData, "early-data", true, "begin a round trip sooner at nodes that gave a ticket; --early-data=false never does")
	f.StringVar(&o.idleTimeout, "idle-timeout", "30", "`seconds` of silence after which a link counts as lost, 1 to 86400, or with a unit")
	f.StringVar(&o.tags, "tags", "", "`object` in JSON that is kept with the transfer on both sides; aspera.node.file_id in it is the id of the folder at the node that its paths are below, and aspera.xfer_retry is in place of --retry-timeout")
	f.StringVar(&o.tags64, "tags64", "", "the same in `base64`")
	f.IntVarP(&o.managePort, "management-port", "M", 0, "TCP `port` of 127.0.0.1 at which an application follows and steers this transfer (docs/management-port.md)")
	f.StringVarP(&o.userString, "user-string", "u", "", "`text` by which that application knows the transfer")
	f.StringVarP(&o.fallback, "http-fallback", "y", "0", "0, or 1 for a fallback over HTTPS where UDP does not pass, which is not offered yet: it is said, and only UDP is tried")
	f.StringVarP(&o.fallbackKey, "fallback-key", "Y", "", "a `file` that the fallback would need; no effect")
	f.StringVarP(&o.fallbackCert, "fallback-cert", "I", "", "a `file` that the fallback would need; no effect")
	f.IntVarP(&o.fallbackPort, "fallback-port", "t", 0, "a `port` that the fallback would need; no effect")
	f.BoolVar(&o.dest64, "dest64", false, "the destination is given in base64")
	f.StringVarP(&o.keyFile, "private-key", "i", "", "private key `file` of an account; not used with a token. With --ws-connect, certificates of those who alone may sign the node's, in PEM")
	f.StringVarP(&o.token, "token", "W", "", "refused: a `token` belongs into the variable ASPERA_SCP_TOKEN")
	f.BoolVarP(&o.version, "version", "A", false, "print the version")
	f.BoolVarP(&o.help, "help", "h", false, "print this text")
	return f
}

// countFlag is an option without a value that is counted. It says that it is a bool, so that the help shows no value for it.
type countFlag struct{ n *int }

func (c countFlag) String() string { return "0" }
func (c countFlag) Type() string   { return "bool" }
func (c countFlag) Set(s string) error {
	if s == "true" {
		*c.n++
		return nil
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return errors.New("want a number")
	}
	*c.n = int(n)
	return nil
}

func countVar(f *pflag.FlagSet, n *int, name, short, usage string) {
	f.VarPF(countFlag{n}, name, short, usage).NoOptDefVal = "true"
}

// filterFlag collects -N and -E in the order of the command line.
type filterFlag struct {
	o       *options
	exclude bool
}

func (f filterFlag) String() string { return "" }
func (f filterFlag) Type() string   { return "pattern" }
func (f filterFlag) Set(s string) error {
	if s == "" {
		return errors.New("the pattern is empty")
	}
	f.o.filters = append(f.o.filters, transfer.Filter{Exclude: f.exclude, Pattern: s})
	return nil
}

// parseArgs reads a command line.
func parseArgs(args []string) (*options, error) {
	o := &options{}
	f := flagSet(o)
	o.flags = f
	f.Usage = func() {}
	if err := f.Parse(normalise(args)); err != nil {
		return o, usageText(err)
	}
	o.args = f.Args()
	if o.token != "" {
		o.token = ""
		return o, usagef("a secret on the command line can be read by every user of this machine; put the token into the environment variable %s instead of -W", tokenVariable)
	}
	return o, nil
}

// usageText takes the secret out of what pflag says about -W, and names options of the product that are not offered yet.
func usageText(err error) error {
	var value *pflag.InvalidValueError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &value) && value.GetFlag().Name == "token":
		return usagef("-W: give the token in the environment variable %s", tokenVariable)
	case errors.As(err, &unknown):
		name := "-" + unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() == "" {
			name = "-" + name
		}
		if later(name) {
			return usagef("option %s is not offered yet", name)
		}
		return usagef("unknown option %s", name)
	}
	return usagef("%w", err)
}

// later says whether the product has an option of this name that this version lacks.
func later(name string) bool {
	switch name {
	case "-6", "-K", "-R", "-S", "-X", "-@", "-e", "-f", "-w", "-x",
		"--apply-local-docroot", "--delete-before-transfer", "--exclude-newer-than", "--exclude-older-than",
		"--fail-bad-filepass", "--file-crypt", "--file-manifest", "--file-manifest-inprogress-suffix", "--file-manifest-path", "--keepalive",
		"--move-after-transfer", "--partial-file-suffix", "--precalculate-disable", "--precalculate-job-size",
		"--preserve-access-time", "--preserve-acls", "--preserve-creation-time", "--preserve-file-owner-gid", "--preserve-file-owner-uid",
		"--preserve-modification-time", "--preserve-source-access-time", "--preserve-xattrs", "--proxy", "--remote-preserve-acls",
		"--remote-preserve-xattrs", "--remove-after-transfer", "--remove-empty-directories", "--remove-empty-source-directory", "--remove-skipped",
		"--save-before-overwrite", "--skip-dir-traversal-dupes", "--skip-special-files", "--ssh-arg":
		return true
	}
	return false
}

func usagef(format string, args ...any) error {
	return &transfer.Error{Code: transfer.CodeUsage, Err: fmt.Errorf(format, args...)}
}

// normalise changes what the option parser cannot read the way that ascp does: ascli passes a literal "true" behind -p. It always uses
// --mode; otherwise true is a file name.
func normalise(args []string) []string {
	mode := false
	for _, a := range args {
		mode = mode || a == "--mode" || strings.HasPrefix(a, "--mode=")
	}
	var out []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			return append(out, args[i:]...)
		}
		out = append(out, a)
		if mode && a == "-p" && i+1 < len(args) && args[i+1] == "true" {
			i++
		}
	}
	return out
}

// parseSeconds reads seconds, or a duration with its unit.
func parseSeconds(option, s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if n, nerr := strconv.ParseFloat(s, 64); nerr == nil && n >= 0 && n < 1e9 {
		d, err = time.Duration(n*float64(time.Second)), nil
	}
	if err != nil || d < 0 {
		return 0, usagef("--%s %q: want a number of seconds", option, s)
	}
	return d, nil
}
