package nodeapi

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/internal/apibed"
)

// attempt is a request of somebody who wants what is alpha's, and what beta's key gets for it.
type attempt struct {
	path, body string
	beta       int
}

// attempts has one for every route; the id is that of alpha's key, the paths are names in alpha's folder.
var attempts = map[string][]attempt{
	"GET /info":                  {{"/info", "", 200}},
	"GET /self":                  {{"/self", "", 200}},
	"GET /access_keys":           {{"/access_keys", "", 200}},
	"POST /access_keys":          {{"/access_keys", `{"id":"ak_alpha","storage":{"type":"local","path":"/alpha"}}`, 403}},
	"GET /access_keys/{id}":      {{"/access_keys/ak_alpha", "", 404}, {"/access_keys/self", "", 200}},
	"PUT /access_keys/{id}":      {{"/access_keys/ak_alpha", `{"secret":"0123456789abcdef0123456789abcdef"}`, 404}},
	"DELETE /access_keys/{id}":   {{"/access_keys/ak_alpha", "", 404}},
	"POST /files/browse":         {{"/files/browse", `{"path":"/"}`, 200}, {"/files/browse", `{"path":"/private"}`, 404}, {"/files/browse", `{"path":"/../alpha"}`, 400}},
	"POST /files/search":         {{"/files/search", `{"path":"/"}`, 200}, {"/files/search", `{"path":"/private"}`, 404}},
	"POST /files/page":           {{"/files/page", `{"path":"/"}`, 200}, {"/files/page", `{"path":"/private"}`, 404}},
	"POST /files/info":           {{"/files/info", `{"paths":[{"path":"/private"},{"path":"/../alpha/private"}]}`, 200}},
	"POST /files/create":         {{"/files/create", `{"paths":[{"path":"/../alpha/x","type":"file"}]}`, 200}},
	"POST /files/delete":         {{"/files/delete", `{"paths":[{"path":"/private"},{"path":"/../alpha/private"}]}`, 200}},
	"POST /files/rename":         {{"/files/rename", `{"paths":[{"path":"/","source":"private","destination":"mine"},{"path":"/../alpha","source":"private","destination":"mine"}]}`, 200}},
	"POST /files/du":             {{"/files/du", `{"path":"/"}`, 200}, {"/files/du", `{"path":"/private"}`, 404}},
	"POST /space":                {{"/space", `{"paths":[{"path":"/private"}]}`, 200}},
	"GET /files/{path}/contents": {{"/files/private%2Fnote/contents", "", 404}, {"/files/..%2Falpha%2Fprivate%2Fnote/contents", "", 400}},
	"POST /files/upload_setup":   {{"/files/upload_setup", `{"transfer_requests":[{"transfer_request":{"paths":[{"destination":"/../alpha"}]}}]}`, 200}},
	"POST /files/download_setup": {{"/files/download_setup", `{"transfer_requests":[{"transfer_request":{"paths":[{"source":"/../alpha"}]}}]}`, 200}},
	"POST /extra":                {{"/extra", `{}`, 200}},
}

// public are the routes that ask nobody who it is.
var public = []string{"GET /openapi.json", "GET /openapi.yaml", "GET /ping"}

// alphaMark stands in all that is alpha's.
const alphaMark = "only-alpha"

type extra struct{}

func (extra) Routes() map[string]func(http.ResponseWriter, *http.Request, accesskey.Grant) error {
	return map[string]func(http.ResponseWriter, *http.Request, accesskey.Grant) error{
		"POST /extra": func(w http.ResponseWriter, _ *http.Request, g accesskey.Grant) error {
			_, err := w.Write([]byte(g.KeyID))
			return err
		},
	}
}

// TestEveryRouteAsksWhoItIs walks every route with every kind of credentials that must not get in, and with those of another tenant.
func TestEveryRouteAsksWhoItIs(t *testing.T) {
	b := newBed(t, func(c *Config) {
		c.Extensions = []Extension{extra{}}
		c.Auth.Users = nil // whose passwords take long; TestUsersLookAlike has them
	})
	b.Own = func(r *http.Request) bool { return r.URL.Path == "/extra" }
	b.Alpha = b.Key("ak_alpha", "alpha", func(k *accesskey.Key) { k.Note, k.VLink = alphaMark, alphaMark })
	b.File("alpha/private/note", alphaMark)
	b.File("alpha/private/"+alphaMark, alphaMark)
	b.File("alpha/"+alphaMark, alphaMark)
	disabled := b.Key("ak_disabled", "beta", func(k *accesskey.Key) { k.Disabled = true })
	revoked := b.Key("ak_revoked", "alpha", nil)
	require.NoError(t, b.Keys.Delete(context.Background(), "ak_revoked"))
	token, err := b.ring.Seal(accesskey.TransferToken{Key: "ak_alpha", Direction: accesskey.Download, Paths: []string{""}, Expires: noon.Add(time.Hour)})
	require.NoError(t, err)
	basic := func(id, secret string) string { return accesskey.Credential{ID: id, Secret: secret}.Token() }

	const unauthorized = `{"error":{"code":401,"reason":"Unauthorized","user_message":"the credentials are missing or wrong"}}`
	notServed := slices.Concat(slices.Collect(maps.Values(notOffered))...) // TestUnknownRoutesAndMethods has them
	for _, pattern := range b.srv.Routes() {
		method, path, _ := strings.Cut(pattern, " ")
		if slices.Contains(public, pattern) {
			a := b.Do("", method, path, "")
			require.Equal(t, 200, a.Status, "%s is for everybody", pattern)
			require.Equal(t, a.Body, b.Do(b.Beta, method, path, "").Body, "%s tells everybody the same", pattern)
			continue
		}
		if slices.Contains(notServed, pattern) {
			if method, path, ok := strings.Cut(pattern, " "); ok {
				require.Equal(t, 401, b.Do("", method, path, "").Status, pattern)
			} else {
				require.Equal(t, 401, b.Do("", "GET", pattern, "").Status, pattern)
			}
			continue
		}
		require.NotEmpty(t, attempts[pattern], "the test has no attempt for %s", pattern)
		for _, at := range attempts[pattern] {
			name := method + " " + at.path
			for kind, auth := range map[string]string{
				"no key": "", "a wrong secret": basic("ak_alpha", "wrong"), "an unknown key": basic("ak_nobody", "wrong"), "a wrong password": basic("admin", "wrong"),
				"a revoked key": revoked, "noise": "Basic !", "an unknown scheme": "Digest x", "no bearer token": "Bearer x", "a token as bearer": "Bearer " + token,
			} {
				a := b.Do(auth, method, at.path, at.body, "X-Aspera-AccessKey", "ak_alpha")
				require.Equal(t, 401, a.Status, "%s with %s", name, kind)
				require.JSONEq(t, unauthorized, a.Body, "%s with %s", name, kind)
				require.Equal(t, `Basic realm="tradewind", charset="UTF-8"`, a.Header.Get("WWW-Authenticate"))
			}
			a := b.Do(token, method, at.path, at.body)
			require.Equal(t, 401, a.Status, "%s with a transfer token", name)
			require.NotContains(t, a.Body, alphaMark)
			a = b.Do(disabled, method, at.path, at.body)
			require.Equal(t, 403, a.Status, "%s with a disabled key", name)
			require.Contains(t, a.Body, "disabled")

			a = b.Do(b.Beta, method, at.path, at.body)
			require.Equal(t, at.beta, a.Status, "%s of another tenant: %s", name, a.Body)
			require.NotContains(t, a.Body, alphaMark, "%s of another tenant", name)
			for h, v := range a.Header {
				require.NotContains(t, strings.Join(v, ""), alphaMark, "%s of another tenant, header %s", name, h)
			}
			if at.beta == 404 && strings.Contains(at.path, "ak_alpha") {
				other := b.Do(b.Beta, method, strings.Replace(at.path, "ak_alpha", "ak_nobody", 1), at.body)
				require.Equal(t, other.Status, a.Status)
				require.Equal(t, other.Body, a.Body, "%s: a key of others looks like one that does not exist", name)
			}
		}
	}
	require.NotContains(t, b.log.String(), token)

	// Nothing of alpha's has changed.
	require.FileExists(t, b.Base+"/alpha/private/note")
	require.NoFileExists(t, b.Base+"/alpha/x")
	require.Equal(t, 200, b.Do(b.Alpha, "GET", "/access_keys/self", "").Status)
	require.Contains(t, b.Do(b.Alpha, "GET", "/access_keys/self", "").Body, alphaMark, "the mark is one")
	require.Contains(t, b.Post(b.Alpha, "/files/browse", `{"path":"/"}`), alphaMark)
}

func TestTwoAuthorizationsAreNone(t *testing.T) {
	b := newBed(t)
	require.Equal(t, 401, b.Do(b.Alpha, "GET", "/info", "", "Authorization", b.Beta).Status)
}

// TestUsersLookAlike: with users of the node, too, what is wrong does not show.
func TestUsersLookAlike(t *testing.T) {
	b := newBed(t)
	require.Equal(t, 200, b.Do(b.Admin, "GET", "/info", "").Status)
	var first apibed.Answer
	for i, id := range []string{"admin", "ak_alpha", "nobody"} {
		a := b.Do(accesskey.Credential{ID: id, Secret: "wrong"}.Token(), "GET", "/info", "")
		require.Equal(t, 401, a.Status, id)
		if i == 0 {
			first = a
		}
		require.Equal(t, first.Body, a.Body, id)
	}
}
