package objstore

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// limiterScript drives a limiter that nobody else uses.
type limiterScript struct {
	t     *testing.T
	l     *limiter
	turns []uint64
}

func newLimiterScript(t *testing.T, ceiling int) *limiterScript {
	return &limiterScript{t: t, l: newLimiter(ceiling)}
}

// fill begins as many requests as there may be.
func (s *limiterScript) fill() {
	for s.l.used < s.l.limit {
		turn, err := s.l.acquire(s.t.Context())
		require.NoError(s.t, err)
		s.turns = append(s.turns, turn)
	}
}

// end ends the oldest n requests with err.
func (s *limiterScript) end(n int, err error) {
	for range n {
		s.l.release(s.turns[0], err)
		s.turns = s.turns[1:]
	}
}

func (s *limiterScript) want(what string, limit int) {
	s.t.Helper()
	require.Equal(s.t, limit, s.l.limit, what)
}

func TestLimiterGrowsByOneARound(t *testing.T) {
	s := newLimiterScript(t, 18)
	s.want("at first", 16)
	for range 16 {
		s.fill()
		s.want("before a round is over", 16)
		s.end(1, nil)
	}
	s.want("after a round of 16", 17)
	for range 17 {
		s.fill()
		s.end(1, nil)
	}
	s.want("after a round of 17", 18)
	for range 60 {
		s.fill()
		s.end(1, nil)
	}
	s.want("at the ceiling", 18)
	require.Equal(t, 2, newLimiter(2).limit, "a ceiling below the first limit")
}

func TestLimiterDoesNotGrowUnused(t *testing.T) {
	s := newLimiterScript(t, 64)
	for range 100 {
		turn, err := s.l.acquire(t.Context())
		require.NoError(t, err)
		s.l.release(turn, nil)
	}
	s.want("one request at a time proves nothing", firstLimit)
}

func TestBusyHalvesParallelism(t *testing.T) {
	s := newLimiterScript(t, 64)
	busy := &Error{Kind: Busy}
	s.fill()
	s.end(16, busy)
	s.want("16 that were under way together are told the same", 8)
	s.fill()
	s.end(1, &Error{Kind: Temporary})
	s.want("a fault of the network says nothing", 8)
	s.fill()
	s.end(7, nil)
	s.want("one short of a round", 8)
	s.end(1, busy)
	s.want("it began after the cut", 4)
	s.fill()
	s.end(4, busy)
	s.fill()
	s.end(2, busy)
	s.fill()
	s.end(1, busy)
	s.want("never none", 1)
	s.fill()
	s.end(1, &Error{Kind: NotFound})
	s.want("an answer is a success, whatever it says", 2)
}

// TestBusyHalvesParallelismOfABucket sees the same from outside.
func TestBusyHalvesParallelismOfABucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.set("a", nil, Attr{})
		busy := fail("Stat", 4, Busy)
		f.before = func(ctx context.Context, c call) error {
			time.Sleep(time.Second) // all four are under way together
			return busy(ctx, c)
		}
		b := NewBucket(f, Config{})
		done := make(chan error, 4)
		for range 4 {
			go func() { _, err := b.Stat(t.Context(), "a"); done <- err }()
		}
		for range 4 {
			require.NoError(t, <-done)
		}
		require.Equal(t, firstLimit/2, b.limiter.limit)
		require.Equal(t, 8, f.count("Stat"))
		requireIdle(t, b)
	})
}

func TestLimiterIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLimiterScript(t, 1)
		s.fill()
		order := make(chan int, 5)
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("gone")
		for i := range 5 {
			go func() {
				ctx := ctx
				if i != 2 {
					ctx = t.Context()
				}
				turn, err := s.l.acquire(ctx)
				if err != nil {
					require.ErrorIs(t, err, gone)
					order <- -1
					return
				}
				order <- i
				s.l.release(turn, &Error{Kind: Temporary})
			}()
			synctest.Wait()
		}
		cancel(gone)
		require.Equal(t, -1, <-order, "one in the middle does not wait any more")
		s.end(1, nil)
		for _, want := range []int{0, 1, 3, 4} {
			require.Equal(t, want, <-order)
		}
		_, err := s.l.acquire(ctx)
		require.ErrorIs(t, err, gone)
	})
}

func TestCloseTurnsWaitersAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		b := NewBucket(f, Config{Parallel: 1})
		turn, err := b.limiter.acquire(t.Context())
		require.NoError(t, err)
		done := make(chan error)
		go func() { _, err := b.Stat(t.Context(), "a"); done <- err }()
		synctest.Wait()
		require.NoError(t, b.Close())
		require.NoError(t, b.Close())
		require.Equal(t, 1, f.closed)
		require.ErrorIs(t, <-done, ErrClosed)
		_, err = b.Stat(t.Context(), "a")
		require.ErrorIs(t, err, ErrClosed)
		b.limiter.release(turn, nil)
	})
}
