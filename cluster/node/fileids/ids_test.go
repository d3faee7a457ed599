package fileids

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/internal/apibed"
)

// TestIDsStay: over renames by id and by path, of the file and of folders above it, and over a restart.
func TestIDsStay(t *testing.T) {
	b := newBed(t)
	b.File("alpha/a/b/c/f", "hello")
	c := b.Client(b.Alpha)
	id, a, mid := b.id("a/b/c/f"), b.id("a"), b.id("a/b")
	p := b.allow("a/b/c/f", api.AccessUser, "anna", "read")
	path := func() string {
		t.Helper()
		e, err := b.Client(b.Alpha).Entry(t.Context(), id)
		require.NoError(t, err)
		return e.Path
	}
	require.Equal(t, "/a/b/c/f", path())
	require.NoError(t, c.RenameEntry(t.Context(), id, "g"))
	require.Equal(t, "/a/b/c/g", path())
	require.NoError(t, c.RenameEntry(t.Context(), a, "x"))
	require.Equal(t, "/x/b/c/g", path())
	done, err := c.Rename(t.Context(), api.RenamePath{Path: "/", Source: "x/b", Destination: "y/z/b"})
	require.NoError(t, err)
	require.Nil(t, done[0].Error)
	require.Equal(t, "/y/z/b/c/g", path(), "a rename by path into folders that nobody has listed")
	require.Equal(t, mid, b.id("y/z/b"))
	b.stop()
	b.start()
	require.Equal(t, "/y/z/b/c/g", path())
	require.Equal(t, id, b.id("y/z/b/c/g"))
	got, err := b.Client(b.Bearer("anna")).EntryContent(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got), "permissions go with it")
	list, n, err := b.Client(b.Alpha).Permissions(t.Context(), api.PermissionQuery{FileID: id})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, p, list[0])
	require.Equal(t, []string{
		`ak_alpha permission.created {"permission_id":"1","file_id":"` + id + `","access_type":"user","access_id":"anna","access_levels":["read"],"user_id":"ak_alpha"}`,
		`ak_alpha file.modified {"file_id":"` + id + `","path":"/a/b/c/g","old_path":"/a/b/c/f","user_id":"ak_alpha"}`,
		`ak_alpha file.modified {"file_id":"` + a + `","path":"/x","old_path":"/a","user_id":"ak_alpha"}`,
		`ak_alpha file.modified {"file_id":"` + mid + `","path":"/y/z/b","old_path":"/x/b","user_id":"ak_alpha"}`,
	}, b.events())
}

// TestIDsEnd: an id ends with its file, however that goes, and what takes its name does not take its permissions.
func TestIDsEnd(t *testing.T) {
	b := newBed(t)
	anna := b.Client(b.Bearer("anna"))
	c := b.Client(b.Alpha)
	made := func() string {
		e, err := c.CreateEntry(t.Context(), api.RootID, api.NewEntry{Name: "f", Type: api.EntryFile, Contents: []byte("secret")})
		require.NoError(t, err)
		return e.ID
	}
	at := filepath.Join(b.Base, "alpha", "f")
	for name, end := range map[string]func(id string){
		"removed by id":   func(id string) { require.NoError(t, c.DeleteEntry(t.Context(), id)) },
		"removed by path": func(string) { _, err := c.Delete(t.Context(), api.DeletePath{Path: "/f"}); require.NoError(t, err) },
		"renamed by path to what is removed": func(string) {
			_, err := c.Rename(t.Context(), api.RenamePath{Path: "/", Source: "f", Destination: "g"})
			require.NoError(t, err)
			_, err = c.Delete(t.Context(), api.DeletePath{Path: "/g"})
			require.NoError(t, err)
		},
		"gone, and noticed": func(id string) {
			require.NoError(t, os.Remove(at))
			_, err := c.Entry(t.Context(), id)
			apibed.Code(t, 404, err)
		},
		"gone, and not noticed": func(string) { require.NoError(t, os.Remove(at)) },
		"gone, and noticed by a user": func(id string) {
			require.NoError(t, os.Remove(at))
			_, err := anna.Entry(t.Context(), id)
			apibed.Code(t, 404, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			id := made()
			p := b.allow("f", api.AccessUser, "anna", "read")
			_, err := anna.Entry(t.Context(), id)
			require.NoError(t, err)
			end(id)
			next := made()
			require.NotEqual(t, id, next)
			for _, who := range []*api.Client{c, anna} {
				_, err = who.Entry(t.Context(), id)
				apibed.Code(t, 404, err)
			}
			_, err = anna.Entry(t.Context(), next)
			apibed.Code(t, 404, err)
			_, err = c.Permission(t.Context(), p.ID)
			apibed.Code(t, 404, err)
			require.NoError(t, c.DeleteEntry(t.Context(), next))
		})
	}
}

// TestRenameOntoLostName: a name whose file went unnoticed is free for a rename, and its old id is not that of the renamed file.
func TestRenameOntoLostName(t *testing.T) {
	b := newBed(t)
	b.File("alpha/old", "")
	b.File("alpha/new", "")
	id, lost := b.id("old"), b.id("new")
	b.allow("new", api.AccessUser, "anna", "read")
	require.NoError(t, os.Remove(filepath.Join(b.Base, "alpha", "new")))
	require.NoError(t, b.Client(b.Alpha).RenameEntry(t.Context(), id, "new"))
	require.Equal(t, id, b.id("new"))
	_, err := b.Client(b.Alpha).Entry(t.Context(), lost)
	apibed.Code(t, 404, err)
	_, err = b.Client(b.Bearer("anna")).Entry(t.Context(), id)
	apibed.Code(t, 404, err)
}

// TestKeysEnd: ids and permissions end with the key, and with the place of the key, but not with other changes of it.
func TestKeysEnd(t *testing.T) {
	b := newBed(t)
	b.File("alpha/f", "")
	admin := b.Client(b.Admin)
	create := func() accesskey.Credential {
		k, err := admin.CreateAccessKey(t.Context(), api.AccessKeyRequest{ID: "ak_new", Storage: []byte(`{"type":"local","path":"/alpha"}`)})
		require.NoError(t, err)
		return accesskey.Credential{ID: k.ID, Secret: k.Secret}
	}
	give := func(c *api.Client) api.FilePermission {
		list, _, err := c.Entries(t.Context(), api.RootID, api.EntryQuery{})
		require.NoError(t, err)
		p, err := c.CreatePermission(t.Context(), api.PermissionRequest{FileID: api.ID(list[0].ID), AccessType: api.AccessUser, AccessID: "anna", AccessLevel: "view"})
		require.NoError(t, err)
		return p
	}
	c := b.Client(create().Token())
	p := give(c)
	note := "x"
	require.NoError(t, admin.UpdateAccessKey(t.Context(), "ak_new", api.AccessKeyRequest{Tradewind: &api.KeySettings{Note: &note}}))
	_, err := c.Permission(t.Context(), p.ID)
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(b.Base, "other"), 0o755))
	require.NoError(t, admin.UpdateAccessKey(t.Context(), "ak_new", api.AccessKeyRequest{Storage: []byte(`{"type":"local","path":"/other"}`)}))
	_, err = c.Permission(t.Context(), p.ID)
	apibed.Code(t, 404, err)
	_, err = c.Entry(t.Context(), p.FileID)
	apibed.Code(t, 404, err)

	require.NoError(t, admin.UpdateAccessKey(t.Context(), "ak_new", api.AccessKeyRequest{Storage: []byte(`{"type":"local","path":"/alpha"}`)}))
	p = give(c)
	require.NoError(t, admin.DeleteAccessKey(t.Context(), "ak_new"))
	_, err = b.state.Permission(t.Context(), 2)
	require.Error(t, err)

	c = b.Client(create().Token())
	p = give(c)
	require.NoError(t, b.Keys.Delete(t.Context(), "ak_new"), "in some other way")
	c = b.Client(create().Token())
	_, err = c.Permission(t.Context(), p.ID)
	apibed.Code(t, 404, err)
	_, err = c.Entry(t.Context(), p.FileID)
	apibed.Code(t, 404, err)
	require.NotEqual(t, p.FileID, give(c).FileID, "no id is given twice")
}

// TestRootKeepsPermissions: the root is never dropped, even if it cannot be seen for a while.
func TestRootKeepsPermissions(t *testing.T) {
	b := newBed(t)
	p := b.allow("", api.AccessGroup, "crew", "list")
	dir := filepath.Join(b.Base, "alpha")
	require.NoError(t, os.Rename(dir, dir+"-away"))
	_, err := b.Client(b.Alpha).Entry(t.Context(), api.RootID)
	apibed.Code(t, 503, err)
	require.NoError(t, os.Rename(dir+"-away", dir))
	got, err := b.Client(b.Alpha).Permission(t.Context(), p.ID)
	require.NoError(t, err)
	require.Equal(t, p, got)
	_, _, err = b.Client(b.Bearer("zoe", "crew")).Entries(t.Context(), api.RootID, api.EntryQuery{})
	require.NoError(t, err)
}

// TestNames tries names that lead somewhere else, for what is made and for what is renamed.
func TestNames(t *testing.T) {
	b := newBed(t)
	b.File("alpha/d/f", "mine")
	b.File("beta/f", "theirs")
	folder, id := b.id("d"), b.id("d/f")
	before := tree(t, b.Base)
	c := b.Client(b.Alpha)
	for _, name := range []string{
		"", ".", "..", "/", "../f", "a/b", "/etc/passwd", "..\\f/..", "\x00", "a\x00b", ".x.tw-part", ".x.tw-ckpt", ".X.TW-PART~00", ".x.tw-note", "x.tradewind-upload",
		strings.Repeat("x", 300), strings.Repeat("x", 5000), "f/", "./f", "//",
	} {
		for _, kind := range []string{api.EntryFile, api.EntryFolder} {
			_, err := c.CreateEntry(t.Context(), folder, api.NewEntry{Name: name, Type: kind})
			apibed.Code(t, 400, err)
		}
		apibed.Code(t, 400, c.RenameEntry(t.Context(), id, name))
	}
	require.Equal(t, before, tree(t, b.Base))
	for _, id := range []string{"0", "-1", "+2", "02", "2.0", "0x2", "2e0", "99999999999999999999", "..", "%2e%2e", "2%00", "1%2Ffiles", "\u0662", "f", " 2"} {
		for _, tail := range []string{"", "/files", "/content"} {
			a := b.Do(b.Alpha, "GET", "/files/"+strings.ReplaceAll(id, " ", "%20")+tail, "")
			require.GreaterOrEqual(t, a.Status, 400, "%q: %s", id, a.Body)
			require.Less(t, a.Status, 500, "%q: %s", id, a.Body)
		}
	}
}

// TestLinks: a symbolic link is shown and removed, and nothing is read or listed through it; one above a file leads users nowhere.
func TestLinks(t *testing.T) {
	b := newBed(t)
	b.File("beta/secret", "only-beta")
	b.File("alpha/private/secret", "only-owner")
	b.File("alpha/shared/sub/secret", "shared")
	for name, to := range map[string]string{"out": "../../beta", "outfile": "../../beta/secret", "abs": "/etc", "in": "../private", "infile": "../private/secret", "gone": "nowhere", "loop": "loop"} {
		require.NoError(t, os.Symlink(to, filepath.Join(b.Base, "alpha/shared", name)))
	}
	b.allow("shared", api.AccessUser, "anna", levels(levelsEdit).names()...)
	shared, deep := b.id("shared"), b.id("shared/sub/secret")
	for who, auth := range map[string]string{"alpha": b.Alpha, "anna": b.Bearer("anna")} {
		c := b.Client(auth)
		list, _, err := c.Entries(t.Context(), shared, api.EntryQuery{Type: api.EntryLink})
		require.NoError(t, err)
		require.Len(t, list, 7)
		for _, e := range list {
			require.Nil(t, e.Size)
			_, err := c.Entry(t.Context(), e.ID)
			require.NoError(t, err, who)
			_, _, err = c.Entries(t.Context(), e.ID, api.EntryQuery{})
			apibed.Code(t, 409, err)
			_, err = c.EntryContent(t.Context(), e.ID)
			apibed.Code(t, 409, err)
			_, err = c.CreateEntry(t.Context(), e.ID, api.NewEntry{Name: "x", Type: api.EntryFile})
			apibed.Code(t, 409, err)
		}
	}
	// A folder that becomes a link to another one.
	require.NoError(t, os.RemoveAll(filepath.Join(b.Base, "alpha/shared/sub")))
	for to, owner := range map[string]int{"../private": 200, "../../beta": 403} {
		require.NoError(t, os.Symlink(to, filepath.Join(b.Base, "alpha/shared/sub")))
		anna := b.Client(b.Bearer("anna"))
		_, err := anna.EntryContent(t.Context(), deep)
		apibed.Code(t, 404, err)
		_, err = anna.Entry(t.Context(), deep)
		apibed.Code(t, 404, err)
		apibed.Code(t, 404, anna.DeleteEntry(t.Context(), deep))
		a := b.Do(b.Alpha, "GET", "/files/"+deep+"/content", "")
		require.Equal(t, owner, a.Status, "%s: %s", to, a.Body)
		require.NotContains(t, a.Body, "only-beta")
		require.NotContains(t, a.Body, b.Base)
		require.NoError(t, os.Remove(filepath.Join(b.Base, "alpha/shared/sub")))
	}
	require.FileExists(t, filepath.Join(b.Base, "beta/secret"))
	require.FileExists(t, filepath.Join(b.Base, "alpha/private/secret"))
}

// TestContent: ranges, the bound, and nothing that a browser would run.
func TestContent(t *testing.T) {
	b := newBed(t)
	b.File("alpha/page.html", "<script>")
	b.File("alpha/most", strings.Repeat("x", maxContent))
	b.File("alpha/more", strings.Repeat("x", maxContent+1))
	at := "/files/" + b.id("page.html") + "/content"
	a := b.Do(b.Alpha, "GET", at, "")
	require.Equal(t, []string{"8", "application/octet-stream", "attachment", "nosniff"},
		[]string{a.Header.Get("Content-Length"), a.Header.Get("Content-Type"), a.Header.Get("Content-Disposition"), a.Header.Get("X-Content-Type-Options")})
	a = b.Do(b.Alpha, "GET", at, "", "Range", "bytes=1-6")
	require.Equal(t, 206, a.Status)
	require.Equal(t, "script", a.Body)
	require.Equal(t, "bytes 1-6/8", a.Header.Get("Content-Range"))
	require.Equal(t, 416, b.Do(b.Alpha, "GET", at, "", "Range", "bytes=9-").Status)
	a = b.Do(b.Alpha, "HEAD", at, "")
	require.Equal(t, "8", a.Header.Get("Content-Length"))
	c := b.Client(b.Alpha)
	got, err := c.EntryContent(t.Context(), b.id("most"))
	require.NoError(t, err)
	require.Len(t, got, maxContent)
	_, err = c.EntryContent(t.Context(), b.id("more"))
	apibed.Code(t, 413, err)
	_, err = c.CreateEntry(t.Context(), api.RootID, api.NewEntry{Name: "big", Type: api.EntryFile, Contents: make([]byte, maxContent)})
	require.NoError(t, err)
	_, err = c.CreateEntry(t.Context(), api.RootID, api.NewEntry{Name: "bigger", Type: api.EntryFile, Contents: make([]byte, maxContent+1)})
	apibed.Code(t, 413, err)
	require.NoFileExists(t, filepath.Join(b.Base, "alpha/bigger"))
}
