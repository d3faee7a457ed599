package node

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/sshd"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/testlog"
)

var joe = accesskey.Credential{ID: "joe", Secret: "correct horse battery"}

// login logs in by SSH with joe's password.
func (r *realNode) login(user string) (*ssh.Client, error) {
	return ssh.Dial("tcp", r.node.SSHAddr().String(), &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.Password(joe.Secret)}, Timeout: time.Minute,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if got := ssh.FingerprintSHA256(key); got != r.node.SSHFingerprint() {
				return errors.New(got)
			}
			return nil
		},
	})
}

// ticket gets a ticket for joe.
func (r *realNode) ticket(command string) sshd.Ticket {
	c, err := r.login("joe")
	require.NoError(r.t, err)
	defer c.Close()
	s, err := c.NewSession()
	require.NoError(r.t, err)
	out, err := s.Output("tradewind-ticket " + command)
	require.NoError(r.t, err)
	var t sshd.Ticket
	require.NoError(r.t, json.Unmarshal(out, &t))
	require.Equal(r.t, r.node.Fingerprint().String(), t.Fingerprint)
	require.Equal(r.t, r.node.Addr().(*net.UDPAddr).Port, t.UDPPort)
	return t
}

// dial opens sessions with a token.
func (r *realNode) dial(token string) func(ctx context.Context, _ *transfer.Spec) (fasp.Session, error) {
	o, err := accesskey.ParseOpener(token)
	require.NoError(r.t, err)
	return func(ctx context.Context, _ *transfer.Spec) (fasp.Session, error) {
		return fasp.Dial(ctx, r.node.Addr().String(), fasp.Config{VerifyServer: fasp.PinnedKey(r.node.Fingerprint()), Opening: func(x fasp.Exporter) ([]byte, error) { return o.Opening(x) }})
	}
}

func (r *realNode) up(token, dest string) error {
	file := filepath.Join(r.t.TempDir(), "f")
	require.NoError(r.t, os.WriteFile(file, []byte("mine"), 0o644))
	_, err := transfer.Run(r.t.Context(), transfer.Config{RetryTimeout: -1, Dial: r.dial(token)}, transfer.Spec{Paths: []transfer.Path{{Source: file}}, Destination: dest})
	return err
}

func (r *realNode) down(token, source string) error {
	_, err := transfer.Run(r.t.Context(), transfer.Config{RetryTimeout: -1, Dial: r.dial(token)}, transfer.Spec{
		Direction: transfer.Receive, Paths: []transfer.Path{{Source: source}}, Destination: r.t.TempDir(), CreateDir: true,
	})
	return err
}

// edit changes the account joe.
func (r *realNode) edit(fn func(*accountDoc)) {
	u, err := r.node.desk.state.User(r.t.Context(), kindSSH, "joe")
	require.NoError(r.t, err)
	var doc accountDoc
	require.NoError(r.t, json.Unmarshal(u.Doc, &doc))
	fn(&doc)
	u.Doc, err = json.Marshal(doc)
	require.NoError(r.t, err)
	_, err = r.node.desk.state.UpdateUser(r.t.Context(), u)
	require.NoError(r.t, err)
}

func withSSH(c *Config) { c.API, c.APIUser, c.SSH, c.SSHUser = "", nil, "127.0.0.1:0", &joe }

// TestTickets: a ticket opens what it is for, in the account's place, as long as there is the account.
func TestTickets(t *testing.T) {
	r := startBare(t, withSSH)
	r.edit(func(d *accountDoc) { d.Root = "homes/joe" })
	upload, download, manage := r.ticket("upload /in"), r.ticket("download /in"), r.ticket("manage")
	require.NoError(t, r.up(upload.Token, "/in/new"))
	require.FileExists(t, filepath.Join(r.docroot, "homes/joe/in/new"))
	require.NoError(t, r.down(download.Token, "/in/new"))
	for name, err := range map[string]error{
		"another folder": r.up(upload.Token, "/elsewhere"), "out of the folder": r.up(upload.Token, "/in/../../x"), "upload with a download": r.up(download.Token, "/in/x"),
		"download with an upload": r.down(upload.Token, "/in/new"), "upload to look": r.up(manage.Token, "/in/x"), "download to look": r.down(manage.Token, "/in/new"),
		"changed": r.up(bent(upload.Token), "/in/x"),
	} {
		require.Error(t, err, name)
	}
	look := func(token string) error {
		sess, err := r.dial(token)(t.Context(), nil)
		if err != nil {
			return err
		}
		m, err := transfer.Manage(t.Context(), sess)
		if err != nil {
			return err
		}
		in, err := m.Stat(t.Context(), "/in/new")
		require.NoError(t, err)
		require.EqualValues(t, 4, in.Size)
		return m.Close()
	}
	require.NoError(t, look(manage.Token))
	require.ErrorContains(t, look(upload.Token), "one transfer only")

	// Of another node, or of the time before: what the node would not have made.
	other, err := r.node.checker.Tokens.Seal(accesskey.TransferToken{Account: "joe", Direction: accesskey.Upload, Paths: []string{"in"}, Node: "sha256:00", Expires: time.Now().Add(time.Minute)})
	require.NoError(t, err)
	require.Equal(t, transfer.CodeAuth, codeOf(t, r.up(other, "/in/x")))
	old, err := r.node.checker.Tokens.Seal(accesskey.TransferToken{Account: "joe", Direction: accesskey.Upload, Paths: []string{"in"}, Expires: time.Now().Add(-time.Second)})
	require.NoError(t, err)
	require.ErrorContains(t, r.up(old, "/in/x"), "expired")

	// What the account may do is asked when the ticket is used.
	r.edit(func(d *accountDoc) { d.Rights = []string{"read"} })
	require.ErrorContains(t, r.up(upload.Token, "/in/x"), "upload is not allowed")
	r.edit(func(d *accountDoc) { d.Rights, d.Disabled = []string{"all"}, true })
	require.Equal(t, transfer.CodeAuth, codeOf(t, r.up(upload.Token, "/in/x")))
	_, err = r.login("joe")
	require.ErrorContains(t, err, "unable to authenticate")
	r.edit(func(d *accountDoc) { d.Disabled = false })
	require.NoError(t, r.up(upload.Token, "/in/x"))
	require.NoError(t, r.node.desk.state.DeleteUser(t.Context(), kindSSH, "joe", 0))
	require.Equal(t, transfer.CodeAuth, codeOf(t, r.up(upload.Token, "/in/y")))
	_, err = r.login("joe")
	require.ErrorContains(t, err, "unable to authenticate")
}

// startBare starts a node without the API.
func startBare(t *testing.T, edit func(*Config)) *realNode {
	dir := t.TempDir()
	r := &realNode{t: t, docroot: filepath.Join(dir, "root")}
	require.NoError(t, os.MkdirAll(r.docroot, 0o755))
	r.cfg = Config{DocRoot: r.docroot, StateDir: filepath.Join(dir, "state"), Listen: "127.0.0.1:0", Version: "test", DrainTimeout: -1}
	edit(&r.cfg)
	r.run()
	t.Cleanup(func() { r.stop() })
	return r
}

// TestSSHRestart: the host key and the account stay, a password that is set anew counts, and beside the API it is the same store.
func TestSSHRestart(t *testing.T) {
	r := startBare(t, withSSH)
	before := r.node.SSHFingerprint()
	require.True(t, strings.HasPrefix(before, "SHA256:"))
	r.edit(func(d *accountDoc) { d.Root = "kept" })
	b, err := os.ReadFile(filepath.Join(r.cfg.StateDir, hostKeyName))
	require.NoError(t, err)
	fi, err := os.Stat(filepath.Join(r.cfg.StateDir, hostKeyName))
	require.NoError(t, err)
	require.Zero(t, fi.Mode().Perm()&0o077)
	require.Contains(t, string(b), "OPENSSH PRIVATE KEY")
	left := filepath.Join(r.cfg.StateDir, "listings", "of a node that was killed")
	require.NoError(t, os.WriteFile(left, nil, 0o600))
	r.stop()
	other := accesskey.Credential{ID: "joe", Secret: "another horse battery"}
	r.cfg.SSHUser, r.cfg.API, r.cfg.APIUser = &other, "127.0.0.1:0", &nodeUser
	r.run()
	require.NoFileExists(t, left)
	require.Equal(t, before, r.node.SSHFingerprint())
	_, err = r.login("joe")
	require.ErrorContains(t, err, "unable to authenticate")
	u, err := r.node.desk.state.User(t.Context(), kindSSH, "joe")
	require.NoError(t, err)
	require.Contains(t, string(u.Doc), "kept")
	_, err = r.node.desk.state.User(t.Context(), kindNode, nodeUser.ID)
	require.NoError(t, err)
	r.stop()
	r.cfg.SSHUser = &accesskey.Credential{ID: "../joe", Secret: "correct horse battery"}
	n, err := New(r.cfg)
	require.NoError(t, err)
	require.ErrorContains(t, n.Run(t.Context()), "account")
}

// run runs a node over what is there.
func (r *realNode) run() {
	var err error
	r.node, err = New(r.cfg)
	require.NoError(r.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.node.Run(ctx) }()
	select {
	case <-r.node.Ready():
	case err := <-ended:
		require.NoError(r.t, err)
	}
	stopped := false
	r.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(r.t, <-ended)
		}
	}
}

// TestAuthorizedKeys: lines are used, or it is said why not; options that would bound a key are never overlooked.
func TestAuthorizedKeys(t *testing.T) {
	const good = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJnYXqUNnTLMsY9cB2QpHL0gQmMNKFRtiSTWR7kzQK0m joe@here"
	for text, want := range map[string]int{
		"": 0, "\n# nothing\n \n": 0, good: 1, "  " + good + "\r\n" + good: 2, "restrict " + good: 1, "no-pty,no-port-forwarding " + good: 1,
	} {
		keys, problems := authorizedKeys([]byte(text))
		require.Len(t, keys, want, text)
		require.Empty(t, problems, text)
	}
	for line, why := range map[string]string{
		`from="10.0.0.1" ` + good: "options", `command="ls" ` + good: "options", "cert-authority " + good: "options", "restrict,pty " + good: "options", `expiry-time="20200101" ` + good: "options",
		"ssh-ed25519 AAAA": "cannot be read", "hello": "cannot be read", shortRSA(): "RSA",
	} {
		keys, problems := authorizedKeys([]byte(good + "\n" + line + "\n" + good))
		require.Len(t, keys, 2, line)
		require.Len(t, problems, 1, line)
		require.Equal(t, 2, problems[0].line)
		require.Contains(t, problems[0].why, why, line)
	}
}

// shortRSA is a line with a key that is too short.
func shortRSA() string {
	wire := ssh.Marshal(struct {
		Name string
		E, N *big.Int
	}{"ssh-rsa", big.NewInt(65537), new(big.Int).SetBit(big.NewInt(1), 1023, 1)})
	return "ssh-rsa " + base64.StdEncoding.EncodeToString(wire)
}

// TestAccountFiles: keys come from the file of the account's name and the store; nothing else is read.
func TestAccountFiles(t *testing.T) {
	dir := t.TempDir()
	s, err := state.Open(t.Context(), state.Config{Path: filepath.Join(dir, "state.db")})
	require.NoError(t, err)
	defer s.Close()
	var log testlog.Buffer
	a := &accounts{state: s, dir: filepath.Join(dir, keysFolder), log: slog.New(slog.NewTextHandler(&log, nil))}
	const one = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJnYXqUNnTLMsY9cB2QpHL0gQmMNKFRtiSTWR7kzQK0m"
	for _, x := range []state.User{
		{Kind: kindSSH, Name: "joe", Secret: []byte("hash"), Doc: json.RawMessage(`{"root":"r","rights":["read"],"keys":["` + one + `"],"rate_cap_bps":5,"vlink":"v"}`)},
		{Kind: kindSSH, Name: "bad", Doc: json.RawMessage(`{"rights":["rule"]}`)},
		{Kind: kindNode, Name: "admin"},
	} {
		_, err := s.CreateUser(t.Context(), x)
		require.NoError(t, err)
	}
	got, err := a.Account(t.Context(), "joe")
	require.NoError(t, err)
	require.Len(t, got.Keys, 1)
	require.False(t, got.Grant.Created.IsZero())
	require.Equal(t, accesskey.Grant{KeyID: "ssh:joe", Root: "r", Rights: accesskey.Rights{Read: true}, RateCap: 5, VLink: "v", Created: got.Grant.Created}, got.Grant)
	require.NoError(t, os.Mkdir(a.dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(a.dir, "joe"), []byte(one+"\nfrom=\"x\" "+one+"\n"), 0o600))
	got, err = a.Account(t.Context(), "joe")
	require.NoError(t, err)
	require.Len(t, got.Keys, 2)
	require.Contains(t, log.String(), "options that are not offered")
	for _, name := range []string{"admin", "ann", "..", "../state.db", "", "joe/", "."} {
		_, err := a.Account(t.Context(), name)
		require.Equal(t, accesskey.ErrNotFound, err, name)
	}
	for _, name := range []string{"admin", "ann"} {
		_, err := a.AccountGrant(t.Context(), name)
		require.Equal(t, accesskey.ErrNotFound, err, name)
	}
	_, err = a.Account(t.Context(), "bad")
	require.ErrorContains(t, err, "rule")
	_, err = a.AccountGrant(t.Context(), "bad")
	require.ErrorContains(t, err, "rule")
	require.NoError(t, os.WriteFile(filepath.Join(a.dir, "joe"), bytes.Repeat([]byte("#\n"), maxKeysFile), 0o600))
	_, err = a.Account(t.Context(), "joe")
	require.ErrorContains(t, err, "larger than")
}

func FuzzAuthorizedKeys(f *testing.F) {
	f.Add([]byte("restrict ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJnYXqUNnTLMsY9cB2QpHL0gQmMNKFRtiSTWR7kzQK0m x\n# y\n"))
	f.Add([]byte(`command="a\"b",from="c" ssh-rsa AAAA`))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, problems := authorizedKeys(b)
		require.LessOrEqual(t, len(keys)+len(problems), bytes.Count(b, []byte("\n"))+1)
		for _, k := range keys {
			again, problems := authorizedKeys(ssh.MarshalAuthorizedKey(k))
			require.Empty(t, problems)
			require.Equal(t, k.Marshal(), again[0].Marshal())
		}
	})
}
