package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"github.com/tradewind-io/tradewind/internal/cli"
	"github.com/tradewind-io/tradewind/internal/cli/twnode"
	"github.com/tradewind-io/tradewind/internal/testlog"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"twcp": main, "twnode": func() { cli.Main(twnode.Run) }})
}

// TestScripts runs the programs over loopback. Beside testscript's own commands there are:
//
//	node NAME [FLAGS]         starts twnode serve on NAME.root and NAME.state, waits until it is ready, sets PORT and FP
//	                          (a second start of the same NAME takes the same port), with --ssh SSHPORT and SSHFP, with --wss WSSPORT and WSSFP
//	sshkey NAME [PASSPHRASE]  makes a private key NAME and the public one NAME.pub, and sets KEY to the private one
//	signal NAME SIGNAL        sends kill, term or int to a node or client started in the background
//	ended NAME CODE           waits for its end and checks its exit code (killed: -1); its output becomes NAME.out and NAME.err
//	client NAME [FLAGS]       starts twcp --json in the background
//	until NAME FILE           waits until FILE exists, looking at every event of the client NAME
//	file NAME SIZE            makes a file of random bytes
//	oddtree DIR               makes a tree of files with odd names
//	samedir A B               compares two trees
//	token                     makes ASPERA_SCP_TOKEN of the access key ID:SECRET that the last command printed
//	ascp [-on TYPE COMMAND] ARGS...  runs twcp as a program that drives ascp does, see cmdASCP
//	b64 NAME TEXT             sets NAME to the base64 form of TEXT
//	fileid NAME PATH          sets NAME to the id of a folder below the place of the key in ASPERA_SCP_TOKEN
//	result KEY OP VALUE       compares a field of the last JSON line on stdout (or of NAME.out) with =, > or <
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Values[worldKey{}] = &world{procs: map[string]*proc{}, ports: map[string]string{}}
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("TWNODE_BOOTSTRAP_KEY", "demo:0123456789abcdef0123456789abcdef")
			e.Setenv("ASPERA_SCP_TOKEN", "Basic ZGVtbzowMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg==")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"node": cmdNode, "signal": cmdSignal, "ended": cmdEnded, "client": cmdClient, "until": cmdUntil,
			"file": cmdFile, "oddtree": cmdOddTree, "samedir": cmdSameDir, "result": cmdResult, "token": cmdToken, "spec": cmdSpec, "sshkey": cmdSSHKey,
			"ascp": cmdASCP, "b64": cmdB64, "fileid": cmdFileID,
		},
	})
}

type worldKey struct{}

// world is what runs in the background of one script.
type world struct {
	procs map[string]*proc
	ports map[string]string
}

type proc struct {
	cmd            *exec.Cmd
	stdout, stderr testlog.Buffer
	lines          chan string // of stdout; closed at its end
	ended          chan struct{}
}

func the(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// start runs a program in the background.
func start(ts *testscript.TestScript, name, program string, args ...string) *proc {
	path, err := exec.LookPath(program)
	ts.Check(err)
	p := &proc{cmd: exec.Command(path, args...), lines: make(chan string, 1<<16), ended: make(chan struct{})}
	p.cmd.Dir = ts.MkAbs(".")
	p.cmd.Env = os.Environ()
	for _, v := range []string{"HOME", "TWNODE_BOOTSTRAP_KEY", "ASPERA_SCP_TOKEN"} {
		p.cmd.Env = append(p.cmd.Env, v+"="+ts.Getenv(v))
	}
	for _, v := range []string{"TWNODE_SSH_USER", "ASPERA_SCP_PASS", "ASPERA_SCP_COOKIE"} { // which must not be empty
		if text := ts.Getenv(v); text != "" {
			p.cmd.Env = append(p.cmd.Env, v+"="+text)
		}
	}
	p.cmd.Stderr = &p.stderr
	pipe, err := p.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(p.cmd.Start())
	go func() {
		defer close(p.ended)
		in := bufio.NewScanner(pipe)
		in.Buffer(nil, 1<<20)
		for in.Scan() {
			fmt.Fprintln(&p.stdout, in.Text())
			p.lines <- in.Text()
		}
		close(p.lines)
		_ = p.cmd.Wait()
	}()
	ts.Defer(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		ts.Logf("[%s stderr]\n%s", name, p.stderr.String())
	})
	the(ts).procs[name] = p
	return p
}

func find(ts *testscript.TestScript, args []string, n int) *proc {
	if len(args) < n {
		ts.Fatalf("want %d arguments", n)
	}
	p := the(ts).procs[args[0]]
	if p == nil {
		ts.Fatalf("nothing was started under the name %s", args[0])
	}
	return p
}

func cmdNode(ts *testscript.TestScript, _ bool, args []string) {
	name, w := args[0], the(ts)
	ts.Check(os.MkdirAll(ts.MkAbs(name+".root"), 0o755))
	listen := "127.0.0.1:0"
	if port := w.ports[name]; port != "" {
		listen = "127.0.0.1:" + port
	}
	p := start(ts, name, "twnode", append([]string{"serve", "--docroot", name + ".root", "--state", name + ".state", "--listen", listen, "--log-level", "debug"}, args[1:]...)...)
	line, ok := <-p.lines
	if !ok {
		<-p.ended
		ts.Fatalf("%s was not ready: %s", name, p.stderr.String())
	}
	var ready struct {
		Addresses      []string
		Fingerprint    string
		SSH            string
		SSHFingerprint string `json:"ssh_fingerprint"`
		WSS            string
		WSSFingerprint string `json:"wss_fingerprint"`
		API            string
	}
	ts.Check(json.Unmarshal([]byte(line), &ready))
	_, port, err := net.SplitHostPort(ready.Addresses[0])
	ts.Check(err)
	w.ports[name] = port
	ts.Setenv("PORT", port)
	ts.Setenv("FP", ready.Fingerprint)
	ts.Setenv("API", ready.API)
	ts.Setenv("CERT", ts.MkAbs(filepath.Join(name+".state", "api.crt")))
	for _, s := range []struct{ name, addr, fingerprint string }{{"SSH", ready.SSH, ready.SSHFingerprint}, {"WSS", ready.WSS, ready.WSSFingerprint}} {
		if s.addr == "" {
			continue
		}
		_, port, err = net.SplitHostPort(s.addr)
		ts.Check(err)
		ts.Setenv(s.name+"PORT", port)
		ts.Setenv(s.name+"FP", s.fingerprint)
	}
}

// cmdSSHKey makes a key pair: sshkey NAME [PASSPHRASE].
func cmdSSHKey(ts *testscript.TestScript, _ bool, args []string) {
	public, private, err := ed25519.GenerateKey(nil)
	ts.Check(err)
	block, err := ssh.MarshalPrivateKey(private, "")
	if len(args) > 1 {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(args[1]))
	}
	ts.Check(err)
	key, err := ssh.NewPublicKey(public)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(block), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pub"), ssh.MarshalAuthorizedKey(key), 0o644))
	ts.Setenv("KEY", string(pem.EncodeToMemory(block)))
}

// cmdToken puts what the last command printed into ASPERA_SCP_TOKEN: an access key, or a transfer token.
func cmdToken(ts *testscript.TestScript, _ bool, _ []string) {
	key := strings.TrimSpace(ts.ReadFile("stdout"))
	if strings.HasPrefix(key, "ATM_") {
		ts.Setenv("ASPERA_SCP_TOKEN", key)
		return
	}
	if !strings.Contains(key, ":") {
		ts.Fatalf("the last command printed no access key")
	}
	ts.Setenv("ASPERA_SCP_TOKEN", "Basic "+base64.StdEncoding.EncodeToString([]byte(key)))
}

func cmdClient(ts *testscript.TestScript, _ bool, args []string) {
	start(ts, args[0], "twcp", append([]string{"--json"}, args[1:]...)...)
}

func cmdSignal(ts *testscript.TestScript, _ bool, args []string) {
	p := find(ts, args, 2)
	sig, ok := map[string]os.Signal{"kill": syscall.SIGKILL, "term": syscall.SIGTERM, "int": os.Interrupt}[args[1]]
	if !ok {
		ts.Fatalf("unknown signal %s", args[1])
	}
	ts.Check(p.cmd.Process.Signal(sig))
}

func cmdEnded(ts *testscript.TestScript, _ bool, args []string) {
	p := find(ts, args, 2)
	<-p.ended
	if got := strconv.Itoa(p.cmd.ProcessState.ExitCode()); got != args[1] {
		ts.Fatalf("%s ended with %s; stderr: %s", args[0], got, p.stderr.String())
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".out"), []byte(p.stdout.String()), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".err"), []byte(p.stderr.String()), 0o644))
}

func cmdUntil(ts *testscript.TestScript, _ bool, args []string) {
	p := find(ts, args, 2)
	for range p.lines {
		if _, err := os.Stat(ts.MkAbs(args[1])); err == nil {
			return
		}
	}
	ts.Fatalf("%s ended before %s was there", args[0], args[1])
}

func cmdFile(ts *testscript.TestScript, _ bool, args []string) {
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(b)
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o755))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}

func cmdOddTree(ts *testscript.TestScript, _ bool, args []string) {
	for i, name := range []string{
		"new\nline", "blank blank", " leading", "trailing ", "-dash", "--opt=x", "co:lon", "st*r", "qu?stion", `back\slash`, `quo"te`, "tab\tx", "bell\a",
		"ünïcödé", "日本語", "\u202eright-to-left", "invalid-\xff\xfe", strings.Repeat("n", 255), "...", "~", "$HOME", "%41", "#", "CON", "deep/er/and deeper/x",
	} {
		path := filepath.Join(ts.MkAbs(args[0]), name)
		ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
		ts.Check(os.WriteFile(path, bytes.Repeat([]byte{byte('a' + i)}, 1000*i), 0o644))
	}
	ts.Check(os.MkdirAll(filepath.Join(ts.MkAbs(args[0]), "empty folder"), 0o755))
}

func cmdSameDir(ts *testscript.TestScript, neg bool, args []string) {
	a, b := listTree(ts, args[0]), listTree(ts, args[1])
	var diff []string
	for name, v := range a {
		if b[name] != v {
			diff = append(diff, fmt.Sprintf("%q", name))
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			diff = append(diff, fmt.Sprintf("%q", name))
		}
	}
	if (len(diff) > 0) != neg {
		ts.Fatalf("%s and %s differ in: %s", args[0], args[1], strings.Join(diff, " "))
	}
}

// listTree maps names to content.
func listTree(ts *testscript.TestScript, dir string) map[string]string {
	list := map[string]string{}
	root := ts.MkAbs(dir)
	ts.Check(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		list[rel] = d.Type().String()
		if d.Type().IsRegular() {
			b, err := os.ReadFile(path)
			list[rel] += string(b)
			return err
		}
		return nil
	}))
	return list
}

func cmdResult(ts *testscript.TestScript, _ bool, args []string) {
	from := "stdout"
	if len(args) == 4 {
		from, args = args[0], args[1:]
	}
	if len(args) != 3 {
		ts.Fatalf("usage: result [FILE] KEY OP VALUE")
	}
	lines := strings.Split(strings.TrimSpace(ts.ReadFile(from)), "\n")
	var last map[string]any
	for i, l := range lines {
		last = nil
		if err := json.Unmarshal([]byte(l), &last); err != nil {
			ts.Fatalf("line %d is not JSON: %v: %q", i, err, l)
		}
		if last["type"] == nil || (last["type"] == "result") != (i == len(lines)-1) {
			ts.Fatalf("line %d of %d has type %v", i, len(lines), last["type"])
		}
	}
	got, ok := last[args[0]]
	if !ok {
		got = "absent"
	}
	n, err := strconv.ParseFloat(args[2], 64)
	number, isNumber := got.(float64)
	switch {
	case args[1] == "=" && (fmt.Sprint(got) == args[2] || err == nil && isNumber && n == number):
	case args[1] == ">" && err == nil && isNumber && number > n:
	case args[1] == "<" && err == nil && isNumber && number < n:
	default:
		ts.Fatalf("%s is %v, want %s %s; %s", args[0], got, args[1], args[2], lines[len(lines)-1])
	}
}

// cmdSpec writes a transfer specification for the node: spec FILE send|receive [FIELD=JSON...].
func cmdSpec(ts *testscript.TestScript, _ bool, args []string) {
	port, err := strconv.Atoi(ts.Getenv("PORT"))
	ts.Check(err)
	spec := map[string]any{
		"remote_host": "127.0.0.1", "fasp_port": port, "direction": args[1], "paths": []any{map[string]any{"source": "src"}}, "destination_root": "in",
		"create_dir": true, "delete_source": true, "http_fallback": false, "who_knows": 1,
	}
	if args[1] == "receive" {
		spec["paths"], spec["source_root"], spec["destination_root"] = []any{map[string]any{"source": "src"}}, "in", "back"
	}
	for _, f := range args[2:] {
		name, value, _ := strings.Cut(f, "=")
		spec[name] = json.RawMessage(value)
	}
	b, err := json.Marshal(spec)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}
