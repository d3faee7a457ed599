package node

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
)

// public are the calls that need no credentials.
var public = []string{"GET /ping", "GET /openapi.yaml", "GET /openapi.json"}

// TestEveryRouteOfANode walks all that a real node serves, with every kind of credentials that must not get in, and with those of another tenant at the ids of what is anna's.
func TestEveryRouteOfANode(t *testing.T) {
	const mark, unsaid = "only-anna", "word-of-anna" // the second stands in no request of others
	a := startReal(t, "a", nil)
	anna, bert, gone, off := a.key("anna"), a.key("bert"), a.key("gone"), a.key("off")
	admin := a.client(nodeUser)
	require.NoError(t, admin.DeleteAccessKey(t.Context(), "gone"))
	yes := true
	require.NoError(t, admin.UpdateAccessKey(t.Context(), "off", api.AccessKeyRequest{Tradewind: &api.KeySettings{Disabled: &yes}}))
	a.file("anna/"+mark+"/f", 10)
	mine := a.client(anna)
	entries, _, err := mine.Entries(t.Context(), "1", api.EntryQuery{})
	require.NoError(t, err)
	require.Len(t, entries, 1)
	perm, err := mine.CreatePermission(t.Context(), api.PermissionRequest{FileID: api.ID(entries[0].ID), AccessType: "user", AccessID: unsaid, AccessLevels: []string{"list"}})
	require.NoError(t, err)
	job, err := mine.StartTransfer(t.Context(), map[string]any{
		"direction": "send", "remote_host": "192.0.2.1", "token": "Basic " + "eDp5", "paths": []any{map[string]any{"source": mark}}, "destination_root": "/", "cookie": unsaid,
		"tags": map[string]any{"aspera": map[string]any{"usage_id": mark, "say": unsaid}},
	})
	require.NoError(t, err)
	paused := string(api.Paused)
	_, err = mine.ChangeTransfer(t.Context(), job.ID, api.ChangeTransfer{Status: &paused})
	require.NoError(t, err)
	events, _, err := mine.Events(t.Context(), "")
	require.NoError(t, err)
	require.NotEmpty(t, events)

	ids := map[string]string{
		"/access_keys/{id}": "anna", "/ops/transfers/{id}": job.ID, "/events/{id}": events[0].ID, "/permissions/{id}": perm.ID, "/usage/{id}": mark, "/files/{id}": entries[0].ID,
		"/files/{path}": "%2F..%2Fanna%2F" + mark + "%2Ff",
	}
	ask := func(method, path, auth string) (int, string) {
		body := ""
		if method == "POST" || method == "PUT" {
			body = `{"paths":[{"path":"/../anna/` + mark + `"}],"path":"/../anna","file_id":"` + entries[0].ID + `","status":"canceled","secret":"0123456789abcdef0123456789abcdef","name":"stolen"}`
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "https://"+a.node.APIAddr().String()+path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		if auth != "" {
			r.Header.Set("Authorization", auth)
		}
		resp, err := a.http.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(b)
	}
	token, err := a.node.checker.Tokens.Seal(accesskey.TransferToken{Key: "anna", Direction: accesskey.Upload, Paths: []string{""}, Node: a.node.checker.Node, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	// Of what an address may be wrong with only so much is looked at, so that most of these answers are 429.
	strangers := map[string]string{
		"none": "", "wrong secret": accesskey.Credential{ID: "anna", Secret: "wrong"}.Token(), "deleted": gone.Token(), "disabled": off.Token(), "transfer token": token, "no token": "Bearer x", "nonsense": "Basic ?",
	}
	routes := a.node.desk.api.Routes()
	require.Greater(t, len(routes), 40)
	for _, pattern := range routes {
		method, path, _ := strings.Cut(pattern, " ")
		for where, id := range ids {
			if strings.HasPrefix(path, where) {
				_, name, _ := strings.Cut(where, "{")
				path = strings.Replace(path, "{"+name, id, 1)
			}
		}
		require.NotContains(t, path, "{", "the walk does not know what to put there")
		for who, auth := range strangers {
			code, body := ask(method, path, auth)
			if slices.Contains(public, pattern) {
				require.Equal(t, 200, code, pattern)
				continue
			}
			require.Contains(t, []int{401, 403, 429}, code, "%s as %s: %s", pattern, who, body)
			require.NotContains(t, body, unsaid)
		}
		code, body := ask(method, path, bert.Token())
		require.Less(t, code, 500+2, "%s: %s", pattern, body)
		require.NotEqual(t, 500, code, "%s: %s", pattern, body)
		require.NotContains(t, body, unsaid, pattern)
		require.NotContains(t, body, anna.Secret, pattern)
	}
	// All that is anna's is as it was.
	got, err := mine.Transfer(t.Context(), job.ID)
	require.NoError(t, err)
	require.Equal(t, api.Paused, got.Status)
	_, err = mine.Permission(t.Context(), perm.ID)
	require.NoError(t, err)
	_, err = os.Stat(filepath.Join(a.docroot, "anna", mark, "f"))
	require.NoError(t, err)
	list, err := mine.AccessKeys(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
}
