package objstore

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestPoolIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(10)
		require.NoError(t, p.Acquire(t.Context(), 6))
		order := make(chan int64, 3)
		for _, n := range []int64{8, 1, 2} { // 1 and 2 would fit, but the 8 came first
			go func() {
				require.NoError(t, p.Acquire(t.Context(), n))
				order <- n
			}()
			synctest.Wait()
		}
		require.Empty(t, order)
		require.Equal(t, int64(6), p.Used())
		p.Release(6)
		synctest.Wait()
		require.Equal(t, int64(9), p.Used())
		require.Len(t, order, 2)
		p.Release(8)
		synctest.Wait()
		require.Len(t, order, 3)
		require.Equal(t, int64(3), p.Used())
		require.Panics(t, func() { p.Release(4) })
	})
}

func TestPoolCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(10)
		require.NoError(t, p.Acquire(t.Context(), 6))
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error), make(chan error)
		go func() { first <- p.Acquire(ctx, 8) }()
		synctest.Wait()
		go func() { second <- p.Acquire(t.Context(), 4) }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-first, context.Canceled)
		require.NoError(t, <-second, "who stood behind is let in")
		require.Equal(t, int64(10), p.Used())
	})
}

func TestPoolTooSmall(t *testing.T) {
	p := NewPool(10)
	err := p.Acquire(t.Context(), 11)
	require.Equal(t, Invalid, KindOf(err))
	_, err = p.Join(t.Context(), 11, 20, func() {})
	require.Equal(t, Invalid, KindOf(err))
	require.Zero(t, p.Used())
	require.Equal(t, int64(1), NewPool(-5).Size())
}

func TestSharesAreEqual(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(100)
		told := make([]int, 2)
		join := func(i int) *Share {
			s, err := p.Join(t.Context(), 10, 1000, func() { told[i]++ })
			require.NoError(t, err)
			return s
		}
		a := join(0)
		require.Equal(t, int64(90), a.Take(500, 1), "alone it gets all")
		require.Equal(t, int64(100), a.Used())

		// Another waits for its floor, before the first can take again what it gives back.
		joined := make(chan *Share)
		go func() { joined <- join(1) }()
		synctest.Wait()
		a.Give(5)
		require.Zero(t, a.Take(5, 1))
		a.Give(5)
		b := <-joined
		require.Equal(t, int64(10), b.Used())
		require.Zero(t, b.Take(40, 1))
		a.Give(60)
		require.Positive(t, told[1], "there is more to be had")
		require.Equal(t, int64(40), b.Take(45, 8), "up to half, in whole units")
		require.Equal(t, int64(50), b.Used())
		require.Equal(t, int64(16), a.Take(100, 8), "30 to 50, in units of 8")
		a.Leave()
		a.Leave()
		require.Zero(t, a.Take(1, 1))
		a.Give(1)
		require.Equal(t, int64(50), p.Used())
		b.Leave()
		require.Zero(t, p.Used())
	})
}

func TestShareCeiling(t *testing.T) {
	p := NewPool(100)
	s, err := p.Join(t.Context(), 10, 30, func() {})
	require.NoError(t, err)
	require.Equal(t, int64(20), s.Take(50, 1))
	require.Panics(t, func() { s.Give(31) })
}

// TestPoolRandomly has many users at once, and counts that they never have more than there is.
func TestPoolRandomly(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	p := NewPool(1000)
	var mu sync.Mutex
	var used int64
	count := func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		used += n
		if used > 1000 {
			t.Errorf("%d bytes of 1000", used)
		}
	}
	var g sync.WaitGroup
	for i := range 20 {
		g.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for range 300 {
				switch i % 3 {
				case 0:
					n := 1 + r.Int64N(1000)
					if p.Acquire(t.Context(), n) == nil {
						count(n)
						count(-n)
						p.Release(n)
					}
				case 1:
					floor := 1 + r.Int64N(100)
					s, err := p.Join(t.Context(), floor, 500, func() {})
					if err != nil {
						t.Error(err)
						return
					}
					n := s.Take(r.Int64N(300), 1)
					count(floor + n)
					count(-floor - n)
					s.Give(n / 2)
					s.Leave()
				case 2:
					a := p.readAhead()
					for range 5 {
						n := a.take(r.Int64N(300), 1)
						count(n)
						count(-n)
						a.give(n)
					}
					a.leave()
				}
			}
		})
	}
	g.Wait()
	require.Zero(t, p.Used())
	require.Zero(t, p.ahead)
	require.Zero(t, p.readers)
}

func TestReadAheadGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(100)
		a := p.readAhead()
		require.Equal(t, int64(50), a.take(90, 1), "half")
		b := p.readAhead()
		require.Zero(t, b.take(10, 1), "the half is taken")
		a.give(30)
		require.Zero(t, b.take(40, 26), "less than what is worth it")
		require.Equal(t, int64(25), b.take(40, 1), "a quarter each")
		require.Equal(t, int64(5), a.take(40, 1))
		done := make(chan error)
		go func() { done <- p.Acquire(t.Context(), 60) }()
		synctest.Wait()
		a.give(25)
		require.NoError(t, <-done)
		require.Zero(t, b.take(0, 1))
		b.give(25)
		go func() { done <- p.Acquire(t.Context(), 60) }()
		synctest.Wait()
		require.Zero(t, a.take(10, 1), "somebody waits")
		p.Release(60)
		require.NoError(t, <-done)
		require.Equal(t, int64(10), a.take(10, 1))
		require.Panics(t, a.leave)
		a.give(10)
		a.leave()
		a.leave()
		b.leave()
	})
}
