package sshd

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/logins"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/leaktest"
	"github.com/tradewind-io/tradewind/internal/testlog"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const joesPassword = "correct horse battery"

// joesHash costs 100 ms to make, so it is made once.
var joesHash = sync.OnceValue(func() string {
	h, err := accesskey.HashPassword(joesPassword)
	if err != nil {
		panic(err)
	}
	return h
})

func newKey(t testing.TB) ssh.Signer {
	k, err := ssh.NewSignerFromKey(newEd25519(t))
	require.NoError(t, err)
	return k
}

func newEd25519(t testing.TB) ed25519.PrivateKey {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return private
}

// world is a Server over connections in memory, in a synctest bubble.
type world struct {
	t      *testing.T
	server *Server
	root   string
	host   ssh.Signer
	key    ssh.Signer // joe's
	log    testlog.Buffer
	pipes  chan net.Conn
	stop   func() error
	wrap   func(transfer.Manager) transfer.Manager // what is opened; may be nil

	mu       sync.Mutex // guards accounts
	accounts map[string]Account
}

func inWorld(t *testing.T, cfg Config, fn func(w *world)) {
	w := newWorld(t)
	synctest.Test(t, func(t *testing.T) {
		w.t = t
		w.start(cfg, pipeListener{make(chan net.Conn), make(chan struct{}), new(sync.Once)})
		defer func() {
			require.NoError(t, w.stop())
			require.NotContains(t, w.log.String(), joesPassword)
		}()
		fn(w)
	})
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, root: t.TempDir(), host: newKey(t), key: newKey(t)}
	w.accounts = map[string]Account{"joe": {
		Name: "joe", PasswordHash: joesHash(), Keys: []ssh.PublicKey{newKey(t).PublicKey(), w.key.PublicKey()}, Grant: accesskey.Grant{Root: "joe", Rights: accesskey.AllRights()},
	}}
	return w
}

func (w *world) start(cfg Config, l net.Listener) {
	cfg.Logins, cfg.Places, cfg.Tickets, cfg.HostKey, cfg.Version = logins.NewGate(w, nil), w, w, w.host, "test"
	cfg.Logger = slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	w.server, err = New(cfg)
	require.NoError(w.t, err)
	if p, ok := l.(pipeListener); ok {
		w.pipes = p.conns
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.server.Serve(ctx, l) }()
	w.stop = func() error { cancel(); return <-ended }
}

// Account implements Accounts.
func (w *world) Account(_ context.Context, name string) (Account, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a, ok := w.accounts[name]
	if !ok {
		return Account{}, accesskey.ErrNotFound
	}
	return a, nil
}

// change changes joe.
func (w *world) change(fn func(*Account)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.accounts["joe"]
	fn(&a)
	w.accounts["joe"] = a
}

// Open implements Places.
func (w *world) Open(_ context.Context, g accesskey.Grant) (transfer.Manager, func(), error) {
	dir := filepath.Join(w.root, g.Root)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, err
	}
	d, err := transfer.OpenDir(dir)
	if err != nil {
		return nil, nil, err
	}
	m := transfer.Manager(d)
	if w.wrap != nil {
		m = w.wrap(m)
	}
	return m, func() { _ = d.Close() }, nil
}

// Ticket implements logins.Tickets.
func (w *world) Ticket(_ context.Context, g accesskey.Grant, d accesskey.Direction, paths []string) (Ticket, error) {
	text, err := accesskey.NewKeyring(accesskey.Master{}).Seal(accesskey.TransferToken{Account: strings.TrimPrefix(g.KeyID, accesskey.AccountID("")), Direction: d, Paths: paths, Expires: time.Now().Add(time.Minute)})
	return Ticket{Token: text, UDPPort: 33001, Fingerprint: "sha256:00"}, err
}

// pipeListener takes connections in memory.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   *sync.Once
}

func (l pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (pipeListener) Addr() net.Addr { return pipeAddr("server") }

type pipeAddr string

func (pipeAddr) Network() string  { return "pipe" }
func (a pipeAddr) String() string { return string(a) }

// pipeConn is an end of a net.Pipe with an address of the other side.
type pipeConn struct {
	net.Conn
	remote pipeAddr
}

func (c pipeConn) RemoteAddr() net.Addr { return c.remote }

// eager is an end whose writes do not wait: both sides of SSH begin by writing.
type eager struct {
	net.Conn
	out   chan []byte
	ended chan struct{} // the connection, as far as writing goes
}

func (e eager) Write(b []byte) (int, error) {
	select {
	case e.out <- bytes.Clone(b):
		return len(b), nil
	case <-e.ended:
		return 0, net.ErrClosed
	}
}

func (e eager) run(closed <-chan struct{}) {
	defer close(e.ended)
	for {
		select {
		case b := <-e.out:
			if _, err := e.Conn.Write(b); err != nil {
				return
			}
		case <-closed:
			return
		}
	}
}

// connect opens a connection from an address. It is closed at the end.
func (w *world) connect(from string) net.Conn {
	near, far := net.Pipe()
	w.pipes <- pipeConn{far, pipeAddr(from)}
	e, closed := eager{near, make(chan []byte, 1024), make(chan struct{})}, make(chan struct{})
	go e.run(closed)
	w.t.Cleanup(func() { _ = near.Close(); close(closed); <-e.ended })
	return e
}

const here = "192.0.2.1:5000"

// login logs in as user.
func (w *world) login(from, user string, how ...ssh.AuthMethod) (*ssh.Client, error) {
	return w.over(w.connect(from), user, how...)
}

func (w *world) over(nc net.Conn, user string, how ...ssh.AuthMethod) (*ssh.Client, error) {
	c, chans, reqs, err := ssh.NewClientConn(nc, "server", &ssh.ClientConfig{User: user, Auth: how, HostKeyCallback: ssh.FixedHostKey(w.host.PublicKey())})
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	return ssh.NewClient(c, chans, reqs), nil
}

// joe logs in with the right key.
func (w *world) joe() *ssh.Client {
	c, err := w.login(here, "joe", ssh.PublicKeys(w.key))
	require.NoError(w.t, err)
	return c
}

// run runs a command with that input.
func (w *world) run(c *ssh.Client, command, input string) (stdout, stderr string, err error) {
	s, err := c.NewSession()
	require.NoError(w.t, err)
	defer s.Close()
	var out, errs bytes.Buffer
	s.Stdin, s.Stdout, s.Stderr = bytes.NewBufferString(input), &out, &errs
	err = s.Run(command)
	return out.String(), errs.String(), err
}

// dropped waits until the server has closed a connection.
func dropped(t *testing.T, c io.Reader) {
	t.Helper()
	_, err := io.Copy(io.Discard, c)
	require.NoError(t, err)
}
