package node

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/wsd"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// wss asks for a ticket. status is that of HTTP.
func (r *realNode) wss(auth, question string) (a wsd.Answer, status int) {
	r.t.Helper()
	pem, err := os.ReadFile(filepath.Join(r.cfg.StateDir, certName))
	require.NoError(r.t, err)
	pool := x509.NewCertPool()
	require.True(r.t, pool.AppendCertsFromPEM(pem))
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}
	ws, resp, err := websocket.Dial(r.t.Context(), "wss://"+r.node.WSSAddr().String()+wsd.Path, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: tr}, HTTPHeader: http.Header{"Authorization": {auth}}, Subprotocols: []string{wsd.Subprotocol},
	})
	if err != nil {
		require.NotNil(r.t, resp, "%v", err)
		b, err := io.ReadAll(resp.Body)
		require.NoError(r.t, err)
		require.NoError(r.t, json.Unmarshal(b, &a))
		return a, resp.StatusCode
	}
	defer func() { _ = ws.CloseNow() }()
	require.NoError(r.t, ws.Write(r.t.Context(), websocket.MessageText, []byte(question)))
	_, b, err := ws.Read(r.t.Context())
	require.NoError(r.t, err)
	require.NoError(r.t, json.Unmarshal(b, &a))
	if a.Error == "" {
		require.Equal(r.t, r.node.Fingerprint().String(), a.Fingerprint)
		require.Equal(r.t, r.port(), a.UDPPort)
	}
	return a, resp.StatusCode
}

// TestWSS: tickets over WebSocket are like those over SSH, of accounts and of access keys, and end with whom they were made for.
func TestWSS(t *testing.T) {
	r := startReal(t, "n", func(c *Config) { c.SSH, c.SSHUser, c.WSS = "127.0.0.1:0", &joe, "127.0.0.1:0" })
	r.edit(func(d *accountDoc) { d.Root = "homes/joe" })
	anna := r.key("anna")
	const up, down, manage = `{"for":"upload","paths":["/in"]}`, `{"for":"download","paths":["/in"]}`, `{"for":"manage"}`
	for _, c := range []struct {
		who  accesskey.Credential
		root string
	}{{joe, "homes/joe"}, {anna, "anna"}} {
		upload, _ := r.wss(c.who.Token(), up)
		require.NoError(t, r.up(upload.Token, "/in/new"))
		require.NoError(t, r.up(upload.Token, "/in/again"), "a ticket may be used more than once")
		require.FileExists(t, filepath.Join(r.docroot, c.root, "in/again"))
		download, _ := r.wss(c.who.Token(), down)
		require.NoError(t, r.down(download.Token, "/in/new"))
		look, _ := r.wss(c.who.Token(), manage)
		sess, err := r.dial(look.Token)(t.Context(), nil)
		require.NoError(t, err)
		m, err := transfer.Manage(t.Context(), sess)
		require.NoError(t, err)
		_, err = m.Stat(t.Context(), "/in/new")
		require.NoError(t, err)
		require.NoError(t, m.Close())
		for name, err := range map[string]error{
			"another folder": r.up(upload.Token, "/elsewhere"), "out of the folder": r.up(upload.Token, "/in/../../x"), "upload with a download": r.up(download.Token, "/in/x"),
			"download with an upload": r.down(upload.Token, "/in/new"), "upload to look": r.up(look.Token, "/in/x"), "changed": r.up(bent(upload.Token), "/in/x"),
		} {
			require.Error(t, err, name)
		}
		for _, token := range []string{upload.Token, download.Token, look.Token} {
			x, err := r.node.checker.Tokens.Open(token, r.node.Fingerprint().String(), time.Now())
			require.NoError(t, err)
			require.LessOrEqual(t, time.Until(x.Expires), ticketLife)
			_, err = r.node.checker.Tokens.Open(token, "another node", time.Now())
			require.ErrorIs(t, err, accesskey.ErrAuth)
		}
	}

	// The token of an application's setup gets a ticket that ends no later than itself.
	spec, err := r.client(anna).UploadSetup(t.Context(), api.TransferRequest{DestinationRoot: "/in", TokenLife: 30})
	require.NoError(t, err)
	a, _ := r.wss(spec.Token, `{"for":"upload","paths":["/in/deep"]}`)
	x, err := r.node.checker.Tokens.Open(a.Token, r.node.Fingerprint().String(), time.Now())
	require.NoError(t, err)
	require.LessOrEqual(t, time.Until(x.Expires), 30*time.Second)
	require.NoError(t, r.up(a.Token, "/in/deep/f"))
	require.Error(t, r.up(a.Token, "/in/f"))
	// The id of usage goes on.
	spec, err = r.client(anna).UploadSetup(t.Context(), api.TransferRequest{DestinationRoot: "/in", Tags: json.RawMessage(`{"aspera":{"usage_id":"film"}}`)})
	require.NoError(t, err)
	used, _ := r.wss(spec.Token, up)
	x, err = r.node.checker.Tokens.Open(used.Token, r.node.Fingerprint().String(), time.Now())
	require.NoError(t, err)
	require.Equal(t, "film", x.UsageID)
	// The API takes no ticket.
	_, err = r.client(anna).Info(t.Context())
	require.NoError(t, err)
	bad := &api.Client{URL: "https://" + r.node.APIAddr().String(), Authorization: a.Token, HTTP: r.http}
	_, err = bad.Info(t.Context())
	require.Error(t, err)

	// Who is nobody here, or nobody any more.
	upload, _ := r.wss(anna.Token(), up)
	for name, c := range map[string]accesskey.Credential{"a user of the node": nodeUser, "wrong password": {ID: "joe", Secret: "wrong horse battery"}, "no account": {ID: "ann", Secret: joe.Secret}} {
		got, status := r.wss(c.Token(), up)
		require.Equal(t, http.StatusUnauthorized, status, name)
		require.Equal(t, "failed to authenticate", got.Error, name)
	}
	k, err := r.node.checker.Keys.Key(t.Context(), "anna")
	require.NoError(t, err)
	k.Disabled = true
	require.NoError(t, r.node.checker.Keys.Put(t.Context(), k))
	got, status := r.wss(anna.Token(), up)
	require.Equal(t, http.StatusForbidden, status)
	require.Equal(t, "this access key is disabled", got.Error)
	require.ErrorContains(t, r.up(upload.Token, "/in/x"), "disabled")
	require.NoError(t, r.client(nodeUser).DeleteAccessKey(t.Context(), "anna"))
	_, status = r.wss(anna.Token(), up)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, transfer.CodeAuth, codeOf(t, r.up(upload.Token, "/in/x")))
	_, status = r.wss(spec.Token, up)
	require.Equal(t, http.StatusUnauthorized, status)
	r.edit(func(d *accountDoc) { d.Rights = []string{"read"} })
	got, status = r.wss(joe.Token(), up)
	require.Equal(t, http.StatusSwitchingProtocols, status)
	require.Equal(t, "upload is not allowed", got.Error)
	r.edit(func(d *accountDoc) { d.Disabled = true })
	_, status = r.wss(joe.Token(), up)
	require.Equal(t, http.StatusUnauthorized, status)
	r.edit(func(d *accountDoc) { d.Disabled = false })

	// Guesses count for both ways in.
	for {
		if _, status = r.wss(accesskey.Credential{ID: "joe", Secret: "wrong horse battery"}.Token(), up); status == http.StatusTooManyRequests {
			break
		}
		require.Equal(t, http.StatusUnauthorized, status)
	}
	_, err = r.login("joe")
	require.ErrorContains(t, err, "unable to authenticate")
}

// TestPortsAreTold: the API says at which ports there is SSH and WebSocket, and nothing of what there is not.
func TestPortsAreTold(t *testing.T) {
	told := func(edit func(*Config)) (r *realNode, settings map[string]any, spec api.TransferSpec) {
		r = startReal(t, "n", edit)
		c := r.client(r.key("anna"))
		info, err := c.Info(t.Context())
		require.NoError(t, err)
		settings = map[string]any{}
		for _, s := range info.Settings {
			settings[s.Name] = s.Value
		}
		spec, err = c.UploadSetup(t.Context(), api.TransferRequest{DestinationRoot: "/in"})
		require.NoError(t, err)
		return r, settings, spec
	}
	r, settings, spec := told(nil)
	require.Nil(t, r.node.WSSAddr())
	require.Equal(t, false, settings["wss_enabled"])
	require.NotContains(t, settings, "wss_port")
	require.False(t, spec.WSSEnabled)
	require.Zero(t, spec.WSSPort)
	require.Zero(t, spec.SSHPort)
	r.stop()
	r, settings, spec = told(func(c *Config) { c.SSH, c.WSS = "127.0.0.1:0", "127.0.0.1:0" })
	wss := r.node.WSSAddr().(*net.TCPAddr).Port
	require.Equal(t, true, settings["wss_enabled"])
	require.Equal(t, fmt.Sprint(wss), fmt.Sprint(settings["wss_port"]))
	require.True(t, spec.WSSEnabled)
	require.Equal(t, wss, spec.WSSPort)
	require.Equal(t, r.node.SSHAddr().(*net.TCPAddr).Port, spec.SSHPort)
}

// TestWSSAlone: it needs neither SSH nor the API, keeps its certificate until that is replaced, and a port that is taken ends the node with what did start.
func TestWSSAlone(t *testing.T) {
	r := startBare(t, func(c *Config) { c.WSS, c.SSHUser = "127.0.0.1:0", &joe })
	before, err := os.ReadFile(filepath.Join(r.cfg.StateDir, certName))
	require.NoError(t, err)
	a, _ := r.wss(joe.Token(), `{"for":"upload","paths":["/"]}`)
	require.NoError(t, r.up(a.Token, "/f"))
	r.stop()
	r.run()
	after, err := os.ReadFile(filepath.Join(r.cfg.StateDir, certName))
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.Error(t, r.up(bent(a.Token), "/g"))
	require.NoError(t, r.up(a.Token, "/g"), "a node that starts again knows its tickets")

	// A certificate that was replaced is shown after a reload.
	was := r.node.WSSFingerprint()
	require.NoError(t, os.Remove(filepath.Join(r.cfg.StateDir, certName)))
	require.NoError(t, os.Remove(filepath.Join(r.cfg.StateDir, keyName)))
	require.NoError(t, r.node.Reconfigure(t.Context(), r.cfg))
	require.NotEqual(t, was, r.node.WSSFingerprint())
	a, _ = r.wss(joe.Token(), `{"for":"manage"}`)
	require.NotEmpty(t, a.Token)

	other := r.cfg
	other.StateDir, other.SSH, other.WSS = filepath.Join(t.TempDir(), "state"), "127.0.0.1:0", r.node.WSSAddr().String()
	n, err := New(other)
	require.NoError(t, err)
	require.ErrorContains(t, n.Run(t.Context()), "open the port of WebSocket")
}
