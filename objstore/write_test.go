package objstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEmptyObject(t *testing.T) {
	for _, size := range []int64{0, -1} {
		for name, r := range map[string]io.Reader{"random access": bytes.NewReader(nil), "stream": streamOf(nil)} {
			f := newFake()
			b := NewBucket(f, Config{})
			o, err := b.Write(t.Context(), "a", r, CreateOptions{Size: size})
			require.NoError(t, err, name)
			require.Zero(t, o.Size)
			require.Equal(t, 1, f.count("Put"), name)

			in, err := b.Open(t.Context(), "a", ReadOptions{})
			require.NoError(t, err)
			got, err := io.ReadAll(in)
			require.NoError(t, err)
			require.Empty(t, got)
			require.Equal(t, o.ETag, in.Object().ETag)
			require.NoError(t, in.Close())
			p, _, err := b.Get(t.Context(), "a", 10)
			require.NoError(t, err)
			require.Empty(t, p)
			n, err := b.ReadAt(t.Context(), "a", make([]byte, 1), 0, "")
			require.Zero(t, n)
			require.Equal(t, io.EOF, err)

			// As an upload, too.
			w := upload(t, b, size)
			require.NoError(t, w.PutPart(t.Context(), 0, true, bytes.NewReader(nil), 0))
			_, err = w.Complete(t.Context(), 0)
			require.NoError(t, err)
			requireIdle(t, b)
		}
	}
}

// TestStreamOfUnknownSize writes sizes around those where something changes, from each sort of reader.
func TestStreamOfUnknownSize(t *testing.T) {
	all := random(t, 3*peekSize+10)
	for _, part := range []int64{testPart, peekSize, peekSize + 1000} {
		for _, size := range []int64{1, part - 1, part, part + 1, 2*part - 1, 2 * part, 2*part + 1, peekSize - 1, peekSize, peekSize + 1} {
			data := all[:size]
			for name, c := range map[string]struct {
				r    io.Reader
				size int64
			}{
				"unknown":          {streamOf(data), -1},
				"unknown, in bits": {iotest.HalfReader(iotest.DataErrReader(streamOf(data))), -1},
				"known":            {streamOf(data), size},
				"random access":    {bytes.NewReader(data), size},
			} {
				f := newFake()
				f.caps.MaxParts = 0
				b := NewBucket(f, Config{PartSize: part})
				o, err := b.Write(t.Context(), "a", c.r, CreateOptions{Size: c.size})
				require.NoError(t, err, "%s, %d in parts of %d", name, size, part)
				require.Equal(t, size, o.Size)
				require.True(t, bytes.Equal(data, f.data("a")), "%s, %d in parts of %d", name, size, part)
				if size <= part {
					require.Equal(t, 1, f.count("Put"), "what fits one part is one request")
					require.Zero(t, f.count("Begin"))
				} else {
					require.Equal(t, 1, f.count("Begin"))
					require.Zero(t, f.count("Put"))
				}
				requireIdle(t, b)
			}
		}
	}
}

// TestStreamWithGrowingParts writes a stream into a store that takes few parts.
func TestStreamWithGrowingParts(t *testing.T) {
	data := random(t, 100*testPart)
	f := newFake()
	f.caps.MaxParts, f.caps.MaxObject = 20, 100*testPart
	b := NewBucket(f, Config{PartSize: testPart, Pool: NewPool(1 << 20)})
	_, err := b.Write(t.Context(), "a", streamOf(data), CreateOptions{Size: -1})
	require.NoError(t, err)
	require.Equal(t, data, f.data("a"))
	require.LessOrEqual(t, f.count("PutPart"), 20)
	for _, c := range f.find("PutPart") {
		if c.n == 0 {
			require.Equal(t, int64(testPart), c.len)
		}
	}

	_, err = b.Write(t.Context(), "b", streamOf(append(data, 0)), CreateOptions{Size: -1})
	require.ErrorContains(t, err, "the object becomes larger than the 100000 bytes that this storage takes")
	require.Zero(t, f.open())
}

func TestPutIsNotForMoreThanItTakes(t *testing.T) {
	data := random(t, 900)
	f := newFake()
	f.caps.MaxPut = 800
	b := NewBucket(f, Config{PartSize: testPart})
	for _, size := range []int64{-1, 900} {
		_, err := b.Write(t.Context(), "a", streamOf(data), CreateOptions{Size: size})
		require.NoError(t, err)
		require.Equal(t, data, f.data("a"))
	}
	require.Zero(t, f.count("Put"))
	_, err := b.Put(t.Context(), "a", bytes.NewReader(data), 900, PutOptions{})
	require.Equal(t, Invalid, KindOf(err))
}

func TestSourceOfWrongSize(t *testing.T) {
	data := random(t, 3*testPart)
	for name, c := range map[string]struct {
		size int64
		want string
	}{
		"a part early":  {4 * testPart, "ends"},
		"a byte early":  {3*testPart + 1, "ends"},
		"a byte beyond": {3*testPart - 1, "the source holds more than the 2999 bytes that it should"},
		"one part":      {testPart, "the source holds more"},
		"nothing":       {0, "the source holds more"},
	} {
		for kind, r := range map[string]io.Reader{"random access": bytes.NewReader(data), "stream": streamOf(data)} {
			t.Run(name+", "+kind, func(t *testing.T) {
				f := newFake()
				b := NewBucket(f, Config{})
				_, err := b.Write(t.Context(), "a", r, CreateOptions{Size: c.size, PartSize: testPart})
				require.ErrorContains(t, err, c.want)
				if c.want == "ends" {
					require.ErrorIs(t, err, io.ErrUnexpectedEOF)
				}
				require.Nil(t, f.data("a"))
				require.Zero(t, f.open(), "the upload is aborted")
				requireIdle(t, b)
			})
		}
	}
}

func TestSourceFails(t *testing.T) {
	broken := errors.New("disk is gone")
	data := random(t, peekSize+3*testPart)
	for _, at := range []int{0, 1, testPart, peekSize, len(data)} {
		for _, part := range []int64{testPart, peekSize + testPart} {
			f := newFake()
			f.caps.MaxParts = 0
			b := NewBucket(f, Config{PartSize: part})
			r := io.MultiReader(bytes.NewReader(data[:at]), iotest.ErrReader(broken))
			_, err := b.Write(t.Context(), "a", r, CreateOptions{Size: -1})
			require.ErrorIs(t, err, broken)
			require.ErrorContains(t, err, `write "a": read the source: disk is gone`)
			require.Nil(t, f.data("a"))
			require.Zero(t, f.open())
			requireIdle(t, b)
		}
	}
}

func TestWriteFromWhereAFileStands(t *testing.T) {
	data := random(t, 5*testPart)
	name := filepath.Join(t.TempDir(), "a")
	require.NoError(t, os.WriteFile(name, data, 0o600))
	file, err := os.Open(name)
	require.NoError(t, err)
	defer file.Close()
	_, err = file.Seek(testPart/2, io.SeekStart)
	require.NoError(t, err)
	f := newFake()
	b := NewBucket(f, Config{PartSize: testPart, Pool: NewPool(1)})
	_, err = b.Write(t.Context(), "a", file, CreateOptions{Size: int64(len(data)) - testPart/2})
	require.NoError(t, err, "and without memory of the pool")
	require.Equal(t, data[testPart/2:], f.data("a"))

	// A pipe has the methods of a file, too.
	in, out, err := os.Pipe()
	require.NoError(t, err)
	defer in.Close()
	go func() {
		_, err := out.Write(data)
		_ = out.Close()
		require.NoError(t, err)
	}()
	b = NewBucket(f, Config{PartSize: testPart})
	_, err = b.Write(t.Context(), "b", in, CreateOptions{Size: int64(len(data))})
	require.NoError(t, err)
	require.Equal(t, data, f.data("b"))
}

func TestPoolBoundsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const part = 2 * peekSize
		data := random(t, 10*part)
		f := newFake()
		pool := NewPool(3 * part)
		var mu sync.Mutex
		var most int64
		f.before = func(_ context.Context, c call) error {
			if c.op == "PutPart" {
				time.Sleep(time.Second)
				mu.Lock()
				most = max(most, pool.Used())
				mu.Unlock()
			}
			return nil
		}
		b := NewBucket(f, Config{PartSize: part, Pool: pool})
		other := NewBucket(f, Config{PartSize: part, Pool: pool})
		var g sync.WaitGroup
		for i, b := range []*Bucket{b, other, b, other} {
			g.Go(func() {
				key := string(rune('a' + i))
				_, err := b.Write(t.Context(), key, streamOf(data), CreateOptions{Size: int64(-1 + i%2*(len(data)+1))})
				require.NoError(t, err)
				require.True(t, bytes.Equal(data, f.data(key)))
			})
		}
		g.Wait()
		require.Equal(t, int64(3*part), most, "all of the pool, and no more")
		requireIdle(t, b)
	})
}

func TestPartLargerThanThePool(t *testing.T) {
	f := newFake()
	b := NewBucket(f, Config{PartSize: 4 * peekSize, Pool: NewPool(2 * peekSize)})
	_, err := b.Write(t.Context(), "a", streamOf(make([]byte, 8*peekSize)), CreateOptions{Size: -1})
	require.Equal(t, Invalid, KindOf(err))
	require.ErrorContains(t, err, "smaller parts or a larger pool")
	require.Empty(t, f.find("Begin"))
}

func TestFailedWriteIsAborted(t *testing.T) {
	data := random(t, firstLimit*testPart) // so that the part which fails need not wait for those that hang
	for name, r := range map[string]func() io.Reader{
		"random access": func() io.Reader { return bytes.NewReader(data) }, "stream": func() io.Reader { return streamOf(data) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.before = func(ctx context.Context, c call) error {
					switch {
					case c.op == "PutPart" && c.n == 2:
						time.Sleep(time.Second)
						return &Error{Op: "put part 2", Key: "a", Kind: Full}
					case c.op == "PutPart":
						return block(ctx)
					}
					return nil
				}
				b := NewBucket(f, Config{PartSize: testPart})
				_, err := b.Write(t.Context(), "a", r(), CreateOptions{Size: int64(len(data))})
				require.EqualError(t, err, `put part 2 "a": storage is full`, "the cause, not what was cancelled for it")
				require.Zero(t, f.open())
				requireIdle(t, b)

				// The context has ended, and it is aborted all the same.
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				defer cancel()
				_, err = b.Write(ctx, "a", r(), CreateOptions{Size: int64(len(data))})
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Zero(t, f.open())
				requireIdle(t, b)

				// And if that fails, it says so, soon.
				f.before = func(ctx context.Context, c call) error {
					switch c.op {
					case "PutPart":
						return &Error{Kind: Full}
					case "Abort":
						return block(ctx)
					}
					return nil
				}
				begun := time.Now()
				_, err = b.Write(t.Context(), "a", r(), CreateOptions{Size: int64(len(data))})
				require.Equal(t, Full, KindOf(err))
				require.ErrorContains(t, err, "its parts could not be removed and remain in the store")
				require.Equal(t, abortTimeout, time.Since(begun))
			})
		})
	}
}

func TestCancelledWriteBeforeAnyPart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := newFake()
	f.after = func(_ context.Context, c call) error {
		if c.op == "Begin" {
			cancel()
		}
		return nil
	}
	b := NewBucket(f, Config{PartSize: testPart})
	_, err := b.Write(ctx, "a", bytes.NewReader(make([]byte, 5*testPart)), CreateOptions{Size: 5 * testPart})
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, f.open())
	requireIdle(t, b)
}
