package transfer

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who sends other names than it spoke of replaces no pipe, no link that leads out of the place, and no folder: what the node found free says nothing of them.
func TestOtherRoots(t *testing.T) {
	for _, over := range []Overwrite{OverwriteDiff, OverwriteAlways} {
		root, outside := t.TempDir(), t.TempDir()
		write(t, filepath.Join(outside, "f"), 100, 1)
		want := map[uint64]Code{}
		if makeFifo(filepath.Join(root, "pipe")) == nil {
			want[1] = CodeNotRegular
		}
		if os.Symlink(filepath.Join(outside, "f"), filepath.Join(root, "out")) == nil {
			want[2] = CodeBadPath
		}
		require.NoError(t, os.Mkdir(filepath.Join(root, "dir"), 0o755))
		want[3] = CodeIsDir
		store, err := OpenDir(root)
		require.NoError(t, err)
		defer store.Close()
		p := hostileRequest(t, store, &request{
			Version: wireVersion, Direction: Send, Flags: flagCreateDir, BlockSize: minBlockSize, Dest: ".", Symlinks: SymlinksCopy, Overwrite: over, Roots: []string{"new"},
		})
		x := []byte("x")
		p.block(packBlock(packed{ID: 1, Name: "pipe", Data: x}, packed{ID: 2, Name: "out", Data: x}, packed{ID: 3, Name: "dir", Data: x}, packed{ID: 4, Name: "new/f", Data: x}))
		p.put(recEnd, (&totals{LastID: 4}).encode())
		require.Equal(t, want, p.finish(), "%v", over)
		require.FileExists(t, filepath.Join(root, "new/f"))
	}
}
