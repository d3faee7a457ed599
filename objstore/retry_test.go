package objstore

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRetryHonoursAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.set("a", []byte("x"), Attr{})
		f.before = func(_ context.Context, c call) error {
			if c.try <= 3 {
				return &Error{Kind: Busy, After: 7 * time.Second}
			}
			return nil
		}
		b := NewBucket(f, Config{})
		begun := time.Now()
		_, err := b.Stat(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, 21*time.Second, time.Since(begun))
	})
}

func TestRetryPausesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		var at []time.Time
		f.before = func(context.Context, call) error {
			at = append(at, time.Now())
			return &Error{Kind: Temporary, Err: errors.New("reset")}
		}
		b := NewBucket(f, Config{})
		begun := time.Now()
		_, err := b.Stat(t.Context(), "a")
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, Error{Op: "stat", Key: "a", Kind: Temporary, Err: e.Err}, *e)
		require.EqualError(t, err, `stat "a": temporary failure: reset`)
		took := time.Since(begun)
		require.True(t, took <= 10*time.Minute && took > 10*time.Minute-maxPause*3/2, "%v", took)
		nominal := firstPause
		for i := 1; i < len(at); i++ {
			pause := at[i].Sub(at[i-1])
			require.True(t, pause >= nominal/2 && pause <= nominal*3/2, "pause %d is %v", i, pause)
			nominal = min(2*nominal, maxPause)
		}
	})
}

func TestRetryOnlyWhatHelps(t *testing.T) {
	for kind := Other; kind <= Closed; kind++ {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.set("a", nil, Attr{})
				f.before = fail("Stat", 1, kind)
				_, err := NewBucket(f, Config{}).Stat(t.Context(), "a")
				if kind.Temporary() {
					require.NoError(t, err)
					require.Equal(t, 2, f.count("Stat"))
					return
				}
				require.Equal(t, kind, KindOf(err))
				require.Equal(t, 1, f.count("Stat"))

				f = newFake()
				f.before = fail("Stat", 1, kind)
				_, err = NewBucket(f, Config{RetryTimeout: -1}).Stat(t.Context(), "a")
				require.Equal(t, kind, KindOf(err))
			})
		})
	}
	f := newFake()
	f.before = fail("Stat", 1, Busy)
	_, err := NewBucket(f, Config{RetryTimeout: -1}).Stat(t.Context(), "a")
	require.Equal(t, Busy, KindOf(err), "retries can be turned off")
	require.Equal(t, 1, f.count("Stat"))
}

func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.before = fail("Stat", 1000, Busy)
		b := NewBucket(f, Config{})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begun := time.Now()
		_, err := b.Stat(ctx, "a")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 3*time.Second, time.Since(begun))
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "stat", e.Op)
		require.Equal(t, "a", e.Key)

		go func() {
			time.Sleep(time.Second)
			require.NoError(t, b.Close())
		}()
		_, err = b.Stat(t.Context(), "a")
		require.ErrorIs(t, err, ErrClosed, "closing ends a pause")
	})
}

func TestPutAfterLostAnswer(t *testing.T) {
	body := random(t, 100_000)
	for _, c := range []struct {
		name  string
		there func(f *fake) // what is there before the second try
		want  error
	}{
		{"ours", func(*fake) {}, nil},
		{"another of that size", func(f *fake) { f.set("a", bytes.Repeat([]byte{1}, len(body)), Attr{}) }, ErrExists},
		{"another size", func(f *fake) { f.set("a", body[1:], Attr{}) }, ErrExists},
		{"another time", func(f *fake) { f.set("a", body, Attr{Mtime: time.Unix(5, 0)}) }, ErrExists},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.after = func(_ context.Context, cl call) error {
					if cl.op == "Put" && cl.try == 1 {
						c.there(f)
						return &Error{Kind: Temporary, Err: errors.New("connection reset")}
					}
					return nil
				}
				b := NewBucket(f, Config{})
				o, err := b.Put(t.Context(), "a", bytes.NewReader(body), int64(len(body)), PutOptions{IfAbsent: true, Attr: Attr{Mtime: time.Unix(1000, 0)}})
				require.ErrorIs(t, err, c.want)
				if c.want == nil {
					require.Equal(t, int64(len(body)), o.Size)
				}
				require.Equal(t, 2, f.count("Put"))
				requireIdle(t, b)
			})
		})
	}
}

func TestPutIfAbsentFindsOne(t *testing.T) {
	for _, native := range []bool{true, false} {
		f := newFake()
		f.caps.IfAbsent = native
		b := NewBucket(f, Config{})
		put := func(text string) error {
			_, err := b.Put(t.Context(), "a", bytes.NewReader([]byte(text)), int64(len(text)), PutOptions{IfAbsent: true})
			return err
		}
		require.NoError(t, put("one"))
		require.ErrorIs(t, put("two"), ErrExists)
		require.ErrorIs(t, put("one"), ErrExists, "the same bytes are no excuse when no answer was lost")
		require.Equal(t, "one", string(f.data("a")))
	}
}
