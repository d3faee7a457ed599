package core

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSymSet(t *testing.T) {
	var s symSet
	require.Equal(t, -1, s.first(0))
	for _, i := range []int{0, 63, 64, 700, maxSymbols - 1} {
		s.set(i)
		require.True(t, s.has(i))
	}
	require.Equal(t, 63, s.first(1))
	require.Equal(t, 64, s.first(64))
	require.Equal(t, 700, s.first(65))
	s.clear(700)
	require.Equal(t, maxSymbols-1, s.first(65))
	s.clear(maxSymbols - 1)
	require.Equal(t, -1, s.first(65))
}

func TestOutQueueOrder(t *testing.T) {
	var q outQueue
	a, b := q.add(3500, 1000, 0, "a"), q.add(1, 1000, 0, "b")
	require.Equal(t, 4, a.symbols)
	off, n := a.symbolLen(3)
	require.Equal(t, []int{3000, 500}, []int{off, n})
	require.Equal(t, 1, b.symbols)
	require.Equal(t, int64(3501), q.unsent)

	t.Log("new symbols go in order of blocks")
	require.Same(t, a, q.nextNew())
	a.next = 4
	require.Same(t, b, q.nextNew())
	b.next = 1
	require.Nil(t, q.nextNew())

	t.Log("lost ones go oldest block first, lowest symbol first, however they were found")
	q.markLost(b, 0)
	q.markLost(a, 3)
	q.markLost(a, 1)
	for _, want := range []int{1, 3} {
		got, sym := q.nextLost()
		require.Same(t, a, got)
		require.Equal(t, want, sym)
		q.unmarkLost(got, sym)
	}
	got, _ := q.nextLost()
	require.Same(t, b, got)
	q.unmarkLost(b, 0)
	got, _ = q.nextLost()
	require.Nil(t, got)

	t.Log("settling out of order leaves a hole until the oldest goes")
	q.settle(b)
	require.Same(t, a, q.oldest())
	require.Nil(t, q.get(b.ID))
	q.settle(a)
	require.Nil(t, q.oldest())
	require.Zero(t, q.open)
	require.Equal(t, uint32(2), q.base)
	require.Nil(t, q.get(0))
	require.Nil(t, q.get(1<<31))

	t.Log("a block that is used again remembers nothing")
	a.acked.set(0)
	q.recycle(a)
	c := q.add(2000, 1000, 0, nil)
	require.Same(t, a, c)
	require.Equal(t, uint32(2), c.ID)
	require.False(t, c.acked.has(0))
	require.Equal(t, []uint8{0, 0}, c.tx)
}

// Random histories keep the queue's counts and hints true.
func TestOutQueueModel(t *testing.T) {
	const seed = 11
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var q outQueue
	var open []*OutBlock
	type key struct {
		id  uint32
		sym int
	}
	lost := map[key]bool{}
	for range 50_000 {
		switch rng.IntN(4) {
		case 0:
			open = append(open, q.add(1+rng.IntN(20_000), 1000, 0, nil))
		case 1:
			if len(open) > 0 {
				b := open[rng.IntN(len(open))]
				sym := rng.IntN(b.symbols)
				if !lost[key{b.ID, sym}] {
					q.markLost(b, sym)
					lost[key{b.ID, sym}] = true
				}
			}
		case 2:
			b, sym := q.nextLost()
			require.Equal(t, len(lost) > 0, b != nil)
			if b != nil {
				require.True(t, lost[key{b.ID, sym}])
				for k := range lost {
					require.False(t, int32(k.id-b.ID) < 0 || k.id == b.ID && k.sym < sym, "oldest first")
				}
				q.unmarkLost(b, sym)
				delete(lost, key{b.ID, sym})
			}
		case 3:
			if len(open) > 5 {
				i := rng.IntN(len(open))
				b := open[i]
				for sym := range b.symbols {
					if lost[key{b.ID, sym}] {
						q.unmarkLost(b, sym)
						delete(lost, key{b.ID, sym})
					}
				}
				q.settle(b)
				q.recycle(b)
				open = append(open[:i], open[i+1:]...)
			}
		}
		require.Equal(t, len(open), q.open)
		require.Equal(t, len(lost), q.nLost)
	}
}
