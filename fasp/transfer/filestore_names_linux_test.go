package transfer

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestListersAgree lists a folder of odd names and kinds in all ways, which agree with package os.
func TestListersAgree(t *testing.T) {
	base := t.TempDir()
	root := filepath.Join(base, "root")
	require.NoError(t, os.MkdirAll(filepath.Join(root, "folder"), 0o755))
	names := []string{
		"plain", "\xff\xfe", "caf\xe9", "two\nlines", "\n", " ", "...", ".hidden", "a\\b", "a:b", "-", "\x01", "\u202e", "K\u212a", strings.Repeat("n", 255), strings.Repeat("ü", 127), strings.Repeat("\x80", 255),
		"end.d", "UPLOAD", "x.tw-part", "x.tradewind-upload.d",
	}
	hidden := []string{".plain.tw-part", ".PLAIN.TW-PART", ".plain.tw-ckpt.new", ".x.tw-part~0123abcd", "plain.tradewind-upload", "PLAIN.TRADEWIND-UPLOAD"}
	for i, name := range slices.Concat(names, hidden) {
		require.NoError(t, os.WriteFile(filepath.Join(root, name), make([]byte, i), 0o640), "%q", name)
	}
	for i := range 3000 { // several batches of every kind
		name := fmt.Sprintf("many-%04d-%s", i, strings.Repeat("x", i%60))
		names = append(names, name)
		require.NoError(t, os.WriteFile(filepath.Join(root, name), nil, 0o644))
	}
	require.NoError(t, os.WriteFile(filepath.Join(base, "outside"), []byte("outside"), 0o644))
	for name, target := range map[string]string{"in": "plain", "out": "../outside", "abs": "/etc", "dangling": "nothing", "loop": "loop", "into": "folder"} {
		names = append(names, name)
		require.NoError(t, os.Symlink(target, filepath.Join(root, name)))
	}
	require.NoError(t, unix.Mkfifo(filepath.Join(root, "fifo"), 0o600))
	wd, err := os.Getwd()
	require.NoError(t, err)
	require.NoError(t, os.Chdir(root)) // the name of a socket is short
	s, err := net.Listen("unix", "socket")
	require.NoError(t, os.Chdir(wd))
	require.NoError(t, err)
	defer s.Close()
	names = append(names, "folder", "fifo", "socket")

	for which, l := range listers {
		got, infos := listedBy(t, root, l)
		require.Equal(t, slices.Sorted(slices.Values(names)), slices.Sorted(slices.Values(got)), which)
		require.Len(t, infos, len(names)+len(hidden), which)
		for _, name := range slices.Concat(names, hidden) {
			fi, err := os.Lstat(filepath.Join(root, name))
			require.NoError(t, err)
			require.Equal(t, infoOf(fi), infos[name], "%s: %q", which, name)
		}
	}
}
