//go:build unix

package filestore

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
)

func section(s string) *io.SectionReader {
	return io.NewSectionReader(strings.NewReader(s), 0, int64(len(s)))
}

func put(t *testing.T, s *Store, key, data string) {
	t.Helper()
	_, err := s.Put(t.Context(), key, section(data), objstore.PutOptions{})
	require.NoError(t, err)
}

func keys(t *testing.T, s *Store, o objstore.ListOptions) []string {
	t.Helper()
	list := []string{}
	for {
		p, err := s.List(t.Context(), o)
		require.NoError(t, err)
		for _, obj := range p.Objects {
			list = append(list, obj.Key)
		}
		if o.Token = p.Next; o.Token == "" {
			return list
		}
	}
}

func TestNamesThatLeadOut(t *testing.T) {
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o600))
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "out")))
	require.NoError(t, os.Symlink(secret, filepath.Join(dir, "link")))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "dangling")))
	rel, err := filepath.Rel(dir, secret)
	require.NoError(t, err)
	for _, key := range []string{filepath.ToSlash(rel), "../x", "/etc/passwd", "a/../../x", "out/secret", "link", "out/new"} {
		_, _, err := s.Read(t.Context(), key, 0, -1, "")
		require.Error(t, err, key)
		require.Contains(t, []objstore.Kind{objstore.NotFound, objstore.Denied}, objstore.KindOf(err), "%s: %v", key, err)
		require.NoError(t, ignoreDenied(s.Delete(t.Context(), key)), key)
	}
	for _, key := range []string{"../x", "/x", "a/../../x", "out/new"} {
		_, err := s.Put(t.Context(), key, section("x"), objstore.PutOptions{})
		require.Error(t, err, key)
		_, err = s.Begin(t.Context(), objstore.Upload{Key: key, Plan: objstore.Plan{First: 1}}, objstore.PutOptions{})
		require.Error(t, err, key)
	}
	require.Empty(t, keys(t, s, objstore.ListOptions{}))
	require.Empty(t, keys(t, s, objstore.ListOptions{Prefix: "../"}))
	b, err := os.ReadFile(secret)
	require.NoError(t, err)
	require.Equal(t, "secret", string(b))
	list, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Len(t, list, 1)
}

func ignoreDenied(err error) error {
	if objstore.KindOf(err) == objstore.Denied {
		return nil
	}
	return err
}

func TestUploadsThatAreForged(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	put(t, s, "other", "x")
	for _, u := range []objstore.Upload{
		{Key: "key", ID: "../../../../etc/passwd"},
		{Key: "../key", ID: newID()},
		{Key: "key", ID: ""},
		{Key: "key", ID: newID()},
	} {
		_, err := s.Parts(t.Context(), u)
		require.Equal(t, objstore.NoUpload, objstore.KindOf(err), "%+v", u)
		require.NoError(t, s.Abort(t.Context(), u))
	}
	require.Equal(t, []string{"other"}, keys(t, s, objstore.ListOptions{}))
}

func TestWhatIsListed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	put(t, s, "folder/file", "x")
	require.NoError(t, os.Symlink("file", filepath.Join(dir, "folder", "link")))
	require.NoError(t, os.Symlink(".", filepath.Join(dir, "folder", "loop")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".x.aaaaaaaaaaaaaaaa"+tempSuffix), nil, 0o600))
	require.Equal(t, []string{"folder/file", "folder/link"}, keys(t, s, objstore.ListOptions{}))
	_, err := s.Stat(t.Context(), "pipe")
	require.ErrorIs(t, err, objstore.ErrNotFound)
	_, err = s.Put(t.Context(), "pipe", section("x"), objstore.PutOptions{})
	require.Equal(t, objstore.Invalid, objstore.KindOf(err))
	_, err = s.Put(t.Context(), ".x.aaaaaaaaaaaaaaaa"+tempSuffix, section("x"), objstore.PutOptions{})
	require.Equal(t, objstore.Invalid, objstore.KindOf(err))
}

func TestFolders(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	put(t, s, "a/empty/", "")
	put(t, s, "a/empty/", "")
	put(t, s, "a/full/x", "x")
	require.Equal(t, []string{"a/empty/", "a/full/x"}, keys(t, s, objstore.ListOptions{}))
	require.Equal(t, []string{"a/empty/", "a/full/x"}, keys(t, s, objstore.ListOptions{Max: 1}))
	require.Equal(t, []string{"a/empty/"}, keys(t, s, objstore.ListOptions{Prefix: "a/empty/"}))
	require.Equal(t, []string{"a/empty/"}, keys(t, s, objstore.ListOptions{Prefix: "a/empty/", Delimited: true}))
	require.Equal(t, []string{"a/empty/", "a/full/"}, keys(t, s, objstore.ListOptions{Prefix: "a/", Delimited: true, Max: 1}))
	o, err := s.Stat(t.Context(), "a/full/")
	require.NoError(t, err)
	require.Equal(t, "a/full/", o.Key)
	_, err = s.Put(t.Context(), "a/full/x/", section(""), objstore.PutOptions{})
	require.Equal(t, objstore.Invalid, objstore.KindOf(err))

	require.NoError(t, s.Delete(t.Context(), "a/full/"), "the marker of a folder with something in it")
	require.Contains(t, keys(t, s, objstore.ListOptions{}), "a/full/x")
	require.NoError(t, s.Delete(t.Context(), "a/full/x", "a/empty/"))
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, list, "folders go with the last thing in them")
}

func TestTreeWorksOnFolders(t *testing.T) {
	b := objstore.NewBucket(open(t, t.TempDir()), objstore.Config{})
	defer b.Close()
	tree := objstore.NewTree(b, "top")
	ctx := t.Context()
	require.NoError(t, tree.Mkdir(ctx, "a/b", objstore.Attr{}))
	o, err := tree.Stat(ctx, "a/b")
	require.NoError(t, err)
	require.True(t, o.Folder)
	_, err = b.Put(ctx, "top/a/file", strings.NewReader("x"), 1, objstore.PutOptions{})
	require.NoError(t, err)
	n, err := tree.Rename(ctx, "a", "c", false)
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	_, err = tree.Stat(ctx, "a")
	require.ErrorIs(t, err, objstore.ErrNotFound)
	o, err = tree.Stat(ctx, "c/b")
	require.NoError(t, err)
	require.True(t, o.Folder)
	require.NoError(t, tree.Remove(ctx, "c/b"))
	_, err = tree.RemoveAll(ctx, "c")
	require.NoError(t, err)
	_, err = tree.Stat(ctx, "c")
	require.ErrorIs(t, err, objstore.ErrNotFound)
}

func TestOpenURI(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key"), []byte("x"), 0o600))
	schemes := objstore.Schemes{"file": OpenURI}
	for _, host := range []string{"", "localhost"} {
		d, key, err := schemes.Open(t.Context(), "file://"+host+dir+"/key")
		require.NoError(t, err)
		_, err = d.Stat(t.Context(), key)
		require.NoError(t, err)
		require.NoError(t, d.Close())
		_, err = d.Stat(t.Context(), key)
		require.ErrorIs(t, err, objstore.ErrClosed)
	}
	for _, uri := range []string{"file://elsewhere/x", "file:///x?option=1"} {
		_, _, err := schemes.Open(t.Context(), uri)
		require.Equal(t, objstore.Invalid, objstore.KindOf(err), uri)
	}
	_, err := Open(filepath.Join(dir, "not there"), Config{})
	require.ErrorIs(t, err, objstore.ErrNotFound)
}

// A listing in small pages reads each folder in windows; all of it must come, in order, whatever the size.
func TestListWindows(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	var want []string
	for _, d := range []string{"a", "a-b", "a.b", "a0"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, d), 0o700))
	}
	// "a-b/" < "a.b/" < "a/" < "a0/"
	for _, d := range []string{"a-b", "a.b", "a", "a0"} {
		for _, n := range []string{"0", "1", "2", "3", "4"} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, d, n), nil, 0o600))
			want = append(want, d+"/"+n)
		}
	}
	for _, n := range []int{1, 2, 3, 4, 5, 6, 19, 20, 21} {
		require.Equal(t, want, keys(t, s, objstore.ListOptions{Max: n}), "%d at a time", n)
	}
}

func FuzzBeside(f *testing.F) {
	f.Add("a/b")
	f.Add(strings.Repeat("é", 127))
	f.Add("\xff" + strings.Repeat("x", 300))
	f.Fuzz(func(t *testing.T, key string) {
		if !valid(key) {
			return
		}
		name := beside(key, newID(), stateSuffix)
		dir, base := split(name)
		keyDir, _ := split(key)
		if dir != keyDir || len(base) > maxElement || !hidden(base) || valid(name) || utf8.ValidString(key) && !utf8.ValidString(name) {
			t.Fatalf("%q for %q", name, key)
		}
	})
}
