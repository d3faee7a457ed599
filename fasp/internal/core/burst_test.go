package core

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/rate"
)

// bench sends turns over a path that is a function, a round trip long, and lets a burstLimit learn from them.
type bench struct {
	l     burstLimit
	led   ledger
	now   time.Duration
	turns int
	queue time.Duration
	lost  int
}

const benchAir = 100 * time.Microsecond

// turn sends n packets, or as many as the limit allows, and tells in time which of them were lost.
func (b *bench) turn(n int, path func(at time.Duration, place int) bool) {
	if most := b.l.most; most > 0 {
		if b.turns++; b.l.try > 0 && b.turns%tryEach == 0 {
			most = b.l.try
		}
		n = min(n, most)
	}
	for place := range n {
		pn := b.led.push(sent{at: b.now, kind: kindData, state: acked})
		if path(b.now, place) {
			b.led.at(pn).state = lost
			b.lost++
		}
		b.l.sent(b.now, pn, benchAir, false)
	}
	b.now += time.Duration(n) * benchAir
	b.l.settle(b.now, b.queue, benchAir, b.now-time.Second, &b.led)
	b.led.trim(b.now - time.Second)
}

// limited returns a bench that has found a limit to help on a path, with turns of n packets.
func limited(n int, path func(at time.Duration, place int) bool) *bench {
	b := &bench{led: newLedger()}
	for b.l.kept == 0 {
		b.turn(n, path)
	}
	return b
}

// policer takes depth packets at once and is filled by one in the time of a packet, times share.
func policer(depth, share float64) func(at time.Duration, place int) bool {
	left, last := depth, time.Duration(0)
	return func(at time.Duration, _ int) bool {
		left = min(depth, left+share*float64(at-last)/float64(benchAir))
		last = at
		if left < 1 {
			return true
		}
		left--
		return false
	}
}

// long skips a test of many seconds in the short run, which is for the race detector: nothing in this package runs beside anything.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long, and has one goroutine")
	}
}

// Losses that do not depend on the place in a burst set no limit, however they cluster.
func TestBurstNoLimit(t *testing.T) {
	long(t)
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(p float64) func(time.Duration, int) bool {
		return func(time.Duration, int) bool { return rng.Float64() < p }
	}
	bad := false
	runs := func(mean float64) func(time.Duration, int) bool { // of losses, a third of all
		return func(time.Duration, int) bool {
			if bad {
				bad = rng.Float64() > 1/mean
			} else {
				bad = rng.Float64() < 0.5/mean
			}
			return bad
		}
	}
	outages := func(at time.Duration, _ int) bool { return at%(100*ms) < 30*ms }
	for name, path := range map[string]func(time.Duration, int) bool{
		"none": random(0), "1 %": random(0.01), "30 %": random(0.3), "90 %": random(0.9),
		"runs of 3": runs(3), "runs of 30": runs(30), "runs of 1000": runs(1000), "outages": outages,
		"the first": func(_ time.Duration, place int) bool { return place == 0 },
		"all":       func(time.Duration, int) bool { return true },
	} {
		for _, n := range []int{2, 3, 16, 128} {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				var b bench
				b.led = newLedger()
				for i := range 200_000 / n {
					b.turn(n, path)
					require.Zero(t, b.l.most, "after %d turns", i)
				}
			})
		}
	}
	t.Run("a full queue", func(t *testing.T) {
		b := bench{led: newLedger(), queue: 50 * ms}
		path := policer(5, 0.9)
		for range 10_000 {
			b.turn(16, path)
		}
		require.Zero(t, b.l.most)
	})
	t.Run("turns of two at a bottleneck that takes half", func(t *testing.T) {
		b := bench{led: newLedger()}
		path := policer(1, 0.5)
		for range 10_000 {
			b.turn(2, path)
		}
		require.Zero(t, b.l.most)
	})
}

// A policer is found out within some forty turns a step, the losses end, and of a minute less than one packet in a hundred is lost in tries.
func TestBurstLimit(t *testing.T) {
	long(t)
	rng := rand.New(rand.NewPCG(3, 4))
	for _, depth := range []float64{2, 5, 10, 40} {
		for _, n := range []int{16, 300} {
			for _, loss := range []float64{0, 0.3} {
				if float64(n) < depth*1.2 {
					continue
				}
				t.Run(fmt.Sprintf("%g of %d, %g", depth, n, loss), func(t *testing.T) {
					b := bench{led: newLedger()}
					pol := policer(depth, 1/0.9)
					policed := 0
					path := func(at time.Duration, place int) bool {
						dropped := pol(at, place)
						if dropped {
							policed++
						}
						return dropped || rng.Float64() < loss
					}
					turns := 0
					for ; b.l.kept == 0 && turns < 2000; turns++ {
						b.turn(n, path)
					}
					require.Positive(t, b.l.kept)
					require.LessOrEqual(t, float64(b.l.most), depth)
					require.GreaterOrEqual(t, b.l.most, fewest)
					if loss == 0 {
						require.GreaterOrEqual(t, float64(b.l.most), min(depth/2, float64(n)/8))
						require.LessOrEqual(t, turns, 600)
					}
					before, begin := policed, b.led.next
					for end := b.now + time.Minute; b.now < end; {
						b.turn(n, path)
						require.LessOrEqual(t, float64(b.l.most), depth)
						require.Positive(t, b.l.most)
					}
					require.LessOrEqual(t, float64(policed-before)/float64(b.led.next-begin), 0.01)
				})
			}
		}
	}
}

// When the policer has gone larger bursts are tried, one size after another, and in the end there is no limit.
func TestBurstLimitEnds(t *testing.T) {
	path := policer(5, 1/0.9)
	b := limited(100, path)
	begin := b.now
	for b.l.most > 0 {
		b.turn(100, func(time.Duration, int) bool { return false })
		require.Less(t, b.now-begin, 60*time.Second)
	}
	require.GreaterOrEqual(t, b.now-begin, tryWait/2)

	// And it is found again.
	for b.l.kept == 0 {
		b.turn(100, path)
		require.Less(t, b.now-begin, 120*time.Second)
	}
}

// A limit that is no help, since more is sent than the path takes at any burst, is lifted, and the next one comes later each time.
func TestBurstLimitNoHelp(t *testing.T) {
	b := bench{led: newLedger()}
	path := policer(8, 0.5)
	var lifted []time.Duration
	limited, was := time.Duration(0), 0
	for b.now < 5*time.Minute {
		at := b.now
		b.turn(16, path)
		if was > 0 {
			limited += b.now - at
		}
		if was > 0 && b.l.most == 0 {
			lifted = append(lifted, b.now)
		}
		was = b.l.most
	}
	require.GreaterOrEqual(t, len(lifted), 4)
	for i := 2; i < len(lifted); i++ {
		require.Greater(t, lifted[i]-lifted[i-1], lifted[i-1]-lifted[i-2])
	}
	require.Less(t, limited, 3*time.Second)
}

// A limit that helps is what is gone back to when a lower one does not.
func TestBurstLimitFallsBack(t *testing.T) {
	good := policer(6, 1/0.9)
	b := limited(16, good)
	kept := b.l.kept
	require.Greater(t, kept, fewest)
	lower, bad := 0, policer(6, 0.5)
	for end := b.now + 4*time.Second; b.now < end; {
		b.turn(16, bad)
		if b.l.most < kept {
			lower++
		}
	}
	require.Positive(t, lower)
	require.Equal(t, kept, b.l.most)
}

// A limit that the host cannot keep, since it wakes too late, is lifted though it seemed to help at first.
func TestBurstLimitNotKept(t *testing.T) {
	path := policer(5, 1/0.9)
	b := limited(16, path)
	begin := b.now
	for b.l.most > 0 {
		for place := range 16 { // as ever
			pn := b.led.push(sent{at: b.now, kind: kindData, state: acked})
			if path(b.now, place) {
				b.led.at(pn).state = lost
			}
			b.l.sent(b.now, pn, benchAir, false)
		}
		b.now += 16 * benchAir
		b.l.settle(b.now, 0, benchAir, b.now-time.Second, &b.led)
		require.Less(t, b.now-begin, 10*time.Second)
	}
	require.Greater(t, b.l.deaf, b.now)
}

// Trains are longer than any limit, and say nothing of it.
func TestBurstsWithoutTrains(t *testing.T) {
	var l burstLimit
	led := newLedger()
	now := time.Second
	for range 1000 {
		for place := range 20 {
			pn := led.push(sent{at: now, kind: kindData, state: acked})
			if place > 5 {
				led.at(pn).state = lost
			}
			l.sent(now, pn, benchAir, place == 3)
		}
		now += 2 * ms
		l.settle(now, 0, benchAir, now-time.Second, &led)
	}
	require.Zero(t, l.most)
	require.Empty(t, l.watched)
}

// Of what is in flight no more than some bursts are kept, and none for longer than the ledger knows of them.
func TestBurstsWatched(t *testing.T) {
	var l burstLimit
	led := newLedger()
	now := time.Second
	for range 1000 {
		for range 8 {
			l.sent(now, led.push(sent{at: now, kind: kindData}), benchAir, false)
		}
		now += ms
	}
	l.settle(now, 0, benchAir, 0, &led)
	require.Len(t, l.watched, watchedMost)
	l.settle(now, 0, benchAir, now, &led)
	require.Empty(t, l.watched)
}

// A limit that nothing comes up to is none: it cannot be tested, and would keep trains away for good.
func TestBurstLimitUnused(t *testing.T) {
	path := policer(5, 1/0.9)
	b := limited(100, path)
	begin := b.now
	for b.l.most > 0 {
		b.turn(1, path)
		require.Less(t, b.now-begin, 4*tryWait)
	}
	require.False(t, b.l.proven)
}

// On a path that may be another one nothing is left of a limit.
func TestRestartForgetsBurstLimit(t *testing.T) {
	c := &Conn{law: rate.NewAdaptive(rate.Settings{Policy: rate.Fair, Packet: 1500, RTT: time.Millisecond}), led: newLedger()}
	c.limit = burstLimit{most: 4, kept: 4, proven: true, deaf: time.Hour, wait: time.Minute}
	c.pace.most, c.pace.try = 4, 8
	c.law.SetTrains(false)
	c.restart(time.Second, 1e6)
	require.Equal(t, burstLimit{}, c.limit)
	require.Zero(t, c.pace.most+c.pace.try)
	require.NotZero(t, c.law.Train(time.Second))
}
