package core

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A driver wakes late by a random time that is shorter than the lag that the pacer makes up for: the rate is exact all the same.
func TestPacerRate(t *testing.T) {
	const seed = 7
	for _, rate := range []int64{512e3, 1e6, 7_777_777, 100e6, 1e9} {
		for _, late := range []time.Duration{0, 500 * time.Microsecond, 4 * ms} {
			t.Run(fmt.Sprintf("%d/%v", rate, late), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, uint64(rate)))
				start := 5 * time.Second
				p := pacer{next: start, maxLag: 10 * ms}
				now, bytes := start, 0
				end := start + max(5*time.Second, time.Duration(2000*float64(airtime(1500, rate))))
				if rate > 100e6 {
					end = start + time.Second
				}
				for now < end {
					for p.ready(now) {
						n := 60 + rng.IntN(1441)
						p.sent(now, n, rate)
						bytes += n
					}
					now = p.next
					if late > 0 {
						now += time.Duration(rng.Int64N(int64(late)))
					}
				}
				got := float64(bytes) * 8 / (now - start).Seconds()
				require.LessOrEqual(t, math.Abs(got/float64(rate)-1), 0.005, "seed %d: %.0f of %d bit/s", seed, got, rate)
			})
		}
	}
}

func TestPacerDebt(t *testing.T) {
	const rate = 80e6 // 1,000 bytes each 100 µs
	for _, gap := range []time.Duration{0, 3 * ms, 10 * ms, time.Second, time.Hour} {
		p := pacer{next: time.Second, maxLag: 10 * ms}
		now := time.Second + gap
		n := 0
		for ; p.ready(now); n++ {
			p.sent(now, 1000, rate)
		}
		require.Equal(t, 1+int(min(gap, 10*ms)/(100*time.Microsecond)), n, "packets at once after a gap of %v", gap)
		require.Greater(t, p.next, now)
	}
}

// Packets that do not wait for the pacer (reports, messages repeated) are charged to it.
func TestPacerChargesUnpaced(t *testing.T) {
	p := pacer{next: time.Second}
	for range 10 {
		p.sent(time.Second, 1000, 8e6)
	}
	require.False(t, p.ready(time.Second+10*ms-1))
	require.True(t, p.ready(time.Second+10*ms))
}

// The rate is kept when it changes at any moment, up or down, and no burst or gap of the old rate stays behind.
func TestRateChange(t *testing.T) {
	s := newScript(t, func(c *Config) { c.PeerCredit, c.Rates.Target = 1<<40, 1_000_000 })
	for range 100 {
		s.c.AddBlock(s.now, 1<<20, 0, nil)
	}
	for i, rate := range []int64{1e6, 100e6, 1e6, 20e6, 512e3} {
		s.step("rate %d", rate)
		s.c.SetRates(s.now, Rates{Policy: Fixed, Target: rate})
		s.c.reportAt = s.now // the breaker is no part of this
		s.c.breaker.since = s.now
		b0 := s.c.Stats.BytesOut
		s.wait(900 * ms)
		got := float64(s.c.Stats.BytesOut-b0) * 8 / 0.9
		// A packet more or less at either end, and what lag allows.
		require.InDelta(t, rate, got, 0.005*float64(rate)+3*1062*8/0.9, "step %d", i)
	}
}
