package faux

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/leaktest"
	"github.com/tradewind-io/tradewind/objstore"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func openURI(t *testing.T, uri string) (objstore.Driver, string) {
	t.Helper()
	d, key, err := objstore.Schemes{"faux": OpenURI}.Open(t.Context(), uri)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d, key
}

// list returns all objects of a source.
func list(t *testing.T, d objstore.Driver, o objstore.ListOptions) []objstore.Object {
	t.Helper()
	var all []objstore.Object
	for {
		p, err := d.List(t.Context(), o)
		require.NoError(t, err)
		all = append(all, p.Objects...)
		if o.Token = p.Next; o.Token == "" {
			return all
		}
	}
}

func names(all []objstore.Object) []string {
	list := []string{}
	for _, o := range all {
		list = append(list, o.Key)
	}
	return list
}

func read(t *testing.T, d objstore.Driver, key string, off, length int64) []byte {
	t.Helper()
	r, _, err := d.Read(t.Context(), key, off, length, "")
	require.NoError(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return b
}

func TestFile(t *testing.T) {
	d, key := openURI(t, "faux:///dir/ping?100k")
	require.Equal(t, "dir/ping", key)
	o, err := d.Stat(t.Context(), key)
	require.NoError(t, err)
	require.EqualValues(t, 100<<10, o.Size)
	whole := read(t, d, key, 0, -1)
	require.Len(t, whole, 100<<10)

	seed := rand.Uint64()
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		off, length := rng.Int64N(o.Size), rng.Int64N(50)
		end := min(off+length, o.Size)
		require.True(t, bytes.Equal(whole[off:end], read(t, d, key, off, length)), "range %d+%d", off, length)
	}
	again, _ := openURI(t, "faux:///dir/ping?100k")
	require.True(t, bytes.Equal(whole, read(t, again, key, 0, -1)), "the same at any time")
	other, _ := openURI(t, "faux:///dir/pong?100k")
	require.False(t, bytes.Equal(whole, read(t, other, "dir/pong", 0, -1)))

	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestSpeed)
	require.NoError(t, err)
	_, err = w.Write(whole)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.Greater(t, packed.Len(), len(whole), "it does not compress")

	require.Equal(t, []string{"dir/"}, names(list(t, d, objstore.ListOptions{Delimited: true})))
	for _, prefix := range []string{"", "dir/", "dir/ping"} {
		require.Equal(t, []string{"dir/ping"}, names(list(t, d, objstore.ListOptions{Prefix: prefix})))
	}
	require.Equal(t, []string{"dir/ping"}, names(list(t, d, objstore.ListOptions{Prefix: "dir/", Delimited: true})))
	require.Empty(t, list(t, d, objstore.ListOptions{Prefix: "dir/pingo"}))
}

func TestErrors(t *testing.T) {
	d, key := openURI(t, "faux:///ping?10")
	ctx := t.Context()
	_, _, err := d.Read(ctx, key, 10, 1, "")
	require.Equal(t, objstore.Range, objstore.KindOf(err))
	_, _, err = d.Read(ctx, key, 0, -1, "other")
	require.ErrorIs(t, err, objstore.ErrChanged)
	_, err = d.Stat(ctx, "other")
	require.ErrorIs(t, err, objstore.ErrNotFound)
	body := io.NewSectionReader(strings.NewReader("x"), 0, 1)
	_, err = d.Put(ctx, "x", body, objstore.PutOptions{})
	require.ErrorIs(t, err, objstore.ErrUnsupported)
	_, err = d.Begin(ctx, objstore.Upload{Key: "x"}, objstore.PutOptions{})
	require.ErrorIs(t, err, objstore.ErrUnsupported)
	_, err = d.Parts(ctx, objstore.Upload{Key: "x"})
	require.ErrorIs(t, err, objstore.ErrNoUpload)
	require.ErrorIs(t, d.Delete(ctx, key), objstore.ErrUnsupported)
	ended, cancel := context.WithCancel(ctx)
	r, _, err := d.Read(ended, key, 0, -1, "")
	require.NoError(t, err)
	cancel()
	_, err = r.Read(make([]byte, 1))
	require.ErrorIs(t, err, context.Canceled)
	_, err = d.Stat(ended, key)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, d.Close())
	_, err = d.Stat(ctx, key)
	require.ErrorIs(t, err, objstore.ErrClosed)
}

func TestTree(t *testing.T) {
	d, key := openURI(t, "faux:///a/b?count=4&size=1K&inc=10")
	require.Equal(t, "a/b", key)
	want := []string{"a/b/file_00000_1024", "a/b/file_00001_1034", "a/b/file_00002_1044", "a/b/file_00003_1054"}
	for _, most := range []int{0, 1, 3} {
		all := list(t, d, objstore.ListOptions{Max: most})
		require.Equal(t, want, names(all))
		for _, o := range all {
			stat, err := d.Stat(t.Context(), o.Key)
			require.NoError(t, err)
			require.Equal(t, stat, o)
			require.Equal(t, make([]byte, o.Size), read(t, d, o.Key, 0, -1), "zero is the default")
		}
	}
	for _, key := range []string{"a/b", "a/b/file_00000_1025", "a/b/file_0_1024", "a/b/file_00004_1064", "a/b/file_-0001_1014"} {
		_, err := d.Stat(t.Context(), key)
		require.ErrorIs(t, err, objstore.ErrNotFound, key)
	}
	require.Equal(t, []string{"a/"}, names(list(t, d, objstore.ListOptions{Delimited: true})))
	require.Equal(t, []string{"a/b/"}, names(list(t, d, objstore.ListOptions{Prefix: "a/", Delimited: true})))
	require.Equal(t, want, names(list(t, d, objstore.ListOptions{Prefix: "a/b/", Delimited: true})))
	require.Equal(t, want[2:3], names(list(t, d, objstore.ListOptions{Prefix: "a/b/file_00002"})))
	require.Empty(t, list(t, d, objstore.ListOptions{Prefix: "a/c"}))
}

func TestTreeOfRandom(t *testing.T) {
	const uri = "faux:///dir?count=200&file=x&size=1000&inc=5000&seq=random&buf_init=random"
	d, _ := openURI(t, uri)
	again, _ := openURI(t, uri)
	all := list(t, d, objstore.ListOptions{})
	require.Equal(t, all, list(t, again, objstore.ListOptions{}))
	sizes := map[int64]bool{}
	for i, o := range all {
		require.Equal(t, fmt.Sprintf("dir/x_%05d_%d", i, o.Size), o.Key)
		require.GreaterOrEqual(t, o.Size, int64(0), "inc is less where sizes would be below zero")
		require.LessOrEqual(t, o.Size, int64(2000))
		sizes[o.Size] = true
	}
	require.Greater(t, len(sizes), 150)
	require.NotEqual(t, read(t, d, all[0].Key, 0, 10), read(t, d, all[1].Key, 0, 10))
}

func TestHugeSizes(t *testing.T) {
	d, key := openURI(t, "faux:///big?7E")
	o, err := d.Stat(t.Context(), key)
	require.NoError(t, err)
	require.EqualValues(t, int64(maxSize), o.Size)
	require.Len(t, read(t, d, key, maxSize-3, -1), 3)
	for _, uri := range []string{"faux:///d?count=1000000&size=6e&inc=6e", "faux:///d?count=1000000&size=6e&inc=6e&seq=random", "faux:///d?count=9&size=7e&inc=1"} {
		d, _ := openURI(t, uri)
		p, err := d.List(t.Context(), objstore.ListOptions{Max: 100})
		require.NoError(t, err)
		for _, o := range p.Objects {
			require.GreaterOrEqual(t, o.Size, int64(0), uri)
			require.LessOrEqual(t, o.Size, int64(maxSize), uri)
		}
	}
}

func TestBadURIs(t *testing.T) {
	for _, uri := range []string{
		"faux://host/x?1k", "faux:///?1k", "faux:///x?1x", "faux:///x?-1", "faux:///x?+1", "faux:///x?8e", "faux:///x?k", "faux:///x?99999999999999999999",
		"faux:///d?count=0", "faux:///d?size=3", "faux:///d?count=", "faux:///d?count=1&seq=other", "faux:///d?count=1&buf_init=x",
		"faux:///d?count=1&file=a/b", "faux:///d?count=1&colour=blue", "faux:///d?count=1&size=9e",
	} {
		_, _, err := objstore.Schemes{"faux": OpenURI}.Open(t.Context(), uri)
		require.Equal(t, objstore.Invalid, objstore.KindOf(err), "%s: %v", uri, err)
	}
}

func TestSink(t *testing.T) {
	d, key := openURI(t, "faux://")
	require.Equal(t, "", key)
	b := objstore.NewBucket(d, objstore.Config{PartSize: 1 << 20})
	_, err := b.Write(t.Context(), "stream", io.LimitReader(zeros{}, 3<<20+5), objstore.CreateOptions{Size: -1})
	require.NoError(t, err)
	_, err = b.Put(t.Context(), "small", strings.NewReader("four"), 4, objstore.PutOptions{})
	require.NoError(t, err)
	require.Equal(t, Stats{Objects: 2, Bytes: 3<<20 + 9, Taken: 3<<20 + 9}, d.(*Sink).Stats())
	_, err = b.Stat(t.Context(), "small")
	require.ErrorIs(t, err, objstore.ErrNotFound, "nothing is kept")
	require.Empty(t, list(t, d, objstore.ListOptions{}))
}

func TestSinkNoticesABadBody(t *testing.T) {
	s := NewSink()
	broken := errors.New("broken")
	_, err := s.Put(t.Context(), "key", io.NewSectionReader(failing{broken}, 0, 5), objstore.PutOptions{})
	require.ErrorIs(t, err, broken)
	require.Zero(t, s.Stats())
	u, err := s.Begin(t.Context(), objstore.Upload{Key: "key"}, objstore.PutOptions{})
	require.NoError(t, err)
	_, err = s.Complete(t.Context(), u, []objstore.Part{{N: 0, Size: 5}}, objstore.PutOptions{})
	require.Equal(t, objstore.BadPart, objstore.KindOf(err))
	require.NoError(t, s.Abort(t.Context(), u))
	_, err = s.Parts(t.Context(), u)
	require.ErrorIs(t, err, objstore.ErrNoUpload)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

func FuzzOpenURI(f *testing.F) {
	f.Add("faux:///x?1k", int64(3))
	f.Add("faux:///d?count=10&size=1k&inc=2k&seq=random&buf_init=random", int64(7))
	f.Add("faux://", int64(0))
	f.Fuzz(func(t *testing.T, uri string, n int64) {
		d, _, err := objstore.Schemes{"faux": OpenURI}.Open(t.Context(), uri)
		if err != nil {
			return
		}
		s, ok := d.(*Source)
		if !ok {
			return
		}
		i := n & (1<<62 - 1) % s.tree.Count
		if size := s.size(i); size < 0 || size > maxSize {
			t.Fatalf("object %d has %d bytes", i, size)
		}
		if j, ok := s.index(s.key(i)); !ok || j != i {
			t.Fatalf("%q is object %d, not %d", s.key(i), j, i)
		}
	})
}

func BenchmarkFill(b *testing.B) {
	buf := make([]byte, 1<<20)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		fill(buf, 1, 3)
	}
}
