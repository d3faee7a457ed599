package nodeapi

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
)

const allPerms = `"permissions":[{"name":"view"},{"name":"edit"},{"name":"delete"}]`

// small makes a few files in alpha's folder.
func small(t *testing.T, b *bed) {
	b.File("alpha/one.txt", "1")
	b.File("alpha/Two.mov", "22")
	b.File("alpha/sub/three.txt", "333")
	require.NoError(t, os.Symlink("one.txt", filepath.Join(b.Base, "alpha", "link")))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(b.Base, "alpha", "out")))
	require.NoError(t, os.Chtimes(filepath.Join(b.Base, "alpha", "sub"), noon, noon))
	require.NoError(t, os.Chtimes(filepath.Join(b.Base, "alpha"), noon, noon))
}

func fileJSON(path, kind, size string) string {
	return `{"path":"` + path + `","basename":"` + path[strings.LastIndexByte(path, '/')+1:] + `","type":"` + kind + `","size":` + size + `,"mtime":"2026-03-01T12:00:00Z",` + allPerms + `}`
}

func TestBrowse(t *testing.T) {
	b := newBed(t)
	small(t, b)
	one, two, sub := fileJSON("/one.txt", "file", "1"), fileJSON("/Two.mov", "file", "2"), fileJSON("/sub", "directory", "0")
	self := `{"path":"/","basename":"/","type":"directory","size":0,"mtime":"2026-03-01T12:00:00Z",` + allPerms + `}`
	only := `"filters":{"types":["file","directory"]}`

	got := b.Post(b.Alpha, "/files/browse", `{"path":"/",`+only+`}`)
	require.JSONEq(t, `{"self":`+self+`,"items":[`+two+`,`+one+`,`+sub+`],"item_count":3,"total_count":3}`, got, "sorted by path, upper case first")
	got = b.Post(b.Alpha, "/files/browse", `{"path":"/","sort":"size_d","skip":1,"count":1,`+only+`}`)
	require.JSONEq(t, `{"self":`+self+`,"items":[`+one+`],"item_count":1,"total_count":3}`, got, "a page of a sorted listing")
	got = b.Post(b.Alpha, "/files/browse", `{"path":"/","case_sensitive":false,"filters":{"basenames":["*.TXT","two.*"]}}`)
	require.JSONEq(t, `{"self":`+self+`,"items":[`+one+`,`+two+`],"item_count":2,"total_count":2}`, got, "without case")
	got = b.Post(b.Alpha, "/files/browse", `{"path":"one.txt"}`)
	require.JSONEq(t, `{"self":`+one+`,"items":[],"item_count":0,"total_count":0}`, got, "a file")
	got = b.Post(b.Alpha, "/files/browse", `{"path":"/sub/"}`)
	require.JSONEq(t, `{"self":`+sub+`,"items":[`+fileJSON("/sub/three.txt", "file", "3")+`],"item_count":1,"total_count":1}`, got, "a folder in it")

	got = b.Post(b.Alpha, "/files/browse", `{"path":"/","filters":{"types":["symbolic_link"]}}`)
	require.Contains(t, got, `"path":"/link","basename":"link","type":"symbolic_link","size":0,`)
	require.Contains(t, got, `"target":{"path":"one.txt"}`)
	require.NotContains(t, got, "passwd", "what lies outside is not named")

	a := b.Do(b.Alpha, "POST", "/files/browse", `{"path":"/none"}`)
	require.Equal(t, 404, a.Status)
	require.JSONEq(t, `{"error":{"code":404,"reason":"Not Found","user_message":"/none: no such file or folder"}}`, a.Body)
}

func TestSearch(t *testing.T) {
	b := newBed(t)
	small(t, b)
	b.File("alpha/sub/deep/four.txt", "4444")
	names := func(filters string) string {
		var list []string
		got := b.Post(b.Alpha, "/files/search", `{"path":"/","filters":{`+filters+`}}`)
		for _, part := range strings.Split(got, `"path":"`)[1:] {
			list = append(list, part[:strings.IndexByte(part, '"')])
		}
		return strings.Join(list[:len(list)-1], " ") // the last is that of the parameters
	}
	require.Equal(t, "/one.txt /sub/deep/four.txt /sub/three.txt", names(`"basenames":["*.txt"]`))
	require.Equal(t, "/sub/deep/four.txt", names(`"size_min":4,"types":["file"]`))
	require.Equal(t, "/one.txt", names(`"types":["file"],"size_max":1`))
	require.Equal(t, "/sub/three.txt", names(`"basenames":["*.txt"],"depth_min":1,"depth_max":1`))
	require.Equal(t, "/Two.mov /sub/three.txt", names(`"types":["file"],"out_basenames":["o*","f*"]`))
	require.Equal(t, "", names(`"types":["file"],"mtime_min":"2026-03-01T12:00:01Z"`))
	require.Equal(t, "/Two.mov", names(`"types":["file"],"mtime_max":"2026-03-01T12:00:00Z","basenames":["T*"]`))
	for _, bad := range []string{`"types":["pipe"]`, `"basenames":["["]`, `"basenames":[""]`, `"mtime_min":"yesterday"`} {
		require.Equal(t, 400, b.Do(b.Alpha, "POST", "/files/search", `{"path":"/","filters":{`+bad+`}}`).Status, bad)
	}
}

func TestBadListings(t *testing.T) {
	b := newBed(t)
	b.File("alpha/f", "")
	for body, want := range map[string]int{
		`{}`:                                      400,
		`{"path":"/","count":-1}`:                 400,
		`{"path":"/","count":10001}`:              400,
		`{"path":"/","skip":-1}`:                  400,
		`{"path":"/","skip":100000,"count":1}`:    400,
		`{"path":"/","skip":9223372036854775807}`: 400,
		`{"path":"/","sort":"colour"}`:            400,
		`{"path":"/","count":"many"}`:             400,
	} {
		a := b.Do(b.Alpha, "POST", "/files/browse", body)
		require.Equal(t, want, a.Status, "%s: %s", body, a.Body)
	}
	require.Equal(t, 409, b.Do(b.Alpha, "POST", "/files/search", `{"path":"/f"}`).Status)
	require.Equal(t, 409, b.Do(b.Alpha, "POST", "/files/page", `{"path":"/f"}`).Status)
	require.Equal(t, 400, b.Do(b.Alpha, "POST", "/files/page", `{"path":"/","count":0}`).Status)
}

func TestInfoOfFiles(t *testing.T) {
	b := newBed(t)
	small(t, b)
	got := b.Post(b.Alpha, "/files/info", `{"paths":[{"path":"/one.txt"},{"path":"/none"},{"path":"/../beta"},{"path":"/link"}]}`)
	require.Contains(t, got, fileJSON("/one.txt", "file", "1"))
	require.Contains(t, got, `{"path":"/none","size":0,"error":{"code":404,"reason":"Not Found","user_message":"/none: no such file or folder"}}`)
	require.Contains(t, got, `{"path":"/../beta","size":0,"error":{"code":400,`)
	require.Contains(t, got, `"type":"symbolic_link"`, "the link itself")
}

func TestCreateDeleteRename(t *testing.T) {
	b := newBed(t)
	at := func(name string) string { return filepath.Join(b.Base, "alpha", name) }

	got := b.Post(b.Alpha, "/files/create", `{"paths":[{"path":"/d/e","type":"directory"},{"path":"/d/f","type":"file","contents":"aGVsbG8="},
		{"path":"/d/e/up","type":"symbolic_link","target":{"path":"/d/f"}},{"path":"/d/e/out","type":"symbolic_link","target":{"path":"../../../beta"}},
		{"path":"/d/f","type":"file"},{"path":"/d/e","type":"directory"},{"path":"/x","type":"pipe"},{"path":"/","type":"directory"}]}`)
	require.JSONEq(t, `{"paths":[{"path":"/d/e"},{"path":"/d/f"},{"path":"/d/e/up"},
		{"path":"/d/e/out","error":{"code":403,"reason":"Forbidden","user_message":"/d/e/out: not a path that this access key reaches"}},
		{"path":"/d/f","error":{"code":409,"reason":"Conflict","user_message":"/d/f: exists already"}},
		{"path":"/d/e","error":{"code":409,"reason":"Conflict","user_message":"/d/e: exists already"}},
		{"path":"/x","error":{"code":400,"reason":"Bad Request","user_message":"/x: type \"pipe\": want file, directory or symbolic_link"}},
		{"path":"/","error":{"code":409,"reason":"Conflict","user_message":"/: the root exists already"}}]}`, got)
	text, err := os.ReadFile(at("d/e/up"))
	require.NoError(t, err)
	require.Equal(t, "hello", string(text), "the link leads to the file")
	left, err := filepath.Glob(at("d/.*"))
	require.NoError(t, err)
	require.Empty(t, left, "no temporary file stays")

	got = b.Post(b.Alpha, "/files/rename", `{"paths":[{"path":"/d","source":"f","destination":"g"},{"path":"/d","source":"g","destination":"e"},{"path":"/d","source":"../d/g","destination":"h"},{"path":"/","source":"none","destination":"h"}]}`)
	require.Contains(t, got, `{"path":"/d","source":"f","destination":"g"}`)
	require.Contains(t, got, `"destination":"e","error":{"code":409`)
	require.Contains(t, got, `"destination":"h","error":{"code":400`)
	require.Contains(t, got, `"source":"none","destination":"h","error":{"code":404`)
	require.FileExists(t, at("d/g"))

	got = b.Post(b.Alpha, "/files/delete", `{"paths":[{"path":"/d/e","recursive_delete":false},{"path":"/d/g"},{"path":"/none"},{"path":"/"},{"path":"/d"}]}`)
	require.JSONEq(t, `{"paths":[{"path":"/d/e","error":{"code":409,"reason":"Conflict","user_message":"/d/e: the folder is not empty"}},{"path":"/d/g"},
		{"path":"/none","error":{"code":404,"reason":"Not Found","user_message":"/none: no such file or folder"}},
		{"path":"/","error":{"code":403,"reason":"Forbidden","user_message":"/: the root is not removed; name something in it"}},{"path":"/d"}]}`, got)
	require.NoDirExists(t, at("d"))
}

func TestUsageAndSpace(t *testing.T) {
	b := newBed(t)
	small(t, b)
	require.JSONEq(t, `{"path":"/","total_size":6,"file_count":3,"dir_count":1,"special_count":2,"failed_count":0}`, b.Post(b.Alpha, "/files/du", `{"path":"/"}`))
	require.JSONEq(t, `{"path":"/sub","total_size":3,"file_count":1,"dir_count":0,"special_count":0,"failed_count":0}`, b.Post(b.Alpha, "/files/du", `{"path":"sub"}`))
	require.Equal(t, 404, b.Do(b.Alpha, "POST", "/files/du", `{"path":"/none"}`).Status)
	got := b.Post(b.Alpha, "/space", `{"paths":[{"path":"/"},{"path":"/none"}]}`)
	require.Regexp(t, `^\{"paths":\[\{"path":"/"(,"bytes_total":\d+,"bytes_free":\d+,"percent_free":[\d.]+)?\},\{"path":"/none","error":\{"code":404`, got)
}

func TestContents(t *testing.T) {
	b := newBed(t)
	b.File("alpha/a b/c", strings.Repeat("x", 5000))
	a := b.Do(b.Alpha, "GET", "/files/%2Fa%20b%2Fc/contents", "")
	require.Equal(t, 200, a.Status, a.Body)
	require.Equal(t, strings.Repeat("x", 4096), a.Body)
	require.Equal(t, "application/octet-stream", a.Header.Get("Content-Type"))
	require.Equal(t, 409, b.Do(b.Alpha, "GET", "/files/a%20b/contents", "").Status, "a folder")
	require.Equal(t, 404, b.Do(b.Alpha, "GET", "/files/none/contents", "").Status)
}

func TestRights(t *testing.T) {
	b := newBed(t)
	bodies := map[string]string{
		"POST /files/browse": `{"path":"/"}`, "POST /files/page": `{"path":"/"}`, "POST /files/search": `{"path":"/"}`, "POST /files/du": `{"path":"/"}`,
		"POST /files/info": `{"paths":[{"path":"/f"}]}`, "POST /space": `{"paths":[{"path":"/"}]}`, "GET /files/f/contents": "",
		"POST /files/create": `{"paths":[{"path":"/new","type":"file"}]}`, "POST /files/rename": `{"paths":[{"path":"/","source":"f","destination":"g"}]}`,
		"POST /files/delete":         `{"paths":[{"path":"/g"}]}`,
		"POST /files/upload_setup":   `{"transfer_requests":[{"transfer_request":{"paths":[{"destination":"/"}]}}]}`,
		"POST /files/download_setup": `{"transfer_requests":[{"transfer_request":{"paths":[{"source":"/"}]}}]}`,
	}
	list := "POST /files/browse,POST /files/page,POST /files/search,POST /files/du,POST /files/info,POST /space"
	for rights, want := range map[string]string{
		"none":         "",
		"list":         list,
		"read":         "POST /files/info,GET /files/f/contents,POST /files/download_setup",
		"write":        "POST /space,POST /files/create,POST /files/upload_setup",
		"delete":       "POST /files/delete",
		"write,delete": "POST /space,POST /files/create,POST /files/upload_setup,POST /files/delete,POST /files/rename",
	} {
		r, err := accesskey.ParseRights(rights)
		require.NoError(t, err)
		auth := b.Key("ak_gamma", "gamma", func(k *accesskey.Key) { k.Rights = r })
		for call, body := range bodies {
			b.File("gamma/f", "x")
			method, path, _ := strings.Cut(call, " ")
			a := b.Do(auth, method, path, body)
			if strings.Contains(","+want+",", ","+call+",") {
				require.Equal(t, http.StatusOK, a.Status, "%s with %s: %s", call, rights, a.Body)
			} else {
				require.Equal(t, http.StatusForbidden, a.Status, "%s with %s: %s", call, rights, a.Body)
			}
		}
	}
}
