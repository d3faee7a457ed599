package wsd

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/logins"
)

const inQuestion = `{"for":"upload","paths":["/in"]}`

// TestWho: each kind of credentials gets a ticket for whom it belongs to, and for no more than it allows itself.
func TestWho(t *testing.T) {
	w := start(t, Config{})
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	require.NoError(t, err)
	w.addKey("apps", func(k *accesskey.Key) {
		k.TokenKey = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	})
	bearer := func(admin bool, end time.Time) string {
		text, err := accesskey.SealBearer(accesskey.Bearer{User: "u", Key: "apps", Admin: admin, Expires: end}, private)
		require.NoError(t, err)
		return "Bearer " + text
	}
	noon, before := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	token := func(x accesskey.TransferToken) string {
		text, err := w.checker.Tokens.Seal(x)
		require.NoError(t, err)
		return text
	}
	upload := accesskey.TransferToken{Key: "alpha", Direction: accesskey.Upload, Paths: []string{"in/box"}, Expires: noon}
	up := token(upload)
	opened := func(a Answer) accesskey.TransferToken {
		require.Empty(t, a.Error)
		require.Equal(t, 33001, a.UDPPort)
		require.Equal(t, "sha256:00", a.Fingerprint)
		x, err := w.checker.Tokens.Open(a.Token, "here", time.Now())
		require.NoError(t, err)
		return x
	}
	x := opened(w.ask(basic("joe", joesPassword), inQuestion))
	require.Equal(t, accesskey.TransferToken{Account: "joe", Direction: accesskey.Upload, Paths: []string{"in"}, Expires: x.Expires}, x)
	x = opened(w.ask(basic("joe", joesPassword), `{"for":"manage"}`))
	require.Equal(t, accesskey.TransferToken{Account: "joe", Direction: accesskey.Manage, Expires: x.Expires}, x)
	x = opened(w.ask(basic("alpha", keySecret), `{"for":"download","paths":["/","a b/c"]}`))
	require.Equal(t, accesskey.TransferToken{Key: "alpha", Direction: accesskey.Download, Paths: []string{"", "a b/c"}, Expires: x.Expires}, x)
	require.Equal(t, "apps", opened(w.ask(bearer(true, noon), inQuestion)).Key)
	require.Equal(t, []string{"in/box/f"}, opened(w.ask(up, `{"for":"upload","paths":["in/box/f"]}`)).Paths)
	require.Equal(t, "joe", opened(w.ask(token(accesskey.TransferToken{Account: "joe", Direction: accesskey.Manage, Expires: noon}), `{"for":"manage"}`)).Account)

	for _, c := range []struct{ auth, question, want string }{
		{up, inQuestion, "other paths"},
		{up, `{"for":"download","paths":["in/box"]}`, "not allowed"},
		{up, `{"for":"manage"}`, "not allowed"},
		{basic("joe", joesPassword), `{"for":"upload","paths":["../x"]}`, "path"},
		{basic("joe", joesPassword), "upload in", `want {"for":"upload"`},
	} {
		a := w.ask(c.auth, c.question)
		require.Contains(t, a.Error, c.want, c.question)
		require.Empty(t, a.Token)
	}

	forged := []byte(up)
	forged[len(forged)-5] ^= 1
	other := upload
	other.Node = "elsewhere"
	old := upload
	old.Expires = before
	for name, c := range map[string]struct {
		auth   string
		status int
		text   string
	}{
		"forged token": {string(forged), 401, "failed to authenticate"}, "token of another node": {token(other), 401, "failed to authenticate"}, "expired token": {token(old), 401, "this token has expired"},
		"bearer that permissions bind": {bearer(false, noon), 403, "tokens of scope user:all are for folders by their ids, and need no ticket over UDP; tickets need admin:all"},
		"expired bearer":               {bearer(true, before), 401, "this token has expired"}, "cut bearer": {bearer(true, noon)[:300], 401, "failed to authenticate"},
		"no credentials": {"", 401, "failed to authenticate"}, "other scheme": {"Digest x", 401, "failed to authenticate"}, "no base64": {"Basic !", 401, "failed to authenticate"},
	} {
		status, text := w.refused(c.auth)
		require.Equal(t, c.status, status, name)
		require.Equal(t, c.text, text, name)
	}
	_, status, _ := w.dial("", http.Header{"Authorization": {basic("joe", joesPassword), basic("alpha", keySecret)}})
	require.Equal(t, 401, status, "one of two is none")
	require.NoError(t, w.keys.Delete(t.Context(), "alpha"))
	status, text := w.refused(up)
	require.Equal(t, 401, status, "its key has gone")
	require.Equal(t, "failed to authenticate", text)
}

// TestSameWork: whatever is wrong with a name and a secret, as much is looked up and computed, and the same is said.
func TestSameWork(t *testing.T) {
	w := start(t, Config{})
	w.addKey("gone", func(k *accesskey.Key) { k.Disabled = true })
	for _, c := range [][2]string{
		{"joe", "wrong horse battery"}, {"ann", joesPassword}, {"off", joesPassword}, {"alpha", "wrong"}, {"gone", "wrong"}, {"joe", keySecret}, {"alpha", joesPassword},
	} {
		w.mu.Lock()
		w.asked = 0
		w.mu.Unlock()
		w.keys.mu.Lock()
		w.keys.asked = 0
		w.keys.mu.Unlock()
		_, status, text := w.dial(basic(c[0], c[1]), nil)
		require.Equal(t, 401, status, c)
		require.Equal(t, "failed to authenticate", text, c)
		w.mu.Lock()
		require.Equal(t, 1, w.asked, "%s: logins.Gate.Password was called, which costs the same whatever is wrong", c)
		w.mu.Unlock()
		w.keys.mu.Lock()
		require.Equal(t, 1, w.keys.asked, c)
		w.keys.mu.Unlock()
	}
	status, text := w.refused(basic("gone", keySecret))
	require.Equal(t, 403, status, "only who holds the secret sees this")
	require.Equal(t, "this access key is disabled", text)
	w.mu.Lock()
	w.accounts["joe"] = logins.Account{Name: "joe", PasswordHash: "damaged"}
	w.mu.Unlock()
	status, text = w.refused(basic("joe", joesPassword))
	require.Equal(t, 500, status)
	require.NotContains(t, text, "hash")
	require.Contains(t, w.log.String(), "login cannot be checked")
}

// TestRate: guessing at an account is slow, from anywhere, and locks out neither who has a key of that name nor who comes later.
func TestRate(t *testing.T) {
	w := start(t, Config{})
	w.addKey("joe", nil)
	for range logins.AccountBurst {
		status, _ := w.refused(basic("joe", "wrong horse battery"))
		require.Equal(t, 401, status)
	}
	status, text := w.refused(basic("joe", joesPassword))
	require.Equal(t, 429, status, text)
	require.Contains(t, text, "try again in a minute")
	status, _ = w.refused(basic("nobody", joesPassword))
	require.Equal(t, 401, status, "another name")
	require.Empty(t, w.ask(basic("joe", keySecret), inQuestion).Error)
	require.False(t, w.server.cfg.Logins.Try("", "joe"), "SSH, which has the same gate, does not try either")
	w.later(logins.AccountRefill)
	require.Empty(t, w.ask(basic("joe", joesPassword), inQuestion).Error)
	require.Empty(t, w.ask(basic("joe", joesPassword), inQuestion).Error, "what is right is not counted")

	// A source that tries many names, or tokens, is stopped, too.
	w.later(time.Hour)
	for range logins.SourceBurst + 1 {
		require.Empty(t, w.ask(basic("alpha", keySecret), inQuestion).Error, "what is right is not counted")
	}
	for i := range logins.SourceBurst {
		status, _ := w.refused("ATM_TW1_" + fmt.Sprint(i))
		require.Equal(t, 401, status, i)
	}
	status, _ = w.refused(basic("alpha", keySecret))
	require.Equal(t, 429, status)
	w.later(logins.SourceRefill)
	require.Empty(t, w.ask(basic("alpha", keySecret), inQuestion).Error)
}

// TestStrangers: what is no client is told what this is, in JSON where it speaks HTTP.
func TestStrangers(t *testing.T) {
	w := start(t, Config{})
	get := func(change func(*http.Request)) (int, string, http.Header) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+w.addr+Path, nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", basic("joe", joesPassword))
		change(r)
		tr := &http.Transport{TLSClientConfig: trusted(), DisableKeepAlives: true}
		resp, err := tr.RoundTrip(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		var f refusal
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&f))
		require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
		return resp.StatusCode, f.Error, resp.Header
	}
	status, text, h := get(func(*http.Request) {})
	require.Equal(t, 426, status)
	require.Contains(t, text, "twcp --ws-connect")
	require.Equal(t, "websocket", h.Get("Upgrade"))
	status, text, _ = get(func(r *http.Request) { r.URL.Path = "/info" })
	require.Equal(t, 404, status)
	require.Contains(t, text, Path)
	status, text, _ = get(func(r *http.Request) { r.Header.Set("Upgrade", "websocket"); r.Header.Set("Connection", "Upgrade") })
	require.Equal(t, 400, status)
	require.Contains(t, text, Subprotocol)
	require.NotContains(t, w.log.String(), "logged in")

	for _, origin := range []string{"https://" + w.addr, "https://evil.example", "null", ""} {
		_, status, text := w.dial(basic("joe", joesPassword), http.Header{"Origin": {origin}})
		require.Equal(t, 403, status, origin)
		require.Contains(t, text, "browsers")
	}
	require.NotContains(t, w.log.String(), "logged in")

	for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", "SSH-2.0-x\r\n", strings.Repeat("x", 1<<16)} { // without TLS
		c, err := net.Dial("tcp", w.addr)
		require.NoError(t, err)
		_, _ = io.WriteString(c, text) // it may be gone by then
		_, _ = io.Copy(io.Discard, c)
		require.NoError(t, c.Close())
	}
	c := w.raw()
	_, err := io.WriteString(c, "GET "+Path+" HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 2*maxHeader)+"\r\n\r\n")
	if err == nil {
		var resp *http.Response
		if resp, err = http.ReadResponse(bufio.NewReader(c), nil); err == nil {
			require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, resp.StatusCode)
			_ = resp.Body.Close()
		}
	}
}

// TestQuestions: what is too large, or no question at all, ends the connection, and one connection is one question.
func TestQuestions(t *testing.T) {
	w := start(t, Config{})
	say := func(typ websocket.MessageType, b []byte) *websocket.Conn {
		ws, status, text := w.dial(basic("alpha", keySecret), nil)
		require.Equal(t, 101, status, text)
		require.NoError(t, ws.Write(t.Context(), typ, b))
		return ws
	}
	for _, big := range []string{strings.Repeat(" ", MaxQuestion+1), `{"for":"upload","paths":["` + strings.Repeat("x", MaxQuestion) + `"]}`, strings.Repeat("[", 1<<20)} {
		ws, _, _ := w.dial(basic("alpha", keySecret), nil)
		_ = ws.Write(t.Context(), websocket.MessageText, []byte(big)) // the server may have closed before all was sent
		_, _, err := ws.Read(t.Context())
		require.Error(t, err)
		if len(big) == MaxQuestion+1 { // of which all was sent before
			require.Equal(t, websocket.StatusMessageTooBig, websocket.CloseStatus(err))
		}
	}
	require.Contains(t, w.answer(say(websocket.MessageText, []byte(strings.Repeat("[", MaxQuestion)))).Error, "want")
	require.Contains(t, w.answer(say(websocket.MessageBinary, []byte(inQuestion))).Error, "want")
	most := `{"for":"upload","paths":["a"` + strings.Repeat(`,"a"`, (MaxQuestion-30)/4) + `]}`
	require.LessOrEqual(t, len(most), MaxQuestion)
	require.NotEmpty(t, w.answer(say(websocket.MessageText, []byte(most))).Token)
	w.ticket = func() error { return errors.New("too many paths") }
	require.Equal(t, "too many paths", w.ask(basic("alpha", keySecret), inQuestion).Error)
}

// TestSlow: who says nothing is cut off at each step, and the server does not wait for it when it ends.
func TestSlow(t *testing.T) {
	w := start(t, Config{Timeout: 50 * time.Millisecond})
	silent, err := net.Dial("tcp", w.addr) // no handshake of TLS
	require.NoError(t, err)
	noHeader := w.raw()
	half := w.raw()
	_, err = io.WriteString(half, "GET "+Path+" HTTP/1.1\r\nHost: x\r\n")
	require.NoError(t, err)
	for _, c := range []net.Conn{silent, noHeader, half} {
		_, _ = io.Copy(io.Discard, c) // returns when the server has closed it
		require.NoError(t, c.Close())
	}
	ws, status, _ := w.dial(basic("alpha", keySecret), nil)
	require.Equal(t, 101, status)
	_, _, err = ws.Read(context.Background())
	require.Error(t, err)
	require.NotContains(t, w.log.String(), "ticket handed over")
}

// TestCrowds: strangers make room for each other, and who has logged in is bounded.
func TestCrowds(t *testing.T) {
	w := start(t, Config{MaxUnauthenticated: 4, MaxConns: 3, MaxPerAccount: 2, Timeout: time.Hour})
	var idle []net.Conn
	for range 20 {
		idle = append(idle, w.raw())
		require.LessOrEqual(t, w.server.Stats().Unauthenticated, 4)
	}
	for _, c := range idle[:16] {
		_, _ = io.Copy(io.Discard, c) // it gave way
	}
	var held []*websocket.Conn
	for range 2 {
		ws, status, text := w.dial(basic("alpha", keySecret), nil)
		require.Equal(t, 101, status, text)
		held = append(held, ws)
	}
	status, text := w.refused(basic("alpha", keySecret))
	require.Equal(t, 503, status)
	require.Contains(t, text, "too many connections")
	_, status, _ = w.dial(basic("joe", joesPassword), nil)
	require.Equal(t, 101, status)
	w.addKey("beta", nil)
	status, _ = w.refused(basic("beta", keySecret))
	require.Equal(t, 503, status)
	require.Equal(t, 3, w.server.Stats().Conns)
	require.NoError(t, held[0].Write(t.Context(), websocket.MessageText, []byte(inQuestion)))
	require.NotEmpty(t, w.answer(held[0]).Token)
	w.stop() // while connections wait
	_, _, err := held[1].Read(context.Background())
	require.Error(t, err)
}

func TestConfig(t *testing.T) {
	w := start(t, Config{})
	good := w.server.cfg
	require.Equal(t, 10*time.Second, good.Timeout)
	for _, edit := range []func(*Config){
		func(c *Config) { c.Logins = nil }, func(c *Config) { c.Keys = nil }, func(c *Config) { c.Tickets = nil }, func(c *Config) { c.Certificate = nil },
		func(c *Config) { c.MaxConns = -1 }, func(c *Config) { c.MaxPerAccount = -1 }, func(c *Config) { c.MaxUnauthenticated = -1 }, func(c *Config) { c.Timeout = -1 },
	} {
		c := good
		edit(&c)
		_, err := New(c)
		require.Error(t, err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.ErrorIs(t, w.server.Serve(t.Context(), l), net.ErrClosed)
}
