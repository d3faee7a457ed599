package objstore

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const testPart = 1000 // bytes of parts in tests

// upload begins an upload of an object with parts of testPart bytes.
func upload(t testing.TB, b *Bucket, size int64) *Writer {
	t.Helper()
	w, err := b.Create(t.Context(), "a", CreateOptions{Size: size, PartSize: testPart})
	require.NoError(t, err)
	return w
}

// put puts part n of data.
func put(ctx context.Context, w *Writer, n int, data []byte) error {
	u := w.Upload()
	spec, size := u.Spec(n)
	return w.PutPart(ctx, n, spec.Last, bytes.NewReader(data[spec.Off:spec.Off+size]), size)
}

// slow lets the first try of a part never end, others take a second.
func slow(n int) func(context.Context, call) error {
	return func(ctx context.Context, c call) error {
		if c.op != "PutPart" {
			return nil
		}
		if c.n == n && c.try == 1 {
			return block(ctx)
		}
		time.Sleep(time.Second)
		return nil
	}
}

func TestHedgeTakesETagsFromTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := random(t, 5*testPart-1)
		f := newFake()
		f.before = slow(3)
		b := NewBucket(f, Config{})
		w := upload(t, b, int64(len(data)))
		for n := range 3 {
			require.NoError(t, put(t.Context(), w, n, data))
		}
		begun := time.Now()
		require.NoError(t, put(t.Context(), w, 3, data))
		require.Equal(t, 4*time.Second, time.Since(begun), "three times the median, and a second for the second try")
		require.NoError(t, put(t.Context(), w, 4, data))

		// As if the first try had arrived at last, behind the answer to the second.
		up := f.uploads[w.Upload().ID]
		up.parts[3] = Part{N: 3, Size: testPart, ETag: "of the loser"}
		_, err := w.Complete(t.Context(), int64(len(data)))
		require.NoError(t, err)
		require.Equal(t, data, f.data("a"))
		require.Equal(t, 1, f.count("Parts"))
		require.Equal(t, 1, f.count("Complete"))
		require.Equal(t, "of the loser", f.find("Complete")[0].etags[3])
		requireIdle(t, b)
	})
}

func TestNoHedge(t *testing.T) {
	data := random(t, 5*testPart)
	for _, c := range []struct {
		name  string
		cfg   Config
		caps  func(*Caps)
		known int // parts put before
	}{
		{"turned off", Config{NoHedge: true}, func(*Caps) {}, 3},
		{"ordered", Config{}, func(c *Caps) { c.Ordered = true }, 3},
		{"too little is known", Config{}, func(*Caps) {}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				c.caps(&f.caps)
				f.before = slow(c.known)
				b := NewBucket(f, c.cfg)
				w := upload(t, b, int64(len(data)))
				for n := range c.known {
					require.NoError(t, put(t.Context(), w, n, data))
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				require.ErrorIs(t, put(ctx, w, c.known, data), context.DeadlineExceeded)
				require.Equal(t, c.known+1, f.count("PutPart"))
				requireIdle(t, b)
			})
		})
	}
}

// TestHedgeLearnsMeanwhile: the slow part began when nothing was known, together with those that tell what is slow.
func TestHedgeLearnsMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := random(t, 4*testPart)
		f := newFake()
		f.before = slow(0)
		b := NewBucket(f, Config{})
		begun := time.Now()
		_, err := b.Write(t.Context(), "a", bytes.NewReader(data), CreateOptions{Size: int64(len(data)), PartSize: testPart})
		require.NoError(t, err)
		require.Equal(t, 4*time.Second, time.Since(begun))
		require.Equal(t, data, f.data("a"))
	})
}

func TestHedgeWaitsForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := random(t, 7*testPart)
		f := newFake()
		f.before = func(ctx context.Context, c call) error {
			switch {
			case c.op != "PutPart":
			case c.n == 3 && c.try == 1:
				return block(ctx)
			case c.n >= 4:
				time.Sleep(10 * time.Second)
			default:
				time.Sleep(time.Second)
			}
			return nil
		}
		b := NewBucket(f, Config{Parallel: 2})
		w := upload(t, b, int64(len(data)))
		for n := range 3 {
			require.NoError(t, put(t.Context(), w, n, data))
		}
		begun := time.Now()
		var g sync.WaitGroup
		for n := 3; n < 7; n++ {
			g.Go(func() { require.NoError(t, put(t.Context(), w, n, data)) })
			synctest.Wait()
		}
		g.Wait()
		// Parts 4, 5 and 6 go through one turn. When 6 has begun, at 20 s, the hedge is allowed, and has its turn at 30 s.
		require.Equal(t, 31*time.Second, time.Since(begun))
		require.Equal(t, 2, f.most, "a hedge is under the limit, too")
		tries := f.find("PutPart")
		require.Equal(t, 3, tries[len(tries)-1].n)
		requireIdle(t, b)
	})
}

func TestHedgeErrors(t *testing.T) {
	data := random(t, 4*testPart)
	for _, c := range []struct {
		name          string
		first, second func(context.Context) error
		took          time.Duration // 0 = not exact
		kind          Kind
		tries         int
	}{
		{"the second is refused, the first goes on", after(20*time.Second, nil), after(0, &Error{Kind: Denied}), 20 * time.Second, Other, 2},
		{"the first is refused while the second runs", after(5*time.Second, &Error{Kind: Denied}), block, 5 * time.Second, Denied, 2},
		{"the first fails, the second wins", after(5*time.Second, &Error{Kind: Temporary}), after(7*time.Second, nil), 10 * time.Second, Other, 2},
		{"both fail and it is tried again", after(5*time.Second, &Error{Kind: Temporary}), after(time.Second, &Error{Kind: Temporary}), 0, Other, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.before = func(ctx context.Context, cl call) error {
					switch {
					case cl.op == "PutPart" && cl.n == 3 && cl.try == 1:
						return c.first(ctx)
					case cl.op == "PutPart" && cl.n == 3 && cl.try == 2:
						return c.second(ctx)
					case cl.op == "PutPart":
						time.Sleep(time.Second)
					}
					return nil
				}
				b := NewBucket(f, Config{})
				w := upload(t, b, int64(len(data)))
				for n := range 3 {
					require.NoError(t, put(t.Context(), w, n, data))
				}
				begun := time.Now()
				err := put(t.Context(), w, 3, data)
				if c.kind == Other {
					require.NoError(t, err)
				} else {
					require.Equal(t, c.kind, KindOf(err), "%v", err)
				}
				if c.took > 0 {
					require.Equal(t, c.took, time.Since(begun))
				}
				require.Equal(t, 3+c.tries, f.count("PutPart"))
				requireIdle(t, b)
			})
		})
	}
}

// after returns an answer that comes after d.
func after(d time.Duration, err error) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// leaky is a transport that goes on reading a body after its request has ended.
type leaky struct {
	*fake
	late func(try int, body *io.SectionReader) // called when a request that is given up returns
}

func (l leaky) PutPart(ctx context.Context, u Upload, p PartSpec, body *io.SectionReader) (Part, error) {
	l.mu.Lock()
	try := l.tries["PutPart/a/3"] + 1
	l.mu.Unlock()
	part, err := l.fake.PutPart(ctx, u, p, body)
	if err != nil {
		l.late(try, body)
	}
	return part, err
}

func TestLoserNeverReadsReleasedBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := random(t, 4*testPart)
		f := newFake()
		f.before = slow(3)
		read := make(chan struct{}) // closed when the buffer belongs to somebody else
		type late struct {
			n   int
			err error
		}
		lates := make(chan late, 1)
		d := leaky{f, func(_ int, body *io.SectionReader) {
			go func() {
				<-read
				n, err := body.Read(make([]byte, 10))
				lates <- late{n, err}
			}()
		}}
		b := NewBucket(d, Config{})
		w := upload(t, b, int64(len(data)))
		for n := range 3 {
			require.NoError(t, put(t.Context(), w, n, data))
		}
		require.NoError(t, put(t.Context(), w, 3, data))
		close(read)
		got := <-lates
		require.Zero(t, got.n)
		require.ErrorIs(t, got.err, errRevoked)
	})
}

// blockingReader blocks in ReadAt until it is released, when it is armed.
type blockingReader struct {
	io.ReaderAt
	entered, release chan struct{}
}

func (r blockingReader) ReadAt(p []byte, off int64) (int, error) {
	close(r.entered)
	<-r.release
	return r.ReaderAt.ReadAt(p, off)
}

// TestPutPartWaitsForReads: the request has ended, but its transport is still inside of a ReadAt.
func TestPutPartWaitsForReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.before = func(ctx context.Context, c call) error {
			if c.op == "PutPart" {
				return &Error{Kind: Denied}
			}
			return nil
		}
		src := blockingReader{bytes.NewReader(make([]byte, testPart)), make(chan struct{}), make(chan struct{})}
		d := leaky{f, func(_ int, body *io.SectionReader) {
			go func() { _, _ = body.ReadAt(make([]byte, 10), 0) }()
			<-src.entered
		}}
		b := NewBucket(d, Config{})
		w := upload(t, b, testPart)
		done := make(chan error)
		go func() { done <- w.PutPart(t.Context(), 0, true, src, testPart) }()
		synctest.Wait()
		select {
		case <-done:
			require.Fail(t, "PutPart returned while its body was read")
		default:
		}
		close(src.release)
		require.ErrorIs(t, <-done, ErrDenied)
	})
}
