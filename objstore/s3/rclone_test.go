package s3

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/testservers"
	"github.com/tradewind-io/tradewind/objstore"
)

// runRclone runs rclone with a remote s: for the place, and nothing else of this process's environment.
func runRclone(t *testing.T, bin string, cfg Config, args ...string) string {
	t.Helper()
	keys := cfg.Credentials.(Static)
	cmd := exec.Command(bin, args...)
	cmd.Env = []string{
		"HOME=" + t.TempDir(), "RCLONE_CONFIG=" + filepath.Join(t.TempDir(), "none"), "PATH=" + os.DevNull, "TZ=UTC",
		"RCLONE_CONFIG_S_TYPE=s3", "RCLONE_CONFIG_S_PROVIDER=Minio", "RCLONE_CONFIG_S_ENDPOINT=http://" + cfg.Endpoint,
		"RCLONE_CONFIG_S_ACCESS_KEY_ID=" + keys.AccessKey, "RCLONE_CONFIG_S_SECRET_ACCESS_KEY=" + keys.SecretKey,
	}
	out, err := cmd.Output()
	require.NoError(t, err, "rclone %v", args)
	return string(out)
}

// TestRclone has an rclone read what we wrote, and reads what it wrote.
func TestRclone(t *testing.T) {
	for _, c := range []struct {
		name string
		bin  func(testing.TB) string
	}{{"Debian", testservers.RcloneDebian}, {"pinned", testservers.Rclone}} {
		t.Run(c.name, func(t *testing.T) {
			bin := c.bin(t)
			cfg := place(t, servers.MinIO(t), MinIO)
			d := open(t, cfg)
			mtime := time.Date(2021, 2, 3, 4, 5, 6, 123456789, time.UTC)
			o := objstore.PutOptions{Attr: objstore.Attr{Mtime: mtime, Btime: mtime.Add(-time.Hour), ContentType: "text/x-ours", Metadata: map[string]string{"owner": "me"}}}
			put(t, d, "put/é +%.txt", "some text", o)
			data := make([]byte, 5<<20+1)
			upload(t, d, "put/parts", data, 5<<20, o)

			lsl := runRclone(t, bin, cfg, "lsl", "s:"+cfg.Bucket)
			require.Contains(t, lsl, "2021-02-03 04:05:06.123456789 put/é +%.txt")
			require.Contains(t, lsl, "  5242881 2021-02-03 04:05:06.123456789 put/parts")
			var list []struct {
				Path, MimeType string
				Size           int64
				ModTime        time.Time
				Metadata       map[string]string
			}
			require.NoError(t, json.Unmarshal([]byte(runRclone(t, bin, cfg, "lsjson", "-R", "-M", "--files-only", "s:"+cfg.Bucket)), &list))
			require.Len(t, list, 2)
			for _, e := range list {
				require.True(t, mtime.Equal(e.ModTime), "%s", e.Path)
				require.Equal(t, "text/x-ours", e.MimeType)
				require.Equal(t, "me", e.Metadata["owner"])
				// What rclone calls btime here is when the store took the object; ours is there but it does not show it.
			}

			dir := t.TempDir()
			name := filepath.Join(dir, "theirs.txt")
			require.NoError(t, os.WriteFile(name, []byte("their text"), 0o600))
			when := time.Date(1969, 12, 31, 23, 0, 0, 5000, time.UTC) // before 1970
			require.NoError(t, os.Chtimes(name, when, when))
			runRclone(t, bin, cfg, "copy", dir, "s:"+cfg.Bucket+"/theirs")
			obj, err := d.Stat(t.Context(), "theirs/theirs.txt")
			require.NoError(t, err)
			require.True(t, when.Equal(obj.Attr.Mtime), "%s %v", obj.Attr.Mtime, obj.Attr.Metadata)
			require.Equal(t, "their text", get(t, d, "theirs/theirs.txt"))
			page, err := d.List(t.Context(), objstore.ListOptions{Prefix: "theirs/"})
			require.NoError(t, err)
			require.Len(t, page.Objects, 1)
			require.True(t, page.Objects[0].HasAttr)
			require.Equal(t, obj.Attr, page.Objects[0].Attr, "List and Stat agree")
		})
	}
}
