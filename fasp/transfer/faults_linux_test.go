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

// mountTmpfs puts a file system of its own at dir until the test ends, as mountAt.
func mountTmpfs(t *testing.T, dir, size string) {
	t.Helper()
	mountAt(t, dir, "tmpfs", "size="+size)
}

// mountAt puts a file system of that kind at dir until the test ends. That needs root: without, the test is skipped, but where TRADEWIND_REQUIRE has the word
// root, as in CI, it fails.
func mountAt(t *testing.T, dir, kind, options string) {
	t.Helper()
	if err := syscall.Mount(kind, dir, kind, 0, options); err != nil {
		skipUnlessRequired(t, "root", fmt.Sprintf("mounting a %s needs root: %v", kind, err))
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// skipUnlessRequired skips the test because of what this machine has not, or fails where TRADEWIND_REQUIRE has the word.
func skipUnlessRequired(t *testing.T, word, why string) {
	t.Helper()
	if strings.Contains(","+os.Getenv("TRADEWIND_REQUIRE")+",", ","+word+",") {
		t.Fatalf("TRADEWIND_REQUIRE wants %s: %s", word, why)
	}
	t.Skip("SKIPPED, " + why)
}

// TestRealDiskFull fills a real, small file system.
func TestRealDiskFull(t *testing.T) {
	r := newRig(t)
	mountTmpfs(t, r.root, "4m")
	write(t, filepath.Join(r.local, "t/large"), 6<<20, 1)
	for i := range 10 {
		write(t, filepath.Join(r.local, fmt.Sprintf("t/f%d", i)), 1000, 1)
	}
	spec := r.send("t")
	_, err := r.run(spec)
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Contains(t, []Code{CodeNoSpace, CodeSomeFileErrors}, e.Code)
	wholeOrAbsent(t, filepath.Join(r.local, "t"), filepath.Join(r.root, "in/t"))

	require.NoError(t, syscall.Mount("tmpfs", r.root, "tmpfs", syscall.MS_REMOUNT, "size=40m"))
	res, err := r.run(spec)
	require.NoError(t, err)
	require.Equal(t, list(t, filepath.Join(r.local, "t")), list(t, filepath.Join(r.root, "in/t")))
	t.Logf("resumed %d bytes", res.BytesResumed)
	noPartials(t, r.root)
}

// TestForeignFileSystem puts a folder of another file system below the root: one syncfs does not cover it.
func TestForeignFileSystem(t *testing.T) {
	r := newRig(t)
	dir := filepath.Join(r.root, "in/t/sub")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	mountTmpfs(t, dir, "4m")
	write(t, filepath.Join(r.local, "t/sub/f"), 1000, 1)
	write(t, filepath.Join(r.local, "t/sub/g"), 1_000_000, 1)
	write(t, filepath.Join(r.local, "t/h"), 1000, 1)
	for _, d := range []Durability{DurabilitySession, DurabilityFile} {
		spec := r.send("t")
		spec.Durability, spec.Overwrite = d, OverwriteAlways
		_, err := r.run(spec)
		require.NoError(t, err)
		require.Equal(t, list(t, filepath.Join(r.local, "t")), list(t, filepath.Join(r.root, "in/t")))
	}
}

// TestFullAmongPacks fills a real, small file system with small files alone: those that found room are whole and confirmed, no
// other has its name, and when there is room the rest follows.
func TestFullAmongPacks(t *testing.T) {
	r := newRig(t)
	mountTmpfs(t, r.root, "2m")
	for i := range 800 {
		write(t, filepath.Join(r.local, fmt.Sprintf("t/d%d/f%d", i/100, i)), 4096, 1)
	}
	spec := r.send("t")
	_, err := r.run(spec)
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Contains(t, []Code{CodeNoSpace, CodeSomeFileErrors}, e.Code)
	wholeOrAbsent(t, filepath.Join(r.local, "t"), filepath.Join(r.root, "in/t"))

	require.NoError(t, syscall.Mount("tmpfs", r.root, "tmpfs", syscall.MS_REMOUNT, "size=40m"))
	res, err := r.run(spec)
	require.NoError(t, err)
	require.Positive(t, res.FilesSkipped, "what found room has its name and is not sent again")
	require.Equal(t, list(t, filepath.Join(r.local, "t")), list(t, filepath.Join(r.root, "in/t")))
	noPartials(t, r.root)
}

// TestReserve: a file that has no room fails before a byte of it is written, and leaves nothing; a partial file stays as it was.
func TestReserve(t *testing.T) {
	root := t.TempDir()
	mountTmpfs(t, root, "20m")
	d := openedDir(t, root)
	free := func() int64 {
		n, err := d.Free(t.Context())
		require.NoError(t, err)
		return n
	}
	empty := free()
	_, err := d.Create(t.Context(), "f", Attr{Size: 24 << 20})
	require.ErrorIs(t, err, syscall.ENOSPC)
	noPartials(t, root)
	require.Equal(t, empty, free(), "what was taken before the disk was full")

	tgt, err := d.Create(t.Context(), "f", Attr{Size: 16 << 20})
	require.NoError(t, err)
	require.LessOrEqual(t, free(), empty-16<<20)
	require.Zero(t, tgt.Partial())
	_, err = tgt.WriteAt(make([]byte, 1<<20), 0)
	require.NoError(t, err)
	require.NoError(t, tgt.Close())
	require.Equal(t, empty-1<<20, free(), "only what was written stays taken")

	_, err = d.Create(t.Context(), "f", Attr{Size: 24 << 20})
	require.ErrorIs(t, err, syscall.ENOSPC)
	tgt, err = d.Create(t.Context(), "f", Attr{Size: 16 << 20})
	require.NoError(t, err)
	require.EqualValues(t, 1<<20, tgt.Partial())
	require.NoError(t, tgt.Reset(t.Context()))
	require.LessOrEqual(t, free(), empty-16<<20, "reserved again")
	require.NoError(t, tgt.Discard(t.Context()))
	require.Equal(t, empty, free())
}

// TestReserveUnable: a file system that cannot reserve room takes the file all the same.
func TestReserveUnable(t *testing.T) {
	root := t.TempDir()
	mountAt(t, root, "ramfs", "")
	f, err := os.Create(filepath.Join(root, "probe"))
	require.NoError(t, err)
	require.ErrorIs(t, syscall.Fallocate(int(f.Fd()), 1, 0, 1<<20), syscall.EOPNOTSUPP, "the test shows nothing")
	require.NoError(t, f.Close())
	d := openedDir(t, root)
	tgt, err := d.Create(t.Context(), "f", Attr{Size: reserveFrom})
	require.NoError(t, err)
	_, err = tgt.WriteAt([]byte("end"), reserveFrom-3)
	require.NoError(t, err)
	sealed, err := tgt.Seal(t.Context(), Attr{Size: reserveFrom, Mode: 0o644}, SyncNow)
	require.NoError(t, err)
	require.NoError(t, sealed.Publish(t.Context(), SyncNow, false))
	fi, err := os.Stat(filepath.Join(root, "f"))
	require.NoError(t, err)
	require.EqualValues(t, reserveFrom, fi.Size())
}
