package transfer

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func holeDir(t *testing.T) *Dir {
	d, err := OpenDir(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func holePut(t *testing.T, d *Dir, name, content string) *dirSealed {
	s, err := d.Put(t.Context(), name, "deadbeef", []byte(content), Attr{Size: int64(len(content)), Mode: 0o644}, SyncNone)
	require.NoError(t, err)
	return s.(*dirSealed)
}

func holeTarget(t *testing.T, d *Dir, name, content string) *dirSealed {
	a := Attr{Size: int64(len(content)), Mode: 0o644}
	tgt, err := d.Create(t.Context(), name, a)
	require.NoError(t, err)
	_, err = tgt.WriteAt([]byte(content), 0)
	require.NoError(t, err)
	s, err := tgt.Seal(t.Context(), a, SyncNone)
	require.NoError(t, err)
	return s.(*dirSealed)
}

func holeRead(t *testing.T, d *Dir, name string) string {
	b, err := os.ReadFile(filepath.Join(d.path, name))
	require.NoError(t, err)
	return string(b)
}

// A small file of a job whose id the peer has chosen does not touch the partial file of a large one.
func TestHoleNamesDoNotCollide(t *testing.T) {
	d := holeDir(t)
	victim := holeTarget(t, d, "report.deadbeef", "victim")
	small := holePut(t, d, "report", "evil")
	other := holePut(t, d, "report", "other") // of the same job, even
	require.NotEqual(t, small.tmp, other.tmp)
	require.NoError(t, victim.Publish(t.Context(), SyncNone, true))
	require.Equal(t, "victim", holeRead(t, d, "report.deadbeef"))
	require.NoError(t, small.Publish(t.Context(), SyncNone, true))
	require.NoError(t, other.Discard(t.Context()))
	require.Equal(t, "evil", holeRead(t, d, "report"))
	noPartials(t, d.path)
}

// What a killed process left of the same job is replaced, and of another job is not touched.
func TestHoleLeftover(t *testing.T) {
	d := holeDir(t)
	old := holePut(t, d, "f", "old")
	again, err := OpenDir(d.path)
	require.NoError(t, err)
	defer again.Close()
	for _, tag := range []string{"", "../x", "other"} {
		s, err := again.Put(t.Context(), "f", tag, []byte("x"), Attr{Size: 1, Mode: 0o644}, SyncNone)
		require.NoError(t, err)
		require.Equal(t, "old", holeRead(t, d, old.tmp))
		require.NoError(t, s.Discard(t.Context()))
	}
	s := holePut(t, again, "f", "new")
	require.Equal(t, old.tmp, s.tmp)
	require.ErrorIs(t, old.Publish(t.Context(), SyncNone, true), ErrBusy, "that is another's now")
	require.NoError(t, s.Publish(t.Context(), SyncNone, true))
	require.Equal(t, "new", holeRead(t, d, "f"))
	require.Empty(t, again.temps)
	_, err = again.Put(t.Context(), "f/below", "tag", nil, Attr{}, SyncNone)
	require.Error(t, err)
	require.Empty(t, again.temps, "claims of what failed are given back")
	noPartials(t, d.path)
}

// No two names have the same temporary name, whatever is cut off, and none can be told from a file's own.
func TestHolePartialNames(t *testing.T) {
	seen := make(map[string]string)
	add := func(base, tag, suffix string) {
		n := partialName(base, tag, suffix)
		require.LessOrEqual(t, len(n), maxBase)
		require.True(t, isPartial(n), n)
		require.True(t, isPartial(strings.ToUpper(n)), n)
		what := strings.Join([]string{base, tag, suffix}, "|")
		require.Empty(t, seen[n], "%q and %q have the temporary name %q", what, seen[n], n)
		seen[n] = what
	}
	bases := []string{"report", "report.deadbeef", "report" + partSuffix, strings.Repeat("ü", 125), "x" + strings.Repeat("ü", 125)}
	for n := 200; n <= maxBase; n++ {
		bases = append(bases, strings.Repeat("n", n))
	}
	for _, base := range bases[:] {
		if cut := partialName(base, "", partSuffix); strings.Contains(cut, "~") {
			bases = append(bases, strings.TrimSuffix(cut[1:], partSuffix)) // what would become the cut name if it were left alone
		}
	}
	for _, base := range bases {
		for _, suffix := range []string{partSuffix, stateSuffix} {
			for _, tag := range []string{"", "deadbeef"} {
				add(base, tag, suffix)
			}
		}
	}
	for _, n := range []string{"x.tw-part", ".x.tw-part.txt", ".x~12", ".tw-partx", ".x.tw-part~", ".x.tw-part~notes"} {
		require.Equal(t, n == ".x.tw-part~", isPartial(n), n)
	}
}

// What stands under the temporary name of a sealed file by now, but is not that file, gets no final name and stays.
func TestHolePublishOnlyOwn(t *testing.T) {
	if !haveSyncfs {
		t.Skip("inodes and change times are not known on this system")
	}
	for i := range 20 { // file systems like to give the inode again
		for _, seal := range []func(*testing.T, *Dir, string, string) *dirSealed{holePut, holeTarget} {
			d := holeDir(t)
			s := seal(t, d, "f", "whole")
			tmp := filepath.Join(d.path, s.tmp)
			fi, err := os.Stat(tmp)
			require.NoError(t, err)
			require.NoError(t, os.Remove(tmp))
			require.NoError(t, os.WriteFile(tmp, []byte("halff"), 0o600))
			if i%2 == 0 { // even with the same size and time
				require.NoError(t, os.Chtimes(tmp, fi.ModTime(), fi.ModTime()))
			}
			require.ErrorIs(t, s.Publish(t.Context(), SyncNone, true), ErrBusy)
			require.ErrorIs(t, s.Discard(t.Context()), ErrBusy)
			require.Equal(t, "halff", holeRead(t, d, s.tmp))
		}
	}
}

// Publish without replace leaves what is there, and the file can still be published or discarded.
func TestHoleNoReplace(t *testing.T) {
	for _, seal := range []func(*testing.T, *Dir, string, string) *dirSealed{holePut, holeTarget} {
		d := holeDir(t)
		s := seal(t, d, "new", "new")
		require.NoError(t, s.Publish(t.Context(), SyncNone, false))
		require.NoError(t, s.Publish(t.Context(), SyncNow, false), "again, to make it durable")
		require.NoError(t, s.Discard(t.Context()))
		require.Equal(t, "new", holeRead(t, d, "new"))

		s = seal(t, d, "old", "new")
		require.NoError(t, os.WriteFile(filepath.Join(d.path, "old"), []byte("confirmed"), 0o600))
		err := s.Publish(t.Context(), SyncNone, false)
		require.ErrorIs(t, err, fs.ErrExist)
		require.Equal(t, CodeAlreadyExists, storeError(CodeDiskWrite, "rename", "old", err).Code)
		require.Equal(t, "confirmed", holeRead(t, d, "old"))
		require.NoError(t, s.Publish(t.Context(), SyncNone, true))
		require.Equal(t, "new", holeRead(t, d, "old"))

		s = seal(t, d, "link", "new")
		require.NoError(t, os.Symlink("nowhere", filepath.Join(d.path, "link")))
		require.ErrorIs(t, s.Publish(t.Context(), SyncNone, false), fs.ErrExist, "a link to nowhere is something, too")
		require.NoError(t, s.Discard(t.Context()))
		noPartials(t, d.path)
	}
}

// The way of systems that cannot rename without replacing, with a crash between its halves.
func TestHoleLinkNew(t *testing.T) {
	d := holeDir(t)
	write(t, filepath.Join(d.path, "a"), 10, 1)
	require.NoError(t, linkNew(d.root, "a", "b"))
	require.NoFileExists(t, filepath.Join(d.path, "a"))
	write(t, filepath.Join(d.path, "a"), 10, 1)
	require.ErrorIs(t, linkNew(d.root, "a", "b"), fs.ErrExist)
	require.ErrorIs(t, linkNew(d.root, "missing", "c"), fs.ErrNotExist)

	s := holeTarget(t, d, "f", "published")
	require.NoError(t, s.Publish(t.Context(), SyncNone, true))
	require.NoError(t, d.root.Link("f", s.tmp)) // the crash
	tgt, err := d.Create(t.Context(), "f", Attr{Size: 9, Mode: 0o644})
	require.NoError(t, err)
	require.Zero(t, tgt.Partial())
	_, err = tgt.WriteAt([]byte("unfinishe"), 0)
	require.NoError(t, err)
	require.Equal(t, "published", holeRead(t, d, "f"), "written in place")
	require.NoError(t, tgt.Discard(t.Context()))
}

func TestHoleSymlink(t *testing.T) {
	d := holeDir(t)
	ctx := t.Context()
	for _, l := range [][2]string{
		{"..", "out"},
		{"/etc", "out"},
		{"p/../../x", "out"},
		{"up/..", "p/q/out"},
		{"a/b/..", "out"},
		{".victim.tw-part", "out"},
		{"../.d.TW-CKPT/x", "p/out"},
		{".x.tw-part~0123456789abcdef", "out"},
	} {
		err := d.Symlink(ctx, l[0], l[1], true)
		var e *Error
		require.ErrorAs(t, err, &e, l)
		require.Equal(t, CodeBadPath, e.Code, l)
	}
	require.NoError(t, d.Symlink(ctx, "../..", "p/q/up", false))
	// By the letter these stay; from where "p/q/up" leads they do not.
	for _, name := range []string{"p/q/up/l", "p/q/up/new/deep/l", "p/q/up/p/q/l"} {
		for _, force := range []bool{false, true} {
			err := d.Symlink(ctx, "../..", name, force)
			var e *Error
			require.ErrorAs(t, err, &e, name)
			require.Equal(t, CodeBadPath, e.Code, name)
		}
	}
	require.NoDirExists(t, filepath.Join(d.path, "new"), "not even the folder, through the link")
	require.Equal(t, map[string]struct{}{".": {}, "p": {}, "p/q": {}}, d.dirty, "the folder of the link must be synced")

	write(t, filepath.Join(d.path, "f"), 3, 1)
	require.ErrorIs(t, d.Symlink(ctx, "x", "f", false), fs.ErrExist)
	require.NoError(t, d.Symlink(ctx, "x", "f", true))
	got, err := d.Readlink(ctx, "f")
	require.NoError(t, err)
	require.Equal(t, "x", got)
	require.Error(t, d.Symlink(ctx, "x", "p", true), "a folder is not replaced")
	noPartials(t, d.path)
}

func TestHolePartialPaths(t *testing.T) {
	for _, p := range []string{".victim.tw-ckpt", "/a/.victim.tw-part/", "a/.v.tw-part/b", ".v.TW-Part", ".v.tw-ckpt.new", ".v.tw-part~0123456789abcdef"} {
		_, err := cleanPath(p)
		var e *Error
		require.ErrorAs(t, err, &e, p)
		require.Equal(t, CodeBadPath, e.Code, p)
		_, err = findDestination(t.Context(), holeDir(t), p, true, false, nil)
		require.ErrorAs(t, err, &e, p)
		_, err = destNames([]source{{"f", p}}, "")
		require.ErrorAs(t, err, &e, p)
		_, err = destNames([]source{{"f", ""}}, p)
		require.ErrorAs(t, err, &e, p)
	}
}

func holeWalk(t *testing.T, w *walker, sources ...source) map[string]string {
	names, err := destNames(sources, "")
	require.NoError(t, err)
	out := make(map[string]string)
	ch := make(chan found, 100)
	w.emit = func(_ context.Context, f found) error { ch <- f; return nil }
	require.NoError(t, w.run(t.Context(), sources, names))
	close(ch)
	for f := range ch {
		out[f.name] = ""
		if f.err != nil {
			out[f.name] = f.err.Code.String()
		}
	}
	return out
}

func TestHoleWalker(t *testing.T) {
	d := holeDir(t)
	write(t, filepath.Join(d.path, "t/f"), 3, 1)
	write(t, filepath.Join(d.path, ".big.tw-part"), 3, 1)
	require.NoError(t, os.Symlink("t", filepath.Join(d.path, "l")))
	for _, tc := range []struct {
		noList bool
		source string
		want   map[string]string
	}{
		{false, "t", map[string]string{"t": "", "t/f": ""}},
		{true, "t", map[string]string{"t": "NO_PERMS"}},
		{true, "l", map[string]string{"l": "NO_PERMS"}},
		{true, ".", map[string]string{".": "NO_PERMS"}},
		{true, "t/f", map[string]string{"f": ""}},
		{false, ".big.tw-part", map[string]string{".big.tw-part": "BAD_PATH"}},
	} {
		t.Run(fmt.Sprint(tc.source, tc.noList), func(t *testing.T) {
			require.Equal(t, tc.want, holeWalk(t, &walker{store: d, noList: tc.noList}, source{tc.source, ""}))
		})
	}
}
