package twcp

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/cluster/node/logins"
	"github.com/tradewind-io/tradewind/cluster/node/wsd"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/cli"
)

// webAccount logs in at a port of this machine.
func webAccount(t *testing.T, addr net.Addr) *account {
	known := cli.KnownHosts{Path: filepath.Join(t.TempDir(), "known")}
	return &account{user: "joe", web: &web{authorization: "Basic secret"}, port: addr.(*net.TCPAddr).Port, trust: trust{known: known, warn: func(string, ...any) {}}}
}

// TestOtherServers: what answers at the port and is no WebSocket of a node is told apart, and the credentials go nowhere else.
func TestOtherServers(t *testing.T) {
	var elsewhere atomic.Int32
	other := tlsServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	upgrade := func(protocols ...string) func(http.ResponseWriter, *http.Request) *websocket.Conn {
		return func(w http.ResponseWriter, r *http.Request) *websocket.Conn {
			ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: protocols})
			require.NoError(t, err)
			return ws
		}
	}
	answer := func(b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			ws := upgrade(wsd.Subprotocol)(w, r)
			defer func() { _ = ws.CloseNow() }()
			if _, _, err := ws.Read(r.Context()); err == nil {
				_ = ws.Write(r.Context(), websocket.MessageText, b) // the client may not want all of it
			}
		}
	}
	good, err := json.Marshal(wsd.Answer{Ticket: logins.Ticket{Token: "ATM_TW1_x", UDPPort: 5, Fingerprint: fasp.Fingerprint{}.String()}})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		code  transfer.Code
		text  string
		again bool
	}{
		"a web server": {http.NotFound, transfer.CodeTransferError, "is no node's WebSocket: it answers with HTTP status 404", false},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}, transfer.CodeTransferError, "HTTP status 307", false},
		"another error":    {refuses(404, `{"error":{"code":404}}`), transfer.CodeTransferError, "HTTP status 404", false},
		"wrong password":   {refuses(401, `{"error":"failed to authenticate"}`), transfer.CodeAuth, "failed to authenticate", false},
		"old token":        {refuses(401, `{"error":"this token has expired"}`), transfer.CodeAuth, "this token has expired", false},
		"disabled":         {refuses(403, `{"error":"this access key is disabled"}`), transfer.CodeAuth, "this access key is disabled", false},
		"guesses":          {refuses(429, `{"error":"try again in a minute"}`), transfer.CodeAuth, "try again in a minute", false},
		"busy":             {refuses(503, `{"error":"try again"}`), transfer.CodeTransferError, "try again", true},
		"other protocol":   {refuses(400, `{"error":"want another"}`), transfer.CodeTransferError, "want another", false},
		"control bytes":    {refuses(400, `{"error":"\u001b[2J"}`), transfer.CodeTransferError, `"\x1b[2J"`, false},
		"no subprotocol":   {func(w http.ResponseWriter, r *http.Request) { _ = upgrade()(w, r).CloseNow() }, transfer.CodeTransferError, "speaks another protocol", false},
		"cut off":          {func(w http.ResponseWriter, r *http.Request) { _ = upgrade(wsd.Subprotocol)(w, r).CloseNow() }, transfer.CodeTransferError, "WebSocket with 127.0.0.1", true},
		"no ticket":        {answer([]byte(`{"error":"upload is not allowed"}`)), transfer.CodeNoPerms, "the server hands over no ticket: upload is not allowed", false},
		"no JSON":          {answer([]byte("hello")), transfer.CodeFaspProto, "no JSON", false},
		"too long":         {answer([]byte(strings.Repeat(" ", 1<<20))), transfer.CodeTransferError, "", true},
		"what a node says": {answer(good), 0, "", false},
	} {
		s := tlsServer(c.serve)
		a := webAccount(t, s.Listener.Addr())
		got, err := a.ticketFor(t.Context(), "127.0.0.1", toManage())
		s.Close()
		if c.code == 0 {
			require.NoError(t, err, name)
			require.Equal(t, 5, got.port)
			continue
		}
		require.Equal(t, c.code, codeOf(err), "%s: %v", name, err)
		require.ErrorContains(t, err, c.text, name)
		require.NotContains(t, err.Error(), "secret", name)
		var timeout interface{ Timeout() bool }
		require.Equal(t, c.again, errors.As(err, &timeout) && timeout.Timeout(), "%s: %v", name, err)
	}
	require.Zero(t, elsewhere.Load())
}

// tlsServer is one of httptest that keeps to itself what clients do to it.
func tlsServer(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	return s
}

func refuses(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// TestNothingIsShown: a server whose key is not the known one sees no request.
func TestNothingIsShown(t *testing.T) {
	var requests atomic.Int32
	s := tlsServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	defer s.Close()
	a := webAccount(t, s.Listener.Addr())
	require.NoError(t, a.trust.known.Add("wss://"+s.Listener.Addr().String(), fasp.Fingerprint{1}))
	_, err := a.ticketFor(t.Context(), "127.0.0.1", toManage())
	require.Equal(t, transfer.CodeInsecureConnection, codeOf(err))
	var mismatch *cli.HostMismatch
	require.ErrorAs(t, err, &mismatch)
	a.trust = trust{pinned: &fasp.Fingerprint{2}}
	_, err = a.ticketFor(t.Context(), "127.0.0.1", toManage())
	require.ErrorContains(t, err, "expected sha256:02")
	require.Equal(t, transfer.CodeInsecureConnection, codeOf(err))
	require.Zero(t, requests.Load())
}

// TestSilentServer: what the user's patience ends is told as that, and is no failure of the connection.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = c.Read(make([]byte, 1)) // the client has begun
			cancel(enough)
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}
	}()
	_, err = webAccount(t, l.Addr()).ticketFor(ctx, "127.0.0.1", toManage())
	require.ErrorIs(t, err, enough)
}

func TestQuestionText(t *testing.T) {
	b, err := questionText(wsd.Question{For: "upload", Paths: []string{`a<b>&"c`}})
	require.NoError(t, err)
	require.Equal(t, `{"for":"upload","paths":["a<b>&\"c"]}`+"\n", string(b))
	_, err = questionText(wsd.Question{For: "upload", Paths: []string{strings.Repeat("\x01", 4000)}})
	require.Equal(t, transfer.CodeUsage, codeOf(err))
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"token":"ATM_TW1_x","udp_port":1,"fingerprint":"sha256:0000000000000000000000000000000000000000000000000000000000000000"}`))
	f.Add([]byte(`{"error":"upload is not allowed\u001b"}`))
	f.Add([]byte(`{"error":7}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readAnswer(b, time.Unix(0, 0))
		if err == nil {
			require.NotNil(t, got.opener)
			return
		}
		require.Contains(t, []transfer.Code{transfer.CodeNoPerms, transfer.CodeFaspProto}, codeOf(err))
		require.NotContains(t, err.Error(), "\x1b")
	})
}
