package objstore

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// crossing is a fake that can copy from others, the foreign one excepted.
type crossing struct {
	*fake
	foreign Driver
}

func (c crossing) CopyFrom(ctx context.Context, src Driver, srcKey, etag, dstKey string, o *PutOptions) (Object, error) {
	from, ok := src.(crossing)
	if !ok || src == c.foreign {
		return Object{}, &Error{Op: "copy", Key: srcKey, Kind: Unsupported}
	}
	return c.copyFrom(ctx, from.fake, srcKey, etag, dstKey, o)
}

func TestCopyIsTheStoresWhereItCan(t *testing.T) {
	data := random(t, 5*testPart+1)
	attr, other := Attr{Mtime: time.Unix(1, 0)}, Attr{Mtime: time.Unix(2, 0)}
	for _, c := range []struct {
		name   string
		change func(dst, src *fake, d *crossing, from Driver)
		o      CopyOptions
		inside bool
	}{
		{"one store", func(*fake, *fake, *crossing, Driver) {}, CopyOptions{}, true},
		{"with other attributes", func(*fake, *fake, *crossing, Driver) {}, CopyOptions{Attr: &other}, true},
		{"two stores", func(_, src *fake, _ *crossing, _ Driver) { src.caps.Store = "another" }, CopyOptions{}, false},
		{"not known", func(dst, src *fake, _ *crossing, _ Driver) { dst.caps.Store, src.caps.Store = "", "" }, CopyOptions{}, false},
		{"no copying", func(dst, _ *fake, _ *crossing, _ Driver) { dst.caps.Copy = false }, CopyOptions{}, false},
		{"too large", func(dst, _ *fake, _ *crossing, _ Driver) { dst.caps.MaxCopy = 5 * testPart }, CopyOptions{}, false},
		{"refused", func(_, _ *fake, d *crossing, from Driver) { d.foreign = from }, CopyOptions{}, false},
		{"only if absent", func(*fake, *fake, *crossing, Driver) {}, CopyOptions{IfAbsent: true}, false},
		{"only if absent, which nobody does", func(dst, _ *fake, _ *crossing, _ Driver) { dst.caps.IfAbsent = false }, CopyOptions{IfAbsent: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsrc, fdst := newFake(), newFake()
			fsrc.caps.Store, fdst.caps.Store = "s3 account", "s3 account"
			from := fsrc.set("a", data, attr)
			src, dst := crossing{fake: fsrc}, crossing{fake: fdst}
			c.change(fdst, fsrc, &dst, src)
			bs, bd := NewBucket(src, Config{}), NewBucket(dst, Config{PartSize: testPart})
			o, err := Copy(t.Context(), bd, "b", bs, "a", c.o)
			require.NoError(t, err)
			require.Equal(t, from.Size, o.Size)
			require.Equal(t, data, fdst.data("b"))
			want := attr
			if c.o.Attr != nil {
				want = other
			}
			require.Equal(t, want, fdst.objects["b"].Attr)
			if c.inside {
				require.Zero(t, fsrc.count("Read"))
				require.Equal(t, from.ETag, fdst.find("Copy")[0].etag)
			} else {
				require.Equal(t, 6, fsrc.count("Read"))
				require.Equal(t, 6, fdst.count("PutPart"))
			}
			if c.o.IfAbsent {
				_, err = Copy(t.Context(), bd, "b", bs, "a", c.o)
				require.ErrorIs(t, err, ErrExists)
			}
			_, err = Copy(t.Context(), bd, "c", bs, "a", CopyOptions{ETag: "old"})
			require.ErrorIs(t, err, ErrChanged)
			_, err = Copy(t.Context(), bd, "c", bs, "missing", CopyOptions{})
			require.ErrorIs(t, err, ErrNotFound)
			requireIdle(t, bd)
			requireIdle(t, bs)
		})
	}
}

func TestCopyWithinAPlace(t *testing.T) {
	f := newFake()
	f.set("a", []byte("x"), Attr{})
	b := NewBucket(f, Config{})
	_, err := Copy(t.Context(), b, "b", b, "a", CopyOptions{})
	require.NoError(t, err)
	_, err = b.Copy(t.Context(), "a", "c")
	require.NoError(t, err)
	require.Equal(t, 2, f.count("Copy"))
	require.Equal(t, "x", string(f.data("b"))+string(f.data("c"))[1:])
}

// TestCopyBoundsMemory copies several objects at once through a pool of two parts, from a source that breaks off.
func TestCopyBoundsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := random(t, 20*testPart+7)
		f := newFake()
		f.set("a", data, Attr{})
		f.before = func(_ context.Context, c call) error {
			if c.try%3 == 1 && (c.op == "PutPart" || c.op == "Read") {
				return &Error{Kind: Temporary}
			}
			return nil
		}
		pool := NewPool(2 * testPart)
		b := NewBucket(f, Config{PartSize: testPart, Pool: pool})
		d := NewBucket(newFake(), Config{PartSize: testPart, Pool: pool})
		done := make(chan error, 3)
		for _, key := range []string{"x", "y", "z"} {
			go func() { _, err := Copy(t.Context(), d, key, b, "a", CopyOptions{}); done <- err }()
		}
		for range 3 {
			require.NoError(t, <-done)
		}
		for _, key := range []string{"x", "y", "z"} {
			require.True(t, bytes.Equal(data, d.drv.(*fake).data(key)))
		}
		requireIdle(t, b)
	})
}

func TestCopyOfAnObjectThatChanges(t *testing.T) {
	f, to := newFake(), newFake()
	f.set("a", bytes.Repeat([]byte{1}, 5*testPart), Attr{})
	f.after = func(_ context.Context, c call) error {
		if c.op == "Read" && c.off == 0 {
			f.set("a", bytes.Repeat([]byte{2}, 5*testPart), Attr{})
		}
		return nil
	}
	b := NewBucket(f, Config{Parallel: 1})
	d := NewBucket(to, Config{PartSize: testPart, Parallel: 1})
	_, err := Copy(t.Context(), d, "b", b, "a", CopyOptions{})
	require.ErrorIs(t, err, ErrChanged)
	require.Nil(t, to.data("b"))
	require.Zero(t, to.open())
	requireIdle(t, d)
}
