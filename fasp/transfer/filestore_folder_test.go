package transfer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func openedDir(t *testing.T, root string) *Dir {
	t.Helper()
	d, err := OpenDir(root)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// TestFolderNoWayOut asks for names that lead out of the root, of which the last element is all that a system call sees.
func TestFolderNoWayOut(t *testing.T) {
	base := t.TempDir()
	root := filepath.Join(base, "root")
	write(t, filepath.Join(base, "secret"), 10, 1)
	require.NoError(t, os.MkdirAll(filepath.Join(root, "a"), 0o755))
	require.NoError(t, os.Symlink(base, filepath.Join(root, "out")))
	require.NoError(t, os.Symlink(filepath.Join(base, "secret"), filepath.Join(root, "a", "link")))
	d := openedDir(t, root)
	for _, name := range []string{"..", "a/../..", "out/secret", "a/link"} {
		_, err := d.Open(t.Context(), name)
		require.Error(t, err, name)
	}
	for _, name := range []string{"..", "a/..", "out/secret"} {
		_, err := d.Stat(t.Context(), name, false)
		require.Error(t, err, name)
		_, err = d.Put(t.Context(), name, "job", []byte("x"), Attr{Size: 1, Mode: 0o644}, SyncLater)
		require.Error(t, err, name)
	}
	in, err := d.Stat(t.Context(), "a/link", false)
	require.NoError(t, err)
	require.NotZero(t, in.Mode&os.ModeSymlink, "the link itself may be described")
}

// TestFolderBecomesLink puts links to a foreign folder in place of the folder and of the temporary name, while a file is on its
// way: nothing may be written or named there.
func TestFolderBecomesLink(t *testing.T) {
	base := t.TempDir()
	root, outside := filepath.Join(base, "root"), filepath.Join(base, "outside")
	require.NoError(t, os.MkdirAll(filepath.Join(root, "in"), 0o755))
	require.NoError(t, os.Mkdir(outside, 0o755))
	d := openedDir(t, root)
	put := func(name string) (*dirSealed, error) {
		s, err := d.Put(t.Context(), name, "job", []byte("new"), Attr{Size: 3, Mode: 0o644, Mtime: 1}, SyncLater)
		if err != nil {
			return nil, err
		}
		return s.(*dirSealed), nil
	}
	// A link under the temporary name is a leftover like any other: removed, not followed.
	first, err := put("in/f")
	require.NoError(t, err)
	tmp := filepath.Join(root, "in", first.tmp)
	require.NoError(t, first.Discard(t.Context()))
	write(t, filepath.Join(outside, "old"), 5, 1)
	require.NoError(t, os.Symlink(filepath.Join(outside, "old"), tmp))
	sealed, err := put("in/f")
	require.NoError(t, err)
	fi, err := os.Stat(filepath.Join(outside, "old"))
	require.NoError(t, err)
	require.EqualValues(t, 5, fi.Size(), "written through a link")

	// One that appears behind our back is not what was sealed.
	require.NoError(t, os.Remove(tmp))
	require.NoError(t, os.Symlink(filepath.Join(outside, "old"), tmp))
	require.ErrorIs(t, sealed.Publish(t.Context(), SyncLater, true), ErrBusy)
	require.NoFileExists(t, filepath.Join(root, "in", "f"))
	require.NoError(t, os.Remove(tmp))

	// The folder gives way to a link.
	sealed, err = put("in/g")
	require.NoError(t, err)
	require.NoError(t, os.Rename(filepath.Join(root, "in"), filepath.Join(root, "moved")))
	require.NoError(t, os.Symlink(outside, filepath.Join(root, "in")))
	_ = sealed.Publish(t.Context(), SyncLater, true) // into the folder that it was written to, or not at all
	_, _ = put("in/h")
	d.dirs.drop("in") // what a second does: from now on the name counts
	_, err = put("in/i")
	require.True(t, isEscape(err), "%v", err)
	list, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Len(t, list, 1, "something was made outside of the root")
}

// TestFolderPut makes files of all kinds of names, modes and times, and names them.
func TestFolderPut(t *testing.T) {
	root := t.TempDir()
	d := openedDir(t, root)
	for i, c := range []struct {
		name string
		attr Attr
		mode os.FileMode
	}{
		{"a", Attr{Mode: 0o644}, 0o644},
		{strings.Repeat("n", 255), Attr{Mode: 0o644}, 0o644},
		{"deep/" + strings.Repeat("ü", 127), Attr{Mode: 0o600, Mtime: 1e18}, 0o600},
		{"exact", Attr{Mode: 0o666, Exact: true, Mtime: 2e18, Atime: 1e18}, 0o666},
		{"readonly", Attr{Mode: 0o444}, 0o444},
		{"empty", Attr{Mode: 0o644}, 0o644},
	} {
		data := []byte(fmt.Sprint("content ", i))
		if c.name == "empty" {
			data = nil
		}
		c.attr.Size = int64(len(data))
		s, err := d.Put(t.Context(), c.name, "job", data, c.attr, SyncLater)
		require.NoError(t, err)
		require.NoFileExists(t, filepath.Join(root, c.name), "it has its name before it is published")
		require.NoError(t, s.Publish(t.Context(), SyncLater, false))
		got, err := os.ReadFile(filepath.Join(root, c.name))
		require.NoError(t, err)
		require.Equal(t, string(data), string(got))
		in, err := d.Stat(t.Context(), c.name, false)
		require.NoError(t, err)
		require.Equal(t, c.mode, in.Mode)
		if c.attr.Mtime != 0 {
			require.Equal(t, c.attr.Mtime, in.Mtime)
		}
		s, err = d.Put(t.Context(), c.name, "job", data, c.attr, SyncLater)
		require.NoError(t, err)
		require.ErrorIs(t, s.Publish(t.Context(), SyncLater, false), os.ErrExist)
		require.NoError(t, s.Discard(t.Context()))
	}
	_, err := d.Put(t.Context(), strings.Repeat("n", 256), "job", nil, Attr{Mode: 0o644}, SyncLater)
	if err == nil { // its temporary name fits; its own does not
		var s Sealed
		s, err = d.Put(t.Context(), strings.Repeat("n", 256), "job2", nil, Attr{Mode: 0o644}, SyncLater)
		require.NoError(t, err)
		err = s.Publish(t.Context(), SyncLater, true)
	}
	require.ErrorIs(t, err, syscall.ENAMETOOLONG)
}

// TestFolderInfo compares what one system call says with what package os says.
func TestFolderInfo(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "file"), 1234, 1)
	require.NoError(t, os.Mkdir(filepath.Join(root, "dir"), 0o755))
	require.NoError(t, os.Chmod(filepath.Join(root, "dir"), 0o755|os.ModeSticky|os.ModeSetgid))
	require.NoError(t, os.Symlink("file", filepath.Join(root, "link")))
	d := openedDir(t, root)
	n := 0
	require.NoError(t, d.ReadDir(t.Context(), ".", func(in Info) error {
		n++
		fi, err := os.Lstat(filepath.Join(root, in.Name))
		require.NoError(t, err)
		require.Equal(t, infoOf(fi), in)
		one, err := d.Stat(t.Context(), in.Name, false)
		require.NoError(t, err)
		require.Equal(t, in, one)
		return nil
	}))
	require.Equal(t, 3, n)
}
