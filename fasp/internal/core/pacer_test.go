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
	for _, rate := range []int64{512e3, 1e6, 7_777_777, 30e6, 100e6, 1e9} {
		for _, late := range []time.Duration{0, 100 * time.Microsecond, 500 * time.Microsecond, 4 * ms} {
			t.Run(fmt.Sprintf("%d/%v", rate, late), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, uint64(rate)))
				start := 5 * time.Second
				p := pacer{next: start, maxLag: 10 * ms}
				air := airtime(1500, rate)
				now, bytes := start, 0
				end := start + max(5*time.Second, 2000*air)
				if rate > 100e6 {
					end = start + time.Second
				}
				for now < end {
					for p.ready(now, air) {
						n := 60 + rng.IntN(1441)
						p.sent(now, airtime(n, rate))
						bytes += n
					}
					now = max(p.at(air), now)
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

// A turn is no longer than a quantum or two packets, and the next one comes no sooner than half of that later, as long as the driver is late by
// no more than half of a quantum on average. There are no more turns than packets, nor many more than 4,000 a second.
func TestPacerTurns(t *testing.T) {
	const seed = 11
	for _, c := range []struct {
		rate int64
		most int // packets a turn
	}{{512e3, 2}, {10e6, 2}, {20e6, 2}, {30e6, 2}, {60e6, 2}, {100e6, 2}, {300e6, 6}} {
		t.Run(fmt.Sprint(c.rate), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, uint64(c.rate)))
			air := airtime(1500, c.rate)
			p := pacer{next: time.Second, maxLag: 10 * ms}
			now, end := p.at(air), 3*time.Second
			turns, packets, last := 0, 0, time.Duration(0)
			for ; now < end; turns++ {
				n := 0
				for ; p.ready(now, air); n++ {
					p.sent(now, air)
				}
				require.Positive(t, n, "seed %d at %v", seed, now)
				require.LessOrEqual(t, n, c.most, "seed %d at %v", seed, now)
				require.Greater(t, now-last, air/2)
				last, packets = now, packets+n
				at := p.at(air)
				require.Greater(t, at, now)
				now = at + time.Duration(rng.Int64N(int64(200*time.Microsecond)))
			}
			require.LessOrEqual(t, turns, packets)
			require.LessOrEqual(t, turns, 2*4200)
			require.InDelta(t, 2*time.Second/air, packets, float64(2*c.most))
		})
	}
}

// At a rate at which drivers hardly sleep each packet goes when it is due.
func TestPacerWithoutTurns(t *testing.T) {
	air := airtime(1500, 1e9)
	p := pacer{next: time.Second, maxLag: 10 * ms}
	now := time.Second
	for i := range 1000 {
		require.True(t, p.ready(now, air), "packet %d", i)
		p.sent(now, air)
		require.False(t, p.ready(now, air))
		now = p.at(air)
	}
	require.Equal(t, time.Second+1000*air, now)
}

// Where the processors are busy turns take 2 ms, at any rate; only where sessions wait for a processor is more debt made up for.
func TestPacerLoad(t *testing.T) {
	for _, rate := range []int64{10e6, 100e6, 1e9, 4e9} {
		air := airtime(1500, rate)
		for load, debt := range map[Load]time.Duration{Busy: 10 * ms, Crowded: 100 * ms} {
			p := pacer{next: time.Second, maxLag: 10 * ms, load: load}
			now := p.at(air)
			send := func() (n int) {
				for ; p.ready(now, air); n++ {
					p.sent(now, air)
				}
				now = p.at(air)
				return n
			}
			send()
			turns, packets := 0, 0
			for begin := now; now < begin+time.Second; turns++ {
				n := send()
				require.LessOrEqual(t, n, max(2, int(2*ms/air)))
				packets += n
			}
			require.LessOrEqual(t, turns, 522)
			require.InDelta(t, time.Second/air, packets, float64(2*ms/air)+2)
			now += time.Second
			packets = 0
			for begin := now; now == begin || now < begin+2*ms; begin = min(begin, now) {
				packets += send()
				now = max(now, begin)
			}
			require.InDelta(t, (debt+2*ms)/air, packets, float64(4*ms/air)+2, "load %d, %d bit/s", load, rate)
		}
	}
}

// Where the path takes a few packets only no turn has more, at any load, and a stall is made up for by turns that come sooner. A driver that wakes too seldom for that
// keeps the rate all the same.
func TestPacerLimit(t *testing.T) {
	for _, rate := range []int64{10e6, 100e6, 300e6, 1e9} {
		for _, load := range []Load{Idle, Busy} {
			for _, late := range []time.Duration{0, 20 * time.Microsecond, 4 * ms} {
				t.Run(fmt.Sprintf("%d/%d/%v", rate, load, late), func(t *testing.T) {
					const limit = 4
					rng := rand.New(rand.NewPCG(5, uint64(rate)))
					air := airtime(1500, rate)
					p := pacer{next: time.Second, maxLag: 10 * ms, load: load, most: limit}
					now, begin, packets := time.Second, time.Second, 0
					turn := func() (n int) {
						for ; p.ready(now, air); n++ {
							p.sent(now, air)
						}
						packets += n
						return n
					}
					for now < begin+time.Second {
						n := turn()
						if late < air {
							require.LessOrEqual(t, n, limit)
						}
						now = max(now, p.at(air))
						if late > 0 {
							now += time.Duration(rng.Int64N(int64(late)))
						}
					}
					require.InDelta(t, (now-begin)/air, packets, float64(24*ms/air)+2*limit)

					// A stall of 8 ms, and one that is longer than any debt.
					for _, stall := range []time.Duration{8 * ms, time.Second} {
						if late > 0 {
							continue
						}
						now += stall
						begin, packets = now, 0
						most, last := 0, now-time.Second
						for now < begin+30*ms {
							n := turn()
							most = max(most, n)
							if stall == 8*ms {
								require.GreaterOrEqual(t, now-last, air/2)
							}
							last = now
							now = max(now, p.at(air))
						}
						if stall == 8*ms {
							require.LessOrEqual(t, most, limit)
							require.InDelta(t, (now-begin+stall)/air, packets, 2*limit)
						} else {
							require.LessOrEqual(t, most, limit+int(10*ms/air))
						}
					}
				})
			}
		}
	}
}

// One turn in sixteen is larger where that is tried, and the rate is the same.
func TestPacerTries(t *testing.T) {
	air := airtime(1500, 100e6)
	p := pacer{next: time.Second, maxLag: 10 * ms, load: Busy, most: 4, try: 8}
	sizes, packets, now := map[int]int{}, 0, time.Second
	for now < 2*time.Second {
		n := 0
		for ; p.ready(now, air); n++ {
			p.sent(now, air)
		}
		sizes[n]++
		packets += n
		now = p.at(air)
	}
	require.InDelta(t, 15, float64(sizes[4])/float64(sizes[8]), 0.2)
	require.InDelta(t, time.Second/air, packets, 8)
}

// What is older than slack goes at once, but nothing that is older than the lag.
func TestPacerDebt(t *testing.T) {
	const air = 100 * time.Microsecond
	for _, c := range []struct {
		late time.Duration
		most int
	}{{0, 2}, {100 * time.Microsecond, 2}, {300 * time.Microsecond, 2}, {900 * time.Microsecond, 2}, {3 * ms, 12}, {10 * ms, 82}, {time.Second, 82}, {time.Hour, 82}} {
		p := pacer{next: time.Second, rest: time.Second, maxLag: 10 * ms}
		now := p.at(air) + c.late
		n := 0
		for ; p.ready(now, air); n++ {
			p.sent(now, air)
		}
		require.Equal(t, c.most, n, "packets at once when late by %v", c.late)
		require.Greater(t, p.at(air), now)
	}
}

// Packets that do not wait for the pacer (reports, messages repeated) are charged to it.
func TestPacerChargesUnpaced(t *testing.T) {
	const air = ms
	p := pacer{next: time.Second}
	for range 10 {
		p.sent(time.Second, air)
	}
	require.False(t, p.ready(time.Second+10*ms-1, air))
	require.True(t, p.ready(time.Second+10*ms, air))
}

// A turn that was sent at a low rate does not hold back a higher one.
func TestPacerScale(t *testing.T) {
	p := pacer{next: time.Second, maxLag: 10 * ms}
	now := time.Second + 5*ms
	require.True(t, p.ready(now, 20*ms))
	p.sent(now, 20*ms)
	p.scale(now, 1e6, 100e6, longestDebt)
	require.Equal(t, now+150*time.Microsecond, p.next)
	require.Equal(t, now+100*time.Microsecond, p.rest)
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
