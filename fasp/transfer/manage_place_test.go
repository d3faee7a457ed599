package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/memstore"
)

func openTestDir(t *testing.T) (*Dir, string) {
	root := t.TempDir()
	d, err := OpenDir(root)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d, root
}

// Folders that a Dir holds open do not answer for names that are gone.
func TestArrangedFoldersAreForgotten(t *testing.T) {
	d, root := openTestDir(t)
	ctx := t.Context()
	use := func(name string) { // the folder is held open now
		require.NoError(t, d.Mkdir(ctx, name))
		require.NoError(t, d.ReadDir(ctx, name, func(Info) error { return nil }))
	}
	use("a/b/c")
	use("a/b")
	_, err := d.Remove(ctx, "a", true)
	require.NoError(t, err)
	require.NoError(t, d.Mkdir(ctx, "a/b/c"))
	require.DirExists(t, filepath.Join(root, "a/b/c"))

	use("a/b/c")
	_, err = d.Rename(ctx, "a", "moved", false)
	require.NoError(t, err)
	_, err = d.Stat(ctx, "a/b/c", true)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, d.Mkdir(ctx, "a/b"))
	require.DirExists(t, filepath.Join(root, "a/b"))
}

func TestRemoveTree(t *testing.T) {
	d, root := openTestDir(t)
	for i := range removeSlice + 10 {
		write(t, filepath.Join(root, fmt.Sprintf("t/f%d", i)), 1, 1)
	}
	write(t, filepath.Join(root, "t/s/u/f"), 1, 1)
	write(t, filepath.Join(root, "t/.p.tw-part"), 1, 1)
	write(t, filepath.Join(root, "keep"), 1, 1)
	require.NoError(t, os.Symlink("../keep", filepath.Join(root, "t/link")))
	require.NoError(t, os.Symlink("..", filepath.Join(root, "t/s/up")))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := d.Remove(ctx, "t", true)
	require.ErrorIs(t, err, context.Canceled)
	require.DirExists(t, filepath.Join(root, "t"))

	n, err := d.Remove(t.Context(), "t", true)
	require.NoError(t, err)
	require.EqualValues(t, removeSlice+10+1+2+2+1, n, "files, the folders t, s and u, two links; no partial file")
	require.NoDirExists(t, filepath.Join(root, "t"))
	require.FileExists(t, filepath.Join(root, "keep"))
}

func TestRenameFolder(t *testing.T) {
	d, root := openTestDir(t)
	ctx := t.Context()
	write(t, filepath.Join(root, "a/f"), 10, 1)
	write(t, filepath.Join(root, "b/g"), 10, 2)
	for _, to := range []string{"a/in", "a/x/y"} {
		_, err := d.Rename(ctx, "a", to, true)
		require.Equal(t, CodeBadPath, codeOf(err), "%v", err)
	}
	_, err := d.Rename(ctx, "a", "b", true)
	require.ErrorIs(t, err, fs.ErrExist)
	_, err = d.Rename(ctx, "a", "aa", false)
	require.NoError(t, err, "a is no folder above aa")
	require.FileExists(t, filepath.Join(root, "aa/f"))
	// What comes between the look and the renaming is not replaced.
	require.ErrorIs(t, d.rename("aa/f", "b/g", false), fs.ErrExist)
	require.ErrorIs(t, d.rename("aa", "b", false), fs.ErrExist)
	require.NoError(t, d.rename("aa/f", "b/g", true))
}

func TestRenameStaysInside(t *testing.T) {
	d, root := openTestDir(t)
	outside := t.TempDir()
	write(t, filepath.Join(root, "f"), 10, 1)
	require.NoError(t, os.Symlink(outside, filepath.Join(root, "out")))
	_, err := d.Rename(t.Context(), "f", "out/f", true)
	require.Error(t, err)
	require.NoFileExists(t, filepath.Join(outside, "f"))
	write(t, filepath.Join(outside, "g"), 10, 1)
	_, err = d.Remove(t.Context(), "out/g", false)
	require.Error(t, err)
	_, err = d.Rename(t.Context(), "out/g", "g", true)
	require.Error(t, err)
	require.FileExists(t, filepath.Join(outside, "g"))
	require.Error(t, d.Clean(t.Context(), "out", 0, false, func(Leftover) error { return nil }))
}

func TestParseLeftover(t *testing.T) {
	long := strings.Repeat("x", 250)
	for base, want := range map[string]leftover{
		".f.tw-part":                       {of: "f", part: ".f.tw-part"},
		".f.tw-part~0123456789abcdef":      {of: "f", part: ".f.tw-part~0123456789abcdef", packed: true},
		".f.tw-ckpt":                       {of: "f", part: ".f.tw-part", state: true},
		".f.tw-ckpt.new":                   {of: "f", part: ".f.tw-part", state: true},
		partialName(long, "", partSuffix):  {of: partialName(long, "", partSuffix), part: partialName(long, "", partSuffix)},
		partialName(long, "", stateSuffix): {of: partialName(long, "", stateSuffix), part: partialName(long, "", partSuffix), state: true},
		".f.tw-part.tw-part":               {of: "f.tw-part", part: ".f.tw-part.tw-part"},
		".f.TW-PART":                       {},
		".f.tw-part~0123":                  {},
		".f.tw-ckpt~0123456789abcdef":      {of: "f", part: ".f.tw-part", state: true},
		".f.tw-ckpt~0123456789abcdef.new":  {of: "f", part: ".f.tw-part", state: true},
		".f.tw-note":                       {of: "f", part: ".f.tw-part", state: true},
		".f.tw-note~0123456789abcdef":      {},
		".f.tw-note.new":                   {},
		"f.tw-part":                        {},
		".tw-part":                         {},
		".f.new":                           {},
		".f.tw-part.new":                   {},
		"f" + objstore.UploadSuffix:        {},
		partialName("f", randomTag(), partSuffix)[1:]: {},
	} {
		l, ok := parseLeftover(base)
		require.Equal(t, want.part != "", ok, "%q", base)
		if ok {
			require.Equal(t, want, l, "%q", base)
		}
	}
}

func FuzzParseLeftover(f *testing.F) {
	for _, s := range []string{".f.tw-part", ".f.tw-part~0123456789abcdef", ".f.tw-ckpt.new", "~", ".~.tw-part"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if l, ok := parseLeftover(s); ok {
			require.True(t, isPartial(s), "nothing else is ever removed")
			require.True(t, isPartial(l.part))
			require.NotEmpty(t, l.of)
		}
		if s == "" || len(s) > maxBase || strings.ContainsRune(s, '/') {
			return
		}
		// Every name that a transfer makes is recognised.
		for _, made := range []string{
			partialName(s, "", partSuffix), partialName(s, "", stateSuffix), partialName(s, "", stateSuffix) + ".new",
			partialName(s, "0123456789abcdef", partSuffix), partialName(s, "", noteSuffix),
			partialName(s, "0123456789abcdef", stateSuffix), partialName(s, "0123456789abcdef", stateSuffix) + ".new",
		} {
			l, ok := parseLeftover(made)
			require.True(t, ok, "%q", made)
			if l.state {
				require.Equal(t, partialName(s, "", partSuffix), l.part)
			}
		}
	})
}

// A packed file has the time of its source, which may be years ago, while it waits for its name.
func TestCleanLeavesPackedFiles(t *testing.T) {
	d, root := openTestDir(t)
	past := time.Now().AddDate(-5, 0, 0).UnixNano()
	p, err := d.Put(t.Context(), "in/f", "tag", []byte("x"), Attr{Size: 1, Mode: 0o644, Mtime: past}, SyncNone)
	require.NoError(t, err)
	require.Empty(t, clean(t, d, 0, false))
	cleanLater := func(d *Dir) (names []string) {
		c := &cleaner{d: d, now: time.Now().Add(time.Hour), age: 0, fn: func(l Leftover) error { names = append(names, l.Name); return nil }}
		require.NoError(t, c.folder(t.Context(), "."))
		require.NoError(t, c.first)
		return names
	}
	require.Empty(t, cleanLater(d), "this process is about to publish it")
	require.NoError(t, p.Publish(t.Context(), SyncNone, false))

	_, err = d.Put(t.Context(), "in/g", "tag", []byte("x"), Attr{Size: 1, Mode: 0o644, Mtime: past}, SyncNone)
	require.NoError(t, err)
	other, err := OpenDir(root) // as after the end of the process
	require.NoError(t, err)
	defer other.Close()
	require.Equal(t, []string{"in/g"}, cleanLater(other))
	noPartials(t, root)
	require.FileExists(t, filepath.Join(root, "in/f"))
}

// A checkpoint stays as long as the partial file that it belongs to, and goes before it.
func TestCleanCheckpoints(t *testing.T) {
	d, root := openTestDir(t)
	ctx := t.Context()
	held, err := d.Create(ctx, "held", Attr{Size: 100})
	require.NoError(t, err)
	require.NoError(t, held.SaveState(ctx, []byte("state")))
	left, err := d.Create(ctx, "sub/left", Attr{Size: 100})
	require.NoError(t, err)
	require.NoError(t, left.SaveState(ctx, []byte("state")))
	require.NoError(t, left.Close())
	write(t, filepath.Join(root, ".lonely.tw-ckpt"), 5, 1)
	write(t, filepath.Join(root, ".A.TW-PART"), 5, 1)
	want := map[string]string{"sub/left": "partial file", "lonely": "checkpoint"}
	for _, dry := range []bool{true, false} {
		got := map[string]string{}
		for _, l := range clean(t, d, 0, dry) {
			got[l.Name] = l.Kind
		}
		require.Equal(t, want, got)
	}
	require.Empty(t, clean(t, d, 0, true))
	require.NoFileExists(t, filepath.Join(root, "sub/.left.tw-ckpt"))
	require.FileExists(t, filepath.Join(root, ".held.tw-part"))
	require.FileExists(t, filepath.Join(root, ".held.tw-ckpt"))
	require.FileExists(t, filepath.Join(root, ".A.TW-PART"), "no transfer made it")
	require.NoError(t, held.Close())
	require.Len(t, clean(t, d, 0, false), 1)

	stop := errors.New("stop")
	write(t, filepath.Join(root, ".x.tw-part"), 5, 1)
	require.ErrorIs(t, d.Clean(ctx, ".", 0, true, func(Leftover) error { return stop }), stop)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, d.Clean(ended, ".", 0, false, func(Leftover) error { return nil }), context.Canceled)
	require.FileExists(t, filepath.Join(root, ".x.tw-part"))
}

// Keys that no name leads to do not hide the others, and partial files of other programs' making are not shown.
func TestBucketWalkOfOddKeys(t *testing.T) {
	b := objstore.NewBucket(memstore.New(), objstore.Config{PartSize: testPart})
	s := NewBucketStore(b, "root", 0, nil)
	for _, key := range []string{"root/a/f", "root/a//g", "root/a/../h", "root/.p.tw-part", "root/z"} {
		_, err := b.Put(t.Context(), key, strings.NewReader("x"), 1, objstore.PutOptions{})
		require.NoError(t, err)
	}
	r := manageRemote(t, s, allRights)
	see := func(name string, o WalkOptions) (names []string, last error) {
		for in, err := range r.List(t.Context(), name, o) {
			if last = err; err == nil {
				names = append(names, in.Name)
			}
		}
		return names, last
	}
	names, err := see(".", WalkOptions{Deep: true})
	require.Equal(t, []string{"a/f", "z"}, names)
	require.Equal(t, CodeBadPath, codeOf(err))
	names, err = see(".", WalkOptions{})
	require.Equal(t, []string{"a", "z"}, names)
	require.NoError(t, err)
	names, err = see("a", WalkOptions{})
	require.Equal(t, []string{"f"}, names)
	require.Equal(t, CodeBadPath, codeOf(err))
}

// An upload that this process has open is not cleaned away, however old.
func TestCleanBucketLeavesOpenUploads(t *testing.T) {
	b := objstore.NewBucket(memstore.New(), objstore.Config{PartSize: testPart})
	s := NewBucketStore(b, "root", 0, nil)
	const block = 64 << 10
	target, err := s.Create(t.Context(), "d/f", Attr{Size: 4 * testPart, Block: block})
	require.NoError(t, err)
	stored := make(chan error, 4)
	target.(PartTarget).Watch(func(_ int, _ int64, err error) { stored <- err })
	for off := int64(0); off < testPart; off += block {
		_, err = target.WriteAt(make([]byte, block), off)
		require.NoError(t, err)
	}
	require.NoError(t, <-stored)
	require.Empty(t, clean(t, s, 0, false))
	require.NoError(t, target.Close())
	found := clean(t, s, 0, false)
	require.NotEmpty(t, found)
	require.Equal(t, "d/f", found[0].Name)
	require.Empty(t, clean(t, s, 0, false))
}

// noBucket is a store without the bucket.
type noBucket struct{ objstore.Driver }

func (noBucket) List(context.Context, objstore.ListOptions) (objstore.Page, error) {
	return objstore.Page{}, &objstore.Error{Op: "list", Kind: objstore.NotFound}
}

// A bucket that is not there is no empty folder; a folder in it that is the place and holds nothing yet is one.
func TestBucketWalkOfNothing(t *testing.T) {
	walk := func(d objstore.Driver, prefix string) error {
		s := NewBucketStore(objstore.NewBucket(d, objstore.Config{}), prefix, 0, nil)
		return s.Walk(t.Context(), ".", WalkOptions{}, func(Info) error { return nil })
	}
	require.NoError(t, walk(memstore.New(), ""))
	require.NoError(t, walk(memstore.New(), "root"))
	require.ErrorIs(t, walk(noBucket{memstore.New()}, ""), objstore.ErrNotFound)
}
