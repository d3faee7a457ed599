package nodeapi

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/internal/apibed"
)

// TestTrusted: who looks after the machine needs no credentials, and alone binds keys to places outside of the docroot.
func TestTrusted(t *testing.T) {
	var asked []string
	b := newBed(t, func(c *Config) {
		p := c.Places.(apibed.Folders)
		p.Ask = func(g accesskey.Grant) error { asked = append(asked, g.Root); return fs.ErrNotExist }
		c.Places = p
	})
	local := b.srv.Trusted("local")
	ask := func(h http.Handler, method, path, body string) (int, string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		if h == http.Handler(b.srv) {
			r.Header.Set("Authorization", b.Admin)
		}
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	const uri = `{"id":"far","tradewind":{"root":"s3://host/bucket/x"}}`
	code, body := ask(b.srv, "POST", "/access_keys", uri)
	require.Equal(t, 403, code, body)
	require.Contains(t, body, "on the node's machine only")
	code, body = ask(b.srv, "PUT", "/access_keys/ak_alpha", `{"tradewind":{"root":"file:///"}}`)
	require.Equal(t, 403, code, body)
	code, body = ask(local, "POST", "/access_keys", uri)
	require.Equal(t, 201, code, body)
	require.Contains(t, body, `"storage":{"path":"s3://host/bucket/x","type":"uri"}`)
	require.Contains(t, body, `"state":"pending"`)
	k := b.settled("far")
	require.Equal(t, "s3://host/bucket/x", k.Root)
	require.Equal(t, accesskey.Failed, k.State)
	require.Equal(t, "the storage has no such bucket, container or folder", k.StateText)
	for root, why := range map[string]string{"../x": "leads out", "/a/../../x": "leads out"} {
		code, body = ask(local, "PUT", "/access_keys/far", `{"tradewind":{"root":"`+root+`"}}`)
		require.Equal(t, 400, code, body)
		require.Contains(t, body, why)
	}
	code, body = ask(local, "PUT", "/access_keys/far", `{"storage":{"type":"local","path":"/x"},"tradewind":{"root":"y"}}`)
	require.Equal(t, 400, code, body)
	code, body = ask(local, "PUT", "/access_keys/far", `{"tradewind":{"root":"/a//b/"}}`)
	require.Equal(t, 204, code, body)
	k = b.settled("far")
	require.Equal(t, "a/b", k.Root)
	require.Equal(t, accesskey.Ready, k.State)
	require.Empty(t, k.StateText)
	require.Equal(t, []string{"s3://host/bucket/x"}, asked, "a folder of the node's own is made when it is needed")
	require.Nil(t, k.Storage)
	// The grant of a trusted request is not one that a header could bring.
	code, _ = ask(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.srv.ServeHTTP(w, r) }), "GET", "/access_keys", "")
	require.Equal(t, 401, code)
}
