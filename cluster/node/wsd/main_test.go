package wsd

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/logins"
	"github.com/tradewind-io/tradewind/internal/leaktest"
	"github.com/tradewind-io/tradewind/internal/testlog"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const (
	joesPassword = "correct horse battery"
	keySecret    = "0123456789abcdef0123456789abcdef"
)

// joesHash costs 100 ms to make, so it is made once.
var joesHash = sync.OnceValue(func() string {
	h, err := accesskey.HashPassword(joesPassword)
	if err != nil {
		panic(err)
	}
	return h
})

// certificate is for 127.0.0.1, signed by itself.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	x := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, x, x, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// world is a Server on loopback, with real keys, tokens and TLS.
type world struct {
	t       *testing.T
	server  *Server
	addr    string
	log     testlog.Buffer
	keys    countedKeys
	checker *accesskey.Checker
	stop    func()
	ticket  func() error // fails tickets, if it is not nil

	mu       sync.Mutex // guards what follows
	now      time.Time
	accounts map[string]logins.Account
	asked    int // for accounts
}

// countedKeys counts what is looked up.
type countedKeys struct {
	accesskey.MemStore
	mu    sync.Mutex // guards asked
	asked int
}

func (k *countedKeys) Key(ctx context.Context, id string) (accesskey.Key, error) {
	k.mu.Lock()
	k.asked++
	k.mu.Unlock()
	return k.MemStore.Key(ctx, id)
}

func start(t *testing.T, cfg Config) *world {
	w := &world{t: t, now: time.Now()}
	w.accounts = map[string]logins.Account{
		"joe": {Name: "joe", PasswordHash: joesHash(), Grant: accesskey.Grant{Rights: accesskey.AllRights()}},
		"off": {Name: "off", PasswordHash: joesHash(), Disabled: true},
	}
	w.addKey("alpha", nil)
	w.checker = &accesskey.Checker{Keys: &w.keys, Tokens: accesskey.NewKeyring(accesskey.Master{}), Accounts: w, Node: "here"}
	cfg.Logins, cfg.Keys, cfg.Tickets, cfg.Certificate = logins.NewGate(w, w.clock), w.checker, w, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { c := certificate(); return &c, nil }
	cfg.Logger = slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	w.server, err = New(cfg)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.server.Serve(ctx, l) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
		require.Equal(t, logins.Stats{}, w.server.Stats())
		for _, secret := range []string{joesPassword, keySecret, "ATM_TW1_"} {
			require.NotContains(t, w.log.String(), secret)
		}
	})
	t.Cleanup(w.stop)
	return w
}

func (w *world) addKey(id string, edit func(*accesskey.Key)) {
	k, _, err := accesskey.NewKey(accesskey.Credential{ID: id, Secret: keySecret})
	require.NoError(w.t, err)
	if edit != nil {
		edit(&k)
	}
	require.NoError(w.t, w.keys.Put(w.t.Context(), k))
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) later(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// Account implements logins.Accounts.
func (w *world) Account(_ context.Context, name string) (logins.Account, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	a, ok := w.accounts[name]
	if !ok {
		return a, accesskey.ErrNotFound
	}
	return a, nil
}

// AccountGrant implements accesskey.Accounts.
func (w *world) AccountGrant(ctx context.Context, name string) (accesskey.Grant, error) {
	a, err := w.Account(ctx, name)
	return a.Grant, err
}

// Ticket implements logins.Tickets.
func (w *world) Ticket(_ context.Context, g accesskey.Grant, d accesskey.Direction, paths []string) (logins.Ticket, error) {
	if w.ticket != nil {
		if err := w.ticket(); err != nil {
			return logins.Ticket{}, err
		}
	}
	t := accesskey.TransferToken{Key: g.KeyID, Direction: d, Paths: paths, Expires: time.Now().Add(time.Minute)}
	if g.KeyID == accesskey.AccountID("joe") {
		t.Key, t.Account = "", "joe"
	}
	text, err := w.checker.Tokens.Seal(t)
	return logins.Ticket{Token: text, UDPPort: 33001, Fingerprint: "sha256:00"}, err
}

func basic(id, secret string) string {
	return accesskey.Credential{ID: id, Secret: secret}.Token()
}

// trusted is how the server is known.
func trusted() *tls.Config {
	pool := x509.NewCertPool()
	x, err := x509.ParseCertificate(certificate().Certificate[0])
	if err != nil {
		panic(err)
	}
	pool.AddCert(x)
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
}

// dial opens a WebSocket. status is that of HTTP, and text the error there.
func (w *world) dial(auth string, more http.Header) (ws *websocket.Conn, status int, text string) {
	h := http.Header{}
	if auth != "" {
		h.Set("Authorization", auth)
	}
	for k, v := range more {
		h[k] = v
	}
	tr := &http.Transport{TLSClientConfig: trusted(), DisableKeepAlives: true}
	ws, resp, err := websocket.Dial(w.t.Context(), "wss://"+w.addr+Path, &websocket.DialOptions{HTTPClient: &http.Client{Transport: tr}, HTTPHeader: h, Subprotocols: []string{Subprotocol}})
	if resp == nil {
		require.NoError(w.t, err)
	}
	if err != nil {
		var r refusal
		b, rerr := io.ReadAll(resp.Body)
		require.NoError(w.t, rerr)
		require.NoError(w.t, json.Unmarshal(b, &r), "%s", b)
		return nil, resp.StatusCode, r.Error
	}
	require.Equal(w.t, Subprotocol, ws.Subprotocol())
	w.t.Cleanup(func() { _ = ws.CloseNow() })
	return ws, resp.StatusCode, ""
}

// ask opens a WebSocket and asks.
func (w *world) ask(auth, question string) Answer {
	w.t.Helper()
	ws, status, text := w.dial(auth, nil)
	require.Equal(w.t, http.StatusSwitchingProtocols, status, text)
	require.NoError(w.t, ws.Write(w.t.Context(), websocket.MessageText, []byte(question)))
	return w.answer(ws)
}

func (w *world) answer(ws *websocket.Conn) (a Answer) {
	w.t.Helper()
	typ, b, err := ws.Read(w.t.Context())
	require.NoError(w.t, err)
	require.Equal(w.t, websocket.MessageText, typ)
	require.NoError(w.t, json.Unmarshal(b, &a), "%s", b)
	_, _, err = ws.Read(w.t.Context())
	require.Equal(w.t, websocket.StatusNormalClosure, websocket.CloseStatus(err), "there is one answer")
	return a
}

// refused is what a login is told that fails.
func (w *world) refused(auth string) (status int, text string) {
	w.t.Helper()
	_, status, text = w.dial(auth, nil)
	return status, text
}

// raw opens a connection below WebSocket.
func (w *world) raw() net.Conn {
	c, err := tls.Dial("tcp", w.addr, trusted())
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}
