package nodeapi

import (
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/internal/apibed"
)

func TestPing(t *testing.T) {
	b := newBed(t)
	a := b.Do("", "GET", "/ping", "")
	require.Equal(t, 200, a.Status)
	require.Empty(t, a.Body)
	require.NoError(t, b.Client("").Ping(t.Context()))
}

func TestInfo(t *testing.T) {
	b := newBed(t)
	a := b.Do(b.Alpha, "GET", "/info", "")
	require.Equal(t, 200, a.Status)
	require.Equal(t, "application/json", a.Header.Get("Content-Type"))
	require.JSONEq(t, `{"application":"node","version":"1.2.3","current_time":"2026-03-01T12:00:00Z","os":"`+runtime.GOOS+`","aej_status":"disconnected",
		"async_reporting":"no","transfer_activity_reporting":"no","transfer_user":"xfer","docroot":"/","node_id":"node-1","cluster_id":"cluster-1","acls":[],
		"access_key_configuration_capabilities":{"transfer":["policy","target_rate_kbps","target_rate_cap_kbps"],"server":["allow","deny"]},
		"capabilities":[{"name":"symbolic_links","value":true},{"name":"move_file","value":true},{"name":"move_directory","value":true},{"name":"page","value":true},
			{"name":"ssh_fingerprint","value":true},{"name":"sync","value":false},{"name":"watchfolder","value":false},{"name":"filelock","value":false},
			{"name":"file_id_version","value":""},{"name":"auto_delete","value":false}],
		"settings":[{"name":"content_protection_required","value":false},{"name":"content_protection_strong_pass_required","value":false},
			{"name":"filelock_restriction","value":"none"},{"name":"ssh_fingerprint","value":"sha256:abc"},{"name":"wss_enabled","value":true},{"name":"wss_port","value":9093}]}`, a.Body)
	require.Contains(t, b.Do(b.Admin, "GET", "/info", "").Body, `"docroot":"file:////data"`)
}

func TestUnknownRoutesAndMethods(t *testing.T) {
	b := newBed(t)
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 404, ""},
		{"GET", "/license", 404, ""},
		{"GET", "/info/", 404, ""},
		{"POST", "/info", 405, "GET, HEAD"},
		{"CANCEL", "/info", 405, "GET, HEAD"},
		{"POST", "/ping", 405, "GET, HEAD"},
		{"PATCH", "/files/browse", 405, "DELETE, GET, HEAD, POST, PUT"},
		{"GET", "/space", 405, "POST"},
		{"GET", "/ops", 501, ""},
		{"PATCH", "/access_keys/self", 405, "DELETE, GET, HEAD, PUT"},
		{"GET", "/ops/transfers", 501, ""},
		{"CANCEL", "/ops/transfers/t1", 501, ""},
		{"GET", "/events", 501, ""},
		{"GET", "/permissions?file_id=1", 501, ""},
		{"GET", "/usage/1", 501, ""},
		{"GET", "/files/1/files", 501, ""},
		{"GET", "/files/1", 501, ""},
		{"GET", "/files/../info", 400, ""},
		{"GET", "//info", 400, ""},
		{"GET", "/files/./contents", 400, ""},
	} {
		a := b.Do(b.Alpha, c.method, c.path, "")
		require.Equal(t, c.status, a.Status, "%s %s: %s", c.method, c.path, a.Body)
		require.Contains(t, a.Body, `{"error":{"code":`, "%s %s", c.method, c.path)
		require.Equal(t, c.allow, a.Header.Get("Allow"), "%s %s", c.method, c.path)
	}
	require.Equal(t, 401, b.Do("", "GET", "/ops/transfers", "").Status, "what is not offered is not told to everybody")
}

type cancels struct{}

func (cancels) Routes() map[string]func(http.ResponseWriter, *http.Request, accesskey.Grant) error {
	return map[string]func(http.ResponseWriter, *http.Request, accesskey.Grant) error{
		"CANCEL /ops/transfers/{id}": func(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
			if r.PathValue("id") != "t1" {
				return api.Errorf(http.StatusNotFound, "no such transfer")
			}
			w.Header().Set("X-Key", g.KeyID)
			w.WriteHeader(http.StatusNoContent)
			return nil
		},
		"GET /files/{file}": func(w http.ResponseWriter, r *http.Request, _ accesskey.Grant) error {
			_, err := w.Write([]byte("file " + r.PathValue("file")))
			return err
		},
	}
}

func TestExtension(t *testing.T) {
	b := newBed(t, func(c *Config) { c.Extensions = []Extension{cancels{}} })
	b.Own = func(r *http.Request) bool { return r.Method != http.MethodPost } // what it serves is its own
	a := b.Do(b.Alpha, "CANCEL", "/ops/transfers/t1", "")
	require.Equal(t, 204, a.Status)
	require.Equal(t, "ak_alpha", a.Header.Get("X-Key"))
	require.Equal(t, 404, b.Do(b.Alpha, "CANCEL", "/ops/transfers/t2", "").Status)
	require.Equal(t, 405, b.Do(b.Alpha, "GET", "/ops/transfers/t1", "").Status)
	require.Equal(t, 404, b.Do(b.Alpha, "GET", "/ops/other", "").Status)
	require.Equal(t, 501, b.Do(b.Alpha, "GET", "/events", "").Status)
	require.Equal(t, "file 1", b.Do(b.Alpha, "GET", "/files/1", "").Body)
	require.Equal(t, 405, b.Do(b.Alpha, "DELETE", "/files/1", "").Status)
	require.Equal(t, 404, b.Do(b.Alpha, "GET", "/files/1/files", "").Status)
	require.Equal(t, 200, b.Do(b.Alpha, "POST", "/files/browse", `{"path":"/"}`).Status)
	require.Equal(t, 401, b.Do("", "CANCEL", "/ops/transfers/t1", "").Status)
}

func TestOtherSites(t *testing.T) {
	b := newBed(t)
	a := b.Do(b.Alpha, "GET", "/info", "")
	require.Empty(t, a.Header.Get("Access-Control-Allow-Origin"), "nobody asked")

	const origin = "https://app.example"
	a = b.Do("", "OPTIONS", "/files/browse", "", "Origin", origin, "Access-Control-Request-Method", "POST")
	require.Equal(t, 204, a.Status)
	require.Equal(t, "*", a.Header.Get("Access-Control-Allow-Origin"))
	require.Contains(t, a.Header.Get("Access-Control-Allow-Headers"), "Authorization")
	require.Contains(t, a.Header.Get("Access-Control-Allow-Methods"), "CANCEL")
	require.Empty(t, a.Header.Get("Access-Control-Allow-Credentials"))

	a = b.Do(b.Alpha, "POST", "/files/browse", `{"path":"/"}`, "Origin", origin, "Content-Type", "application/json")
	require.Equal(t, 200, a.Status)
	require.Equal(t, "*", a.Header.Get("Access-Control-Allow-Origin"))
	require.Empty(t, a.Header.Get("Access-Control-Allow-Credentials"))
	for _, simple := range []string{"text/plain", "", "application/x-www-form-urlencoded"} {
		h := []string{"Origin", origin}
		if simple != "" {
			h = append(h, "Content-Type", simple)
		}
		a = b.Do(b.Alpha, "POST", "/files/browse", `{"path":"/"}`, h...)
		require.Equal(t, 415, a.Status, "a browser sends type %q with credentials of its own without asking", simple)
	}
}

func TestBodies(t *testing.T) {
	b := newBed(t)
	nested := func(n int) string {
		return `{"path":"/","x":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}`
	}
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"empty":            {"", 400},
		"no object":        {`["/"]`, 400},
		"null":             {`null`, 400},
		"cut":              {`{"path":"/"`, 400},
		"two":              {`{"path":"/"}{"path":"/"}`, 400},
		"wrong type":       {`{"path":7}`, 400},
		"deep":             {nested(32), 200},
		"too deep":         {nested(33), 400},
		"very deep":        {nested(400_000), 400},
		"brackets in text": {`{"path":"/","x":"` + strings.Repeat("[", 100) + `\"` + strings.Repeat("{", 100) + `"}`, 200},
		"as large as may":  {`{"path":"/","x":"` + strings.Repeat("x", 1<<20-19) + `"}`, 200},
		"too large":        {`{"path":"/","x":"` + strings.Repeat("x", 1<<20) + `"}`, 413},
	} {
		a := b.Do(b.Alpha, "POST", "/files/browse", c.body)
		require.Equal(t, c.status, a.Status, "%s: %s", name, a.Body)
	}
	create := func(n int) string {
		return b.Post(b.Alpha, "/files/create", `{"paths":[{"path":"/f","type":"file","contents":"`+strings.Repeat("AAAA", n)+`"}]}`)
	}
	require.Contains(t, create(1_400_000), `"code":413`, "4.2 MB")
	require.NotContains(t, create(1_300_000), "error", "3.9 MB")
}

func TestUnknownFieldsAreNamed(t *testing.T) {
	b := newBed(t)
	a := b.Do(b.Alpha, "POST", "/files/browse", `{"path":"/","colour":1,"PATH":"/","filters":{"shape":2,"types":["file"]},"we ird\r\n":3}`)
	require.Equal(t, 200, a.Status, a.Body)
	require.Equal(t, "colour, filters.shape, we?ird??", a.Header.Get(ignoredHeader))
}

// routesOf is an Extension with one route.
type routesOf string

func (p routesOf) Routes() map[string]func(http.ResponseWriter, *http.Request, accesskey.Grant) error {
	return map[string]func(http.ResponseWriter, *http.Request, accesskey.Grant) error{string(p): nil}
}

func TestBadExtensions(t *testing.T) {
	cfg := newBed(t).srv.cfg
	for _, pattern := range []string{"GET /info", "/ops/transfers", " /x", "GET x"} {
		cfg.Extensions = []Extension{routesOf(pattern)}
		_, err := New(cfg)
		require.Error(t, err, pattern)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []Config{{}, {Auth: &accesskey.Checker{}, Keys: &accesskey.MemStore{}, Places: apibed.Folders{}}} {
		_, err := New(c)
		require.Error(t, err)
	}
}
