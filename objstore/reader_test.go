package objstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReaderReadsAll(t *testing.T) {
	data := random(t, 5<<20+12345)
	size := int64(len(data))
	for _, c := range []struct {
		name     string
		o        ReadOptions
		pool     int64
		from, to int64
	}{
		{"all", ReadOptions{}, 64 << 20, 0, size},
		{"small ranges", ReadOptions{PartSize: 10_000, ReadAhead: 7}, 64 << 20, 0, size},
		{"a middle", ReadOptions{Offset: 1000, Length: 3 << 20}, 64 << 20, 1000, 1000 + 3<<20},
		{"a few bytes", ReadOptions{Offset: 1000, Length: 10}, 64 << 20, 1000, 1010},
		{"more than there is", ReadOptions{Offset: 1000, Length: size}, 64 << 20, 1000, size},
		{"the last byte", ReadOptions{Offset: size - 1}, 64 << 20, size - 1, size},
		{"behind the last byte", ReadOptions{Offset: size}, 64 << 20, size, size},
		{"no memory", ReadOptions{}, 10, 0, size},
		{"little memory", ReadOptions{}, 5 << 20, 0, size},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake()
			o := f.set("a", data, Attr{Mtime: time.Unix(1, 0)})
			b := NewBucket(f, Config{PartSize: 2 << 20, Pool: NewPool(c.pool)})
			for _, how := range []string{"Read", "WriteTo"} {
				r, err := b.Open(t.Context(), "a", c.o)
				require.NoError(t, err)
				require.Equal(t, o, r.Object())
				var got bytes.Buffer
				if how == "WriteTo" {
					n, err := io.Copy(&got, r)
					require.NoError(t, err)
					require.Equal(t, c.to-c.from, n)
				} else {
					_, err := got.ReadFrom(struct{ io.Reader }{iotest.HalfReader(r)})
					require.NoError(t, err)
				}
				require.True(t, bytes.Equal(data[c.from:c.to], got.Bytes()))
				_, err = r.Read(make([]byte, 1))
				require.Equal(t, io.EOF, err)
				require.NoError(t, r.Close())
				require.NoError(t, r.Close())
				_, err = r.Read(make([]byte, 1))
				require.ErrorIs(t, err, ErrClosed)
				requireIdle(t, b)
			}
			for _, call := range f.find("Read") {
				if c.from < size {
					require.Contains(t, []string{"", o.ETag}, call.etag)
				}
			}
		})
	}
}

func TestReaderPinsTheETag(t *testing.T) {
	f := newFake()
	o := f.set("a", make([]byte, 10_000), Attr{})
	b := NewBucket(f, Config{PartSize: testPart})
	r, err := b.Open(t.Context(), "a", ReadOptions{Length: 5000, PartSize: testPart, ETag: o.ETag})
	require.NoError(t, err)
	require.NoError(t, r.Close())
	_, err = b.Open(t.Context(), "a", ReadOptions{ETag: "another"})
	require.ErrorIs(t, err, ErrChanged)
	_, err = b.Open(t.Context(), "a", ReadOptions{ETag: "another", Offset: 10_000})
	require.ErrorIs(t, err, ErrChanged)
	_, err = b.Open(t.Context(), "a", ReadOptions{Offset: 10_001})
	require.Equal(t, Range, KindOf(err))
	_, err = b.Open(t.Context(), "a", ReadOptions{Offset: -1})
	require.Equal(t, Invalid, KindOf(err))
	_, err = b.Open(t.Context(), "b", ReadOptions{})
	require.ErrorIs(t, err, ErrNotFound)
	requireIdle(t, b)
}

func TestChangedObjectIsAnError(t *testing.T) {
	old, fresh := bytes.Repeat([]byte{1}, 4<<20), bytes.Repeat([]byte{2}, 4<<20)
	for name, set := range map[string]func(f *fake){
		"with ETags": func(*fake) {},
		"without":    func(f *fake) { o := f.objects["a"]; o.ETag = ""; f.objects["a"] = o },
	} {
		for _, ahead := range []int64{10, 64 << 20} { // bytes of the pool
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFake()
					f.set("a", old, Attr{})
					set(f)
					b := NewBucket(f, Config{Pool: NewPool(ahead)})
					r, err := b.Open(t.Context(), "a", ReadOptions{ReadAhead: 1, PartSize: 1 << 20})
					require.NoError(t, err)
					p := make([]byte, 100)
					_, err = io.ReadFull(r, p)
					require.NoError(t, err)
					synctest.Wait()
					time.Sleep(time.Second)
					f.set("a", fresh, Attr{})
					set(f)
					got, err := io.ReadAll(r)
					require.ErrorIs(t, err, ErrChanged)
					require.Contains(t, err.Error(), `"a"`)
					require.Equal(t, -1, bytes.IndexByte(got, 2), "no byte of the other version")
					_, again := r.Read(p)
					require.Equal(t, err, again, "it does not recover")
					require.NoError(t, r.Close())
					requireIdle(t, b)
				})
			})
		}
	}
}

// broken ends a body after n bytes with err; nil is a clean end.
type broken struct {
	io.ReadCloser
	n   int
	err error
}

func (b *broken) Read(p []byte) (int, error) {
	if b.n == 0 {
		if b.err == nil {
			return 0, io.EOF
		}
		return 0, b.err
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.n)])
	b.n -= n
	return n, err
}

func TestTruncatedBodyContinuesWhereItStopped(t *testing.T) {
	data := random(t, 3<<20)
	for name, cut := range map[string]error{
		"clean end": nil, "reset": errors.New("connection reset by peer"), "half": io.ErrUnexpectedEOF,
		"checksum": &Error{Kind: Corrupt},
	} {
		for _, pool := range []int64{10, 64 << 20} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFake()
					f.set("a", data, Attr{})
					const step = 100_000
					f.body = func(_ context.Context, _ call, rc io.ReadCloser) io.ReadCloser { return &broken{rc, step, cut} }
					b := NewBucket(f, Config{Pool: NewPool(pool), Parallel: 1})
					r, err := b.Open(t.Context(), "a", ReadOptions{PartSize: 1 << 20, ReadAhead: 1})
					require.NoError(t, err)
					got, err := io.ReadAll(r)
					require.NoError(t, err)
					require.True(t, bytes.Equal(data, got))
					require.NoError(t, r.Close())
					// Each request begins where the one before of its range broke off: none is asked for a byte twice.
					var from []int64
					for _, c := range f.find("Read") {
						from = append(from, c.off)
					}
					slices.Sort(from)
					require.Equal(t, slices.Compact(slices.Clone(from)), from, "offsets asked for")
					require.Len(t, from, map[int64]int{10: 11 + 21, 64 << 20: 3 * 11}[pool])
					requireIdle(t, b)

					// The same with one range.
					p := make([]byte, 950_000)
					before := f.count("Read")
					n, err := b.ReadAt(t.Context(), "a", p, 1_000_000, "")
					require.NoError(t, err)
					require.Equal(t, len(p), n)
					require.True(t, bytes.Equal(data[1_000_000:1_950_000], p))
					require.Equal(t, 10, f.count("Read")-before)
				})
			})
		}
	}
}

func TestBrokenForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := random(t, 3<<20)
		for _, pool := range []int64{10, 64 << 20} {
			f := newFake()
			f.set("a", data, Attr{})
			f.body = func(_ context.Context, c call, rc io.ReadCloser) io.ReadCloser {
				return &broken{rc, int(max(0, 2<<20-c.off)), nil}
			}
			b := NewBucket(f, Config{Pool: NewPool(pool)})
			r, err := b.Open(t.Context(), "a", ReadOptions{PartSize: 1 << 20})
			require.NoError(t, err)
			var got bytes.Buffer
			begun := time.Now()
			n, err := r.WriteTo(&got)
			require.Equal(t, Temporary, KindOf(err))
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.ErrorContains(t, err, `read "a": temporary failure: the body ends 1048576 bytes early`)
			require.Equal(t, int64(2<<20), n)
			require.True(t, bytes.Equal(data[:2<<20], got.Bytes()), "what came before is handed out")
			require.Greater(t, time.Since(begun), 9*time.Minute)
			require.NoError(t, r.Close())
			requireIdle(t, b)
		}
	})
}

// stalling is a body that brings n bytes and then nothing until its request ends.
type stalling struct {
	io.ReadCloser
	ctx context.Context
	n   int
}

func (s *stalling) Read(p []byte) (int, error) {
	if s.n <= 0 {
		return 0, block(s.ctx)
	}
	n, err := s.ReadCloser.Read(p[:min(len(p), s.n)])
	s.n -= n
	return n, err
}

func TestStalledBodyIsAskedForAgain(t *testing.T) {
	data := random(t, 100_000)
	for _, c := range []struct {
		name  string
		cfg   time.Duration
		stall time.Duration // of one; 0 = for ever
	}{
		{"default", 0, 30 * time.Second}, {"5 s", 5 * time.Second, 5 * time.Second}, {"no bound", -1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.set("a", data, Attr{})
				f.before = func(ctx context.Context, cl call) error {
					if cl.try == 2 {
						return block(ctx) // no answer at all
					}
					return nil
				}
				f.body = func(ctx context.Context, cl call, rc io.ReadCloser) io.ReadCloser {
					if cl.try == 1 {
						return &stalling{rc, ctx, 60_000}
					}
					return rc
				}
				b := NewBucket(f, Config{StallTimeout: c.cfg})
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				begun := time.Now()
				r, err := b.Open(ctx, "a", ReadOptions{})
				require.NoError(t, err)
				defer r.Close()
				p := make([]byte, 50_000)
				_, err = io.ReadFull(r, p)
				require.NoError(t, err)
				time.Sleep(10 * time.Minute) // who reads is slow, not the store
				require.Equal(t, 1, f.count("Read"))
				begun = begun.Add(10 * time.Minute)
				got, err := io.ReadAll(r)
				if c.stall == 0 {
					require.ErrorIs(t, err, context.DeadlineExceeded)
					return
				}
				require.NoError(t, err)
				require.True(t, bytes.Equal(data, append(p, got...)))
				reads := f.find("Read")
				require.Equal(t, []int64{0, 60_000, 60_000}, []int64{reads[0].off, reads[1].off, reads[2].off})
				took := time.Since(begun)
				require.True(t, took >= 2*c.stall && took < 2*c.stall+time.Second, "%v", took)
			})
		})
	}
}

func TestReaderReadsAheadInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := random(t, 9<<20)
		f := newFake()
		f.set("a", data, Attr{})
		f.before = func(_ context.Context, c call) error {
			if c.op == "Read" {
				time.Sleep(time.Second)
			}
			return nil
		}
		b := NewBucket(f, Config{Parallel: 8})
		begun := time.Now()
		r, err := b.Open(t.Context(), "a", ReadOptions{PartSize: 1 << 20, ReadAhead: 4})
		require.NoError(t, err)
		require.Equal(t, time.Second, time.Since(begun), "the first byte is early")
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got))
		require.Equal(t, 3*time.Second, time.Since(begun), "8 ranges, 4 at a time")
		require.NoError(t, r.Close())
	})
}

func TestReaderGrowsWhereAskingIsSlow(t *testing.T) {
	for _, c := range []struct {
		name    string
		latency time.Duration
		want    int64
	}{
		{"the first byte takes long", 100 * time.Millisecond, 32 << 20},
		{"the first byte is early", 10 * time.Millisecond, 16 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.set("a", make([]byte, 120<<20), Attr{})
				f.before = func(_ context.Context, call call) error {
					if call.op == "Read" {
						time.Sleep(c.latency)
					}
					return nil
				}
				b := NewBucket(f, Config{Parallel: 2, PartSize: 32 << 20})
				r, err := b.Open(t.Context(), "a", ReadOptions{})
				require.NoError(t, err)
				_, err = io.Copy(io.Discard, r)
				require.NoError(t, err)
				require.NoError(t, r.Close())
				var largest int64
				for _, call := range f.find("Read") {
					largest = max(largest, call.len)
				}
				require.Equal(t, c.want, largest)
			})
		})
	}
}

func TestReadersLeaveHalfOfThePool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := random(t, 40<<20)
		f := newFake()
		f.set("a", data, Attr{})
		pool := NewPool(16 << 20)
		b := NewBucket(f, Config{Pool: pool, PartSize: 4 << 20})
		var open []*Reader
		for range 3 {
			r, err := b.Open(t.Context(), "a", ReadOptions{})
			require.NoError(t, err)
			open = append(open, r)
			synctest.Wait()
			require.LessOrEqual(t, pool.Used(), int64(8<<20))
		}
		// Nobody reads, and yet a stream finds memory; also one that comes from such a Reader.
		_, err := b.Write(t.Context(), "b", open[0], CreateOptions{Size: -1})
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, f.data("b")))
		_, err = b.Write(t.Context(), "c", open[1], CreateOptions{Size: int64(len(data))})
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, f.data("c")))
		for _, r := range open {
			require.NoError(t, r.Close())
		}
		requireIdle(t, b)
		require.Zero(t, pool.readers)
	})
}

func TestCloseEndsRead(t *testing.T) {
	for _, pool := range []int64{10, 64 << 20} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.set("a", make([]byte, 20<<20), Attr{})
			f.body = func(ctx context.Context, c call, rc io.ReadCloser) io.ReadCloser {
				return &stalling{rc, ctx, int(max(0, 2<<20-c.off))}
			}
			b := NewBucket(f, Config{Pool: NewPool(pool)})
			r, err := b.Open(t.Context(), "a", ReadOptions{PartSize: 1 << 20})
			require.NoError(t, err)
			done := make(chan error)
			go func() { _, err := io.Copy(io.Discard, r); done <- err }()
			synctest.Wait()
			_, err = r.Read(make([]byte, 1))
			require.Equal(t, Invalid, KindOf(err), "one goroutine at a time")
			require.NoError(t, r.Close())
			require.ErrorIs(t, <-done, ErrClosed)
			synctest.Wait()
			requireIdle(t, b)
		})
	}
}

func TestReaderEndsWithItsContext(t *testing.T) {
	for _, pool := range []int64{10, 64 << 20} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.set("a", make([]byte, 20<<20), Attr{})
			f.body = func(ctx context.Context, _ call, rc io.ReadCloser) io.ReadCloser { return &stalling{rc, ctx, 1000} }
			b := NewBucket(f, Config{Pool: NewPool(pool), StallTimeout: -1})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			r, err := b.Open(ctx, "a", ReadOptions{})
			require.NoError(t, err)
			_, err = io.ReadAll(r)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NoError(t, r.Close())
			requireIdle(t, b)
		})
	}
}

func TestWriteToAWriterThatFails(t *testing.T) {
	f := newFake()
	f.set("a", make([]byte, 5<<20), Attr{})
	b := NewBucket(f, Config{})
	r, err := b.Open(t.Context(), "a", ReadOptions{PartSize: 1 << 20})
	require.NoError(t, err)
	_, err = r.WriteTo(iotest.TruncateWriter(failing{}, 0))
	require.NoError(t, err, "it takes all")
	require.NoError(t, r.Close())
	r, err = b.Open(t.Context(), "a", ReadOptions{PartSize: 1 << 20})
	require.NoError(t, err)
	_, err = r.WriteTo(failing{})
	require.ErrorIs(t, err, io.ErrClosedPipe)
	require.NoError(t, r.Close())
	requireIdle(t, b)
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestReaderAsksForAttributes(t *testing.T) {
	f := newFake()
	attr := Attr{Mtime: time.Unix(7, 0)}
	f.set("a", []byte("abc"), attr)
	d := bare{f}
	b := NewBucket(d, Config{})
	r, err := b.Open(t.Context(), "a", ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, attr, r.Object().Attr)
	require.NoError(t, r.Close())
	require.Equal(t, 1, f.count("Stat"))
	f.caps.Attrs = false
	b = NewBucket(d, Config{})
	p, o, err := b.Get(t.Context(), "a", 3)
	require.NoError(t, err)
	require.Equal(t, "abc", string(p))
	require.False(t, o.HasAttr)
	require.Equal(t, 1, f.count("Stat"), "there is nothing to ask for")
	_, _, err = b.Get(t.Context(), "a", 2)
	require.Equal(t, Invalid, KindOf(err))
	require.ErrorContains(t, err, "3 bytes; at most 2")
}

// bare is a platform whose reads do not tell attributes.
type bare struct{ *fake }

func (b bare) Read(ctx context.Context, key string, off, length int64, etag string) (io.ReadCloser, Object, error) {
	rc, o, err := b.fake.Read(ctx, key, off, length, etag)
	o.Attr, o.HasAttr = Attr{}, false
	return rc, o, err
}

func TestReadAt(t *testing.T) {
	f := newFake()
	o := f.set("a", []byte("0123456789"), Attr{})
	b := NewBucket(f, Config{})
	for _, c := range []struct {
		off  int64
		n    int
		etag string
		want string
		err  error
	}{
		{0, 4, "", "0123", nil},
		{6, 4, o.ETag, "6789", nil},
		{6, 5, o.ETag, "6789", io.EOF},
		{10, 1, "", "", io.EOF},
		{11, 1, "", "", io.EOF},
		{11, 0, "", "", nil},
		{0, 4, "another", "", ErrChanged},
	} {
		p := make([]byte, c.n)
		n, err := b.ReadAt(t.Context(), "a", p, c.off, c.etag)
		require.ErrorIs(t, err, c.err, "%+v", c)
		require.Equal(t, c.want, string(p[:n]), "%+v", c)
	}
	_, err := b.ReadAt(t.Context(), "a", make([]byte, 1), -1, "")
	require.Equal(t, Invalid, KindOf(err))
	_, err = b.ReadAt(t.Context(), "b", make([]byte, 1), 0, "")
	require.ErrorIs(t, err, ErrNotFound)
	require.True(t, strings.HasPrefix(err.Error(), `read "b": not found`))
}
