package core

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLedgerGrow(t *testing.T) {
	l := newLedger()
	for i := range uint64(5000) {
		require.Equal(t, i, l.push(sent{block: uint32(i)}))
	}
	for i := range uint64(5000) {
		require.Equal(t, uint32(i), l.at(i).block, "entries keep their place when the ring grows")
	}
	require.Nil(t, l.at(5000))
	require.Len(t, l.ring, 8192)
}

func TestLedgerTrim(t *testing.T) {
	l := newLedger()
	push := func(kind, state uint8, at time.Duration) uint64 {
		return l.push(sent{kind: kind, state: state, at: at})
	}
	push(kindData, acked, 1)
	push(kindData, lost, 1)    // forgotten after a while
	push(kindNone, flight, 2)  // needs no settling, is kept for a while to learn the round trip
	push(kindSkipped, 0, 2)    // kept as long, to catch liars
	push(kindData, flight, 3)  // unsettled: stays for ever
	push(kindData, acked, 100) // behind it
	l.trim(1)
	require.Equal(t, uint64(1), l.base, "a lost one may still turn out to have arrived")
	l.trim(2)
	require.Equal(t, uint64(2), l.base)
	l.trim(3)
	require.Equal(t, uint64(4), l.base)
	l.trim(never)
	require.Equal(t, uint64(4), l.base, "what is in flight is never forgotten")
	require.Nil(t, l.at(3))
	l.at(4).state = acked
	l.trim(0)
	require.Equal(t, uint64(6), l.base)
	require.Equal(t, l.next, l.base)
}

// The ring is reused: a long session with a bounded number of unsettled packets does not grow it.
func TestLedgerSteady(t *testing.T) {
	l := newLedger()
	for i := range uint64(100_000) {
		pn := l.push(sent{kind: kindData, block: uint32(i)})
		if pn >= 1000 {
			l.at(pn - 1000).state = acked
			l.trim(0)
		}
		require.Equal(t, uint32(i), l.at(pn).block)
	}
	require.Len(t, l.ring, 1024)
}

func TestPNSet(t *testing.T) {
	s := newPNSet()
	require.False(t, s.has(0))
	s.add(0)
	s.add(70)
	require.True(t, s.has(0))
	require.False(t, s.has(1))
	require.True(t, s.has(70))
	require.False(t, s.has(71), "what lies ahead has not been seen")

	t.Log("the window moves by more than its size: what it forgets counts as seen, what lies between does not")
	s.add(10_000_000)
	require.True(t, s.has(0))
	require.True(t, s.has(70))
	require.True(t, s.has(s.floor()-1))
	require.False(t, s.has(s.floor()))
	require.False(t, s.has(10_000_000-1))
	require.True(t, s.has(10_000_000))

	t.Log("growing keeps what is known")
	s.add(10_000_000 - 5)
	before := s.size()
	floor := s.floor()
	s.grow()
	require.Equal(t, 2*before, s.size())
	require.True(t, s.has(10_000_000-5))
	require.False(t, s.has(10_000_000-6))
	require.False(t, s.has(floor))
	require.True(t, s.has(floor-1), "what had been forgotten is a replay for ever, also in a larger window")
	for s.size() < pnSetMax {
		s.grow()
	}
	s.grow()
	require.Equal(t, uint64(pnSetMax), s.size(), "a fixed bound")
}

// The set agrees with a plain map, through growth and moves, for everything above the floor.
func TestPNSetModel(t *testing.T) {
	const seed = 3
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := newPNSet()
	model := map[uint64]bool{}
	forgotten := uint64(0) // the highest floor so far: what lies below is a replay for ever
	for i := range 300_000 {
		pn := s.next + rng.Uint64N(4)
		if rng.IntN(3) == 0 {
			pn = s.next - min(s.next, rng.Uint64N(2*s.size()))
		}
		if rng.IntN(20_000) == 0 {
			pn = s.next + rng.Uint64N(3*s.size())
		}
		if i == 100_000 || i == 200_000 {
			s.grow()
		}
		want := model[pn] || pn < forgotten
		require.Equal(t, want, s.has(pn), "pn %d, floor %d, next %d", pn, s.floor(), s.next)
		if !want {
			s.add(pn)
			model[pn] = true
			require.True(t, s.has(pn))
		}
		forgotten = max(forgotten, s.floor())
	}
}
