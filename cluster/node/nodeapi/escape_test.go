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
	b.File("beta/file", betaMark)
	b.File("beta/"+betaMark, betaMark)
	b.File("alpha/a/b/c", "")
	b.File("alpha/.file.tw-part", betaMark)
	b.File("alpha/a/.file.tw-ckpt", betaMark)
	for name, to := range map[string]string{"link": "../beta", "abs": "/etc", "up": ".."} {
		require.NoError(t, os.Symlink(to, filepath.Join(b.Base, "alpha", name)))
	}
	before := tree(t, filepath.Join(b.Base, "beta"))
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
			a := b.Do(b.Alpha, "POST", path, strings.ReplaceAll(body, "%", string(quoted)))
			require.Less(t, a.Status, 500, "%s with %q: %s", path, way, a.Body)
			require.NotContains(t, a.Body, betaMark, "%s with %q", path, way)
			require.NotContains(t, a.Body, "root:", "%s with %q", path, way)
			require.NotContains(t, a.Body, b.Base, "%s with %q: no folder of the host", path, way)
			require.NotContains(t, a.Body, "internal error", "%s with %q", path, way)
		}
		for _, escaped := range []string{url.PathEscape(way), url.PathEscape(url.PathEscape(way)), strings.ReplaceAll(url.PathEscape(way), ".", "%2e")} {
			a := b.Do(b.Alpha, "GET", "/files/"+escaped+"/contents", "")
			require.Less(t, a.Status, 500, "contents of %q: %s", escaped, a.Body)
			require.NotContains(t, a.Body, betaMark, "contents of %q", escaped)
		}
	}
	require.Equal(t, before, tree(t, filepath.Join(b.Base, "beta")), "nothing of beta's has changed")
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
		a := b.Do(b.Alpha, "POST", "/files/browse", `{"path":`+string(quoted)+`}`)
		require.Equal(t, http.StatusBadRequest, a.Status, "%q: %s", path, a.Body)
		var body struct {
			Error struct {
				UserMessage string `json:"user_message"`
			}
		}
		require.NoError(t, json.Unmarshal([]byte(a.Body), &body))
		require.Contains(t, body.Error.UserMessage, why)
		require.Less(t, len(a.Body), 1000, "the path is not repeated at length")
	}
}
