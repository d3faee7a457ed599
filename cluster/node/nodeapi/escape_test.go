package nodeapi

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ways lead out of a folder, if anything decodes them once too often or checks them too early.
var ways = []string{
	"..", "../", "/..", "../beta", "/../beta/file", "a/../../beta/file", "/a/b/../../../beta/file", "./../beta", "//../beta", "..//beta",
	"..\\beta", "\\..\\beta", "%2e%2e/beta", "%2e%2e%2fbeta", "..%2fbeta", "%252e%252e%252fbeta", "..%c0%afbeta", "%c0%ae%c0%ae/beta", "..\x00/beta", "\x00",
	"/etc/passwd", "//etc/passwd", "file:///etc/passwd", "C:\\Windows", "C:/Windows", "\\\\server\\share", "\u2025/beta", "\uff0e\uff0e/beta", "..;/beta", "...", "....//beta",
	"link/file", "link", "/link/../beta/file", "abs", "abs/passwd", "up/beta/file",
	".file.tw-part", "a/.file.tw-ckpt", ".FILE.TW-PART~00", "x.tradewind-upload", strings.Repeat("a/", 3000), strings.Repeat("x", 300),
}

const betaMark = "only-beta"

// TestNoWayOut tries every way with every call that takes a path.
func TestNoWayOut(t *testing.T) {
	b := newBed(t)
	b.file("beta/file", betaMark)
	b.file("beta/"+betaMark, betaMark)
	b.file("alpha/a/b/c", "")
	b.file("alpha/.file.tw-part", betaMark)
	b.file("alpha/a/.file.tw-ckpt", betaMark)
	for name, to := range map[string]string{"link": "../beta", "abs": "/etc", "up": ".."} {
		require.NoError(t, os.Symlink(to, filepath.Join(b.base, "alpha", name)))
	}
	before := tree(t, filepath.Join(b.base, "beta"))
	const sent = `{"paths":[{"path":%,"type":"file"},{"path":%,"type":"directory"},{"path":"/in","type":"symbolic_link","target":{"path":%}},{"path":%,"type":"symbolic_link","target":{"path":"a"}}]}`
	for _, way := range ways {
		quoted, err := json.Marshal(way)
		require.NoError(t, err)
		for path, body := range map[string]string{
			"/files/browse": `{"path":%}`, "/files/search": `{"path":%}`, "/files/page": `{"path":%}`, "/files/du": `{"path":%}`,
			"/files/info": `{"paths":[{"path":%}]}`, "/space": `{"paths":[{"path":%}]}`, "/files/create": sent,
			"/files/rename": `{"paths":[{"path":"/","source":%,"destination":"got"},{"path":%,"source":"file","destination":"got"},{"path":"/a","source":"b","destination":%}]}`,
			"/files/delete": `{"paths":[{"path":%}]}`,
		} {
			a := b.do(b.alpha, "POST", path, strings.ReplaceAll(body, "%", string(quoted)))
			require.Less(t, a.status, 500, "%s with %q: %s", path, way, a.body)
			require.NotContains(t, a.body, betaMark, "%s with %q", path, way)
			require.NotContains(t, a.body, "root:", "%s with %q", path, way)
			require.NotContains(t, a.body, b.base, "%s with %q: no folder of the host", path, way)
			require.NotContains(t, a.body, "internal error", "%s with %q", path, way)
		}
		for _, escaped := range []string{url.PathEscape(way), url.PathEscape(url.PathEscape(way)), strings.ReplaceAll(url.PathEscape(way), ".", "%2e")} {
			a := b.do(b.alpha, "GET", "/files/"+escaped+"/contents", "")
			require.Less(t, a.status, 500, "contents of %q: %s", escaped, a.body)
			require.NotContains(t, a.body, betaMark, "contents of %q", escaped)
		}
	}
	require.Equal(t, before, tree(t, filepath.Join(b.base, "beta")), "nothing of beta's has changed")
	require.Empty(t, b.log.String(), "nothing of it is an error of ours")
}

// tree is all that lies below a folder.
func tree(t *testing.T, dir string) (all []string) {
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		all = append(all, path)
		return err
	}))
	return all
}

func TestRefusedPathsSayWhy(t *testing.T) {
	b := newBed(t)
	for path, why := range map[string]string{
		"": "missing", "/a/../b": `".."`, "a\x00b": "path refused", "/x/.f.tw-part": "partial file", strings.Repeat("x/", 5000): "refused",
	} {
		quoted, err := json.Marshal(path)
		require.NoError(t, err)
		a := b.do(b.alpha, "POST", "/files/browse", `{"path":`+string(quoted)+`}`)
		require.Equal(t, http.StatusBadRequest, a.status, "%q: %s", path, a.body)
		var body struct {
			Error struct {
				UserMessage string `json:"user_message"`
			}
		}
		require.NoError(t, json.Unmarshal([]byte(a.body), &body))
		require.Contains(t, body.Error.UserMessage, why)
		require.Less(t, len(a.body), 1000, "the path is not repeated at length")
	}
}
