package fileids

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/internal/apibed"
)

// alphaMark stands in all that is alpha's.
const alphaMark = "only-alpha"

// attempts has requests for each route of somebody who wants what is alpha's. ID is the id of a file of alpha's which beta has none of, FOLDER that of its folder, and PERM that of a permission;
// in a second round they are ids that nobody has, and the answers must be the same.
var attempts = map[string][]struct {
	path, body string
	beta, user int // what beta's key and a user of alpha's without permissions get
}{
	"GET /files/{id}":          {{"/files/ID", "", 404, 404}, {"/files/FOLDER?include=recursive_counts,permission_count", "", 404, 404}, {"/files/ID?access_key=ak_alpha", "", 403, 404}},
	"PUT /files/{id}":          {{"/files/ID", `{"name":"mine"}`, 404, 404}, {"/files/ID", `{"name":"../../beta/mine"}`, 404, 404}},
	"DELETE /files/{id}":       {{"/files/ID", "", 404, 404}, {"/files/FOLDER", "", 404, 404}},
	"GET /files/{id}/files":    {{"/files/FOLDER/files", "", 404, 404}, {"/files/FOLDER/files?access_key=ak_alpha", "", 403, 404}},
	"POST /files/{id}/files":   {{"/files/FOLDER/files", `{"name":"x","type":"file"}`, 404, 404}, {"/files/FOLDER/files", `{"name":"x","type":"folder"}`, 404, 404}},
	"GET /files/{id}/content":  {{"/files/ID/content", "", 404, 404}},
	"GET /permissions":         {{"/permissions?file_id=ID", "", 404, 403}, {"/permissions?file_id=ID&inherited=true&embed[]=file", "", 404, 403}, {"/permissions?access_key=ak_alpha", "", 403, 403}},
	"POST /permissions":        {{"/permissions", `{"file_id":"ID","access_type":"user","access_id":"eve","access_level":"edit"}`, 404, 403}},
	"GET /permissions/{id}":    {{"/permissions/PERM", "", 404, 403}},
	"PUT /permissions/{id}":    {{"/permissions/PERM", `{"access_level":"edit"}`, 404, 403}},
	"DELETE /permissions/{id}": {{"/permissions/PERM", "", 404, 403}},
}

// TestEveryRouteAsksWhoItIs walks every route with every kind of credentials that must not get in, with those of another tenant, and with those of a user without permission.
func TestEveryRouteAsksWhoItIs(t *testing.T) {
	b := newBed(t)
	b.stop()
	b.users = nil // whose passwords take long
	b.start()
	b.File("alpha/"+alphaMark+"/secret-"+alphaMark, alphaMark)
	for _, name := range []string{"a", "b"} { // so that beta's ids end before alpha's
		b.File("alpha/"+alphaMark+"/"+name+alphaMark, "")
	}
	b.File("beta/mine", "")
	folder, id := b.id(alphaMark), b.id(alphaMark+"/secret-"+alphaMark)
	perm, err := b.Client(b.Alpha).CreatePermission(t.Context(), api.PermissionRequest{
		FileID: api.ID(id), AccessType: api.AccessUser, AccessID: alphaMark, AccessLevel: "edit", Tags: []byte(`{"x":"` + alphaMark + `"}`),
	})
	require.NoError(t, err)
	disabled := b.Key("ak_disabled", "beta", func(k *accesskey.Key) { k.Disabled = true })
	revoked := b.Key("ak_revoked", "alpha", nil)
	require.NoError(t, b.Keys.Delete(t.Context(), "ak_revoked"))
	require.NoError(t, b.Keys.Put(t.Context(), func() accesskey.Key { k, _ := b.Keys.Key(t.Context(), "ak_beta"); k.TokenKey = ""; return k }()))
	before := tree(t, b.Base)
	events := b.events()

	fill := strings.NewReplacer("ID", id, "FOLDER", folder, "PERM", perm.ID)
	nobody := strings.NewReplacer("ID", "900001", "FOLDER", "900002", "PERM", "900003")
	f, err := New(Config{State: b.state, Places: b.places, Keys: b.Keys})
	require.NoError(t, err)
	for pattern := range f.Routes() {
		method, _, _ := strings.Cut(pattern, " ")
		require.NotEmpty(t, attempts[pattern], "the test has no attempt for %s", pattern)
		for _, at := range attempts[pattern] {
			path, body := fill.Replace(at.path), fill.Replace(at.body)
			name := method + " " + path
			for kind, auth := range map[string]string{
				"no key": "", "a wrong secret": accesskey.Credential{ID: "ak_alpha", Secret: "wrong"}.Token(), "an unknown key": accesskey.Credential{ID: "ak_nobody", Secret: "wrong"}.Token(),
				"a revoked key": revoked, "noise": "Basic !", "no bearer token": "Bearer x", "a bearer token for a key without users": b.Sealed(accesskey.Bearer{User: "u", Key: "ak_beta"}),
			} {
				a := b.Do(auth, method, path, body)
				require.Equal(t, 401, a.Status, "%s with %s", name, kind)
				require.NotContains(t, a.Body, alphaMark)
			}
			a := b.Do(disabled, method, path, body)
			require.Equal(t, 403, a.Status, "%s with a disabled key", name)
			require.Contains(t, a.Body, "disabled")
			a = b.Do(b.Bearer("u"), method, path, body, "X-Aspera-AccessKey", "ak_beta")
			require.Equal(t, 401, a.Status, "%s with a bearer token of another key", name)
			for who, x := range map[string]struct {
				auth string
				want int
			}{"another tenant": {b.Beta, at.beta}, "a user": {b.Bearer("eve", "evil", alphaMark), at.user}} {
				a := b.Do(x.auth, method, path, body)
				require.Equal(t, x.want, a.Status, "%s of %s: %s", name, who, a.Body)
				require.NotContains(t, a.Body, alphaMark, "%s of %s", name, who)
				for h, v := range a.Header {
					require.NotContains(t, strings.Join(v, ""), alphaMark, "%s of %s, header %s", name, who, h)
				}
				other := b.Do(x.auth, method, nobody.Replace(at.path), nobody.Replace(at.body))
				require.Equal(t, other.Status, a.Status, "%s of %s", name, who)
				require.Equal(t, other.Body, a.Body, "%s of %s: what is there looks like what is not", name, who)
			}
		}
	}
	// The low ids that both have are each one's own.
	list := b.Do(b.Beta, "GET", "/files/1/files", "")
	require.Equal(t, 200, list.Status)
	require.NotContains(t, list.Body, alphaMark)
	require.Contains(t, b.Do(b.Beta, "GET", "/files/2", "").Body, `"name":"mine"`)
	require.Equal(t, "[]\n", b.Do(b.Beta, "GET", "/permissions", "").Body)

	// Nothing of alpha's has changed, and it is still there to be found.
	require.Equal(t, before, tree(t, b.Base))
	require.Equal(t, events, b.events())
	require.Contains(t, b.Do(b.Alpha, "GET", "/files/"+id+"/content", "").Body, alphaMark)
	require.Contains(t, b.Do(b.Alpha, "GET", "/permissions/"+perm.ID, "").Body, alphaMark)
	require.Contains(t, b.Do(b.Bearer(alphaMark), "GET", "/files/"+id, "").Body, alphaMark)
}

// tree lists all that is below a folder.
func tree(t *testing.T, dir string) (list []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		list = append(list, p)
		return err
	}))
	return list
}

// TestRights: what the key does not allow, nobody does, whatever permissions say.
func TestRights(t *testing.T) {
	for rights, want := range map[string]string{
		"read": "read", "list": "list", "write": "write mkdir", "delete": "delete", "write,delete": "write mkdir rename delete", "list,read,write": "list read write mkdir", "none": "",
	} {
		for _, who := range []string{"the key", "anna"} {
			b := newBed(t)
			b.File("alpha/d/f", "x")
			id, folder := b.id("d/f"), b.id("d")
			b.allow("", api.AccessUser, "anna", levels(levelsEdit).names()...)
			k, err := b.Keys.Key(t.Context(), "ak_alpha")
			require.NoError(t, err)
			k.Rights, err = accesskey.ParseRights(rights)
			require.NoError(t, err)
			require.NoError(t, b.Keys.Put(t.Context(), k))
			auth, refused := b.Alpha, 403
			if who == "anna" {
				auth = b.Bearer("anna")
				if rights == "none" {
					refused = 404
				}
			}
			for _, c := range []struct{ level, method, path, body string }{
				{"list", "GET", "/files/" + folder + "/files", ""},
				{"read", "GET", "/files/" + id + "/content", ""},
				{"write", "POST", "/files/" + folder + "/files", `{"name":"new","type":"file"}`},
				{"mkdir", "POST", "/files/" + folder + "/files", `{"name":"newd","type":"folder"}`},
				{"rename", "PUT", "/files/" + id, `{"name":"g"}`},
				{"delete", "DELETE", "/files/" + id, ""},
			} {
				a := b.Do(auth, c.method, c.path, c.body)
				name := fmt.Sprintf("%s with %s: %s %s: %s", who, rights, c.method, c.path, a.Body)
				if slices.Contains(strings.Fields(want), c.level) {
					require.Less(t, a.Status, 300, name)
				} else {
					require.Equal(t, refused, a.Status, name)
				}
			}
			b.stop()
		}
	}
}

// TestPermissionsBind: what a permission on a file or folder allows its user and its groups, above, on and below.
func TestPermissionsBind(t *testing.T) {
	b := newBed(t)
	for _, name := range []string{"top", "a/in", "a/b/deep", "a/b/c/deepest", "other/x"} {
		b.File("alpha/"+name, name)
	}
	b.allow("a", api.AccessUser, "anna", "list")
	b.allow("a/b", api.AccessGroup, "crew", "read")
	b.allow("a/b/c/deepest", api.AccessUser, "anna", "delete")
	b.allow("other", api.AccessUser, "crew", "read") // a user of the group's name
	b.allow("other", api.AccessGroup, "anna", "read")
	for who, want := range map[string]map[string]string{
		"anna":      {"a": "list", "a/in": "list", "a/b": "list", "a/b/deep": "list", "a/b/c/deepest": "list delete"},
		"anna crew": {"a": "list", "a/in": "list", "a/b": "list read", "a/b/deep": "list read", "a/b/c/deepest": "list read delete"},
		"bert crew": {"a/b": "read", "a/b/deep": "read", "a/b/c/deepest": "read"},
		"crew":      {"other": "read", "other/x": "read"},
		"bert anna": {"other": "read", "other/x": "read"},
		"bert":      {},
		"ANNA Crew": {},
	} {
		names := strings.Fields(who)
		c := b.Client(b.Bearer(names[0], names[1:]...))
		for _, path := range []string{"a", "a/in", "a/b", "a/b/deep", "a/b/c/deepest", "other", "other/x", "top"} {
			e, err := c.Entry(t.Context(), b.id(path))
			if want[path] == "" {
				apibed.Code(t, 404, err)
				continue
			}
			require.NoError(t, err, "%s on %s", who, path)
			require.Equal(t, strings.Fields(want[path]), e.AccessLevels, "%s on %s", who, path)
			require.Empty(t, e.Path)
			_, err = c.EntryContent(t.Context(), e.ID)
			switch {
			case !slices.Contains(e.AccessLevels, "read"):
				apibed.Code(t, 403, err)
			case e.Type == api.EntryFolder:
				apibed.Code(t, 409, err)
			default:
				require.NoError(t, err)
			}
		}
	}
	// Nothing of that holds for paths, transfers and what the key did.
	for _, call := range [][3]string{{"POST", "/files/browse", `{"path":"/a"}`}, {"POST", "/files/download_setup", `{"transfer_requests":[{"transfer_request":{"paths":[{"source":"/a/b"}]}}]}`}} {
		a := b.Do(b.Bearer("anna", "crew"), call[0], call[1], call[2])
		require.True(t, a.Status == 403 || strings.Contains(a.Body, `"code":403`), a.Body)
	}
}

// TestManyGroups: a token may name more groups than a query takes.
func TestManyGroups(t *testing.T) {
	b := newBed(t)
	b.File("alpha/f", "")
	groups := make([]string, 2500)
	for i := range groups {
		groups[i] = fmt.Sprint("g", i)
	}
	b.allow("f", api.AccessGroup, "g2499", "read")
	b.allow("", api.AccessGroup, "g0", "list")
	e, err := b.Client(b.Bearer("anna", groups...)).Entry(t.Context(), b.id("f"))
	require.NoError(t, err)
	require.Equal(t, []string{"list", "read"}, e.AccessLevels)
}
