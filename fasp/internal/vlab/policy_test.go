package vlab

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/core"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

var policyNames = [...]string{core.Fair: "fair", core.High: "high", core.Low: "low", core.Fixed: "fixed"}

// Alone on a link, fair and high take all of it and keep a small queue, low nearly all.
func TestAlone(t *testing.T) {
	for _, policy := range []core.Policy{core.Fair, core.High, core.Low} {
		for _, rate := range []float64{10e6, 100e6} {
			for _, rtt := range []time.Duration{20 * time.Millisecond, 200 * time.Millisecond} {
				for _, loss := range []float64{0, 0.01, 0.3} {
					c := Cell{Rate: rate, RTT: rtt, Loss: loss, Policy: policy, Seed: 1}
					t.Run(fmt.Sprintf("%s %v", policyNames[policy], c), func(t *testing.T) {
						if testing.Short() && rate > 10e6 {
							t.Skip("many packets: not in -short")
						}
						t.Parallel()
						r, err := c.Run()
						require.NoError(t, err)
						t.Logf("%+v", r)
						want := 0.95
						if policy == core.Low {
							want = 0.9
						}
						require.GreaterOrEqual(t, r.Steady, want)
						packets := 2 * time.Duration(1500*8e9/rate)
						require.LessOrEqual(t, r.Queue95, 10*time.Millisecond+packets)
						if rtt >= 100*time.Millisecond {
							require.LessOrEqual(t, r.Ramp, 4.0, "round trips to 0.9 of the steady rate")
						}
					})
				}
			}
		}
	}
}

// join runs sessions that join one after another, three seconds apart, and returns what each got in the last five of 30 seconds.
func join(t *testing.T, link simnet.Impair, sessions ...Options) (rates []float64, queue time.Duration) {
	t.Helper()
	w := New(1, link, link)
	series := make([]*Series, len(sessions))
	step := 15 * time.Second / time.Duration(len(sessions))
	for i, o := range sessions {
		w.At(w.Now+time.Duration(i)*step, func() {
			o.Seed = uint64(i) + 1
			series[i] = w.Watch(100*time.Millisecond, w.AddSession(o).Goodput)
		})
	}
	require.NoError(t, w.Run(w.Now+25*time.Second, nil))
	q := w.WatchQueue(time.Millisecond)
	require.NoError(t, w.Run(w.Now+5*time.Second, nil))
	for _, s := range series {
		end := time.Duration(len(s.Bytes)) * s.Bin
		rates = append(rates, s.Rate(end-5*time.Second, end))
	}
	return rates, q.Quantile(0.95)
}

// Sessions that come later get their share, and weights hold.
func TestShare(t *testing.T) {
	fair, high, low := Options{}, Options{Rates: core.Rates{Policy: core.High}}, Options{Rates: core.Rates{Policy: core.Low}}
	for _, rtt := range []time.Duration{20 * time.Millisecond, 100 * time.Millisecond} {
		link := simnet.Impair{Rate: 50e6, Delay: rtt / 2, Queue: 200 * time.Millisecond}
		for _, n := range []int{2, 4, 8} {
			t.Run(fmt.Sprintf("%d fair %v", n, rtt), func(t *testing.T) {
				if testing.Short() && n > 2 {
					t.Skip("many packets: not in -short")
				}
				t.Parallel()
				rates, q := join(t, link, make([]Options, n)...)
				t.Logf("%.3g, queue %v", rates, q)
				require.GreaterOrEqual(t, Jain(rates...), 0.95)
			})
		}
		t.Run(fmt.Sprintf("high beside fair %v", rtt), func(t *testing.T) {
			t.Parallel()
			r, _ := join(t, link, high, fair)
			t.Logf("%.3g", r)
			require.InDelta(t, 2.2, r[0]/r[1], 0.7)
		})
		t.Run(fmt.Sprintf("low beside fair %v", rtt), func(t *testing.T) {
			t.Parallel()
			r, _ := join(t, link, low, fair)
			t.Logf("%.3g", r)
			require.Greater(t, r[1], 2*r[0], "low yields")
			require.Greater(t, r[0], 100e3, "and lives")
		})
	}
}

// Random loss, however much, is not taken for the rate's own by a few unlucky rounds, one after another, until nothing is left.
func TestLossDoesNotWearDown(t *testing.T) {
	for _, c := range []Cell{
		{Rate: 100e6, RTT: 2 * time.Millisecond, Loss: 0.2, Seed: 1},
		{Rate: 10e6, RTT: 100 * time.Millisecond, Loss: 0.5, Seed: 1},
		{Rate: 100e6, RTT: 500 * time.Millisecond, Loss: 0.3, Seed: 2},
	} {
		t.Run(c.String(), func(t *testing.T) {
			if testing.Short() && c.Rate > 10e6 {
				t.Skip("many packets: not in -short")
			}
			t.Parallel()
			r, err := c.Run()
			require.NoError(t, err)
			require.GreaterOrEqual(t, r.Steady, 0.95)
		})
	}
}

// At a fixed rate a session takes what the link's loss leaves; before the last new byte next to nothing goes twice, and the reports take little of the
// way back. With PINGs that come when nothing else is sent (after 20 s at 1 s) the sides do not keep one another reporting.
func TestFixedWastesNothing(t *testing.T) {
	for _, c := range []struct {
		Cell
		reverse float64
	}{
		{Cell{Rate: 1e6, RTT: time.Second}, 0.01},
		{Cell{Rate: 1e6, RTT: 2 * time.Millisecond, Loss: 0.5}, 0.012},
		{Cell{Rate: 10e6, RTT: 2 * time.Millisecond}, 0.003},
		{Cell{Rate: 10e6, RTT: 100 * time.Millisecond, Loss: 0.3}, 0.003},
		{Cell{Rate: 100e6, RTT: 2 * time.Millisecond, Loss: 0.01}, 0.003},
	} {
		t.Run(c.String(), func(t *testing.T) {
			if testing.Short() && c.Rate > 10e6 {
				t.Skip("many packets: not in -short")
			}
			t.Parallel()
			c.Policy, c.Seed = core.Fixed, 1
			r, err := c.Run()
			require.NoError(t, err)
			t.Logf("%+v", r)
			require.GreaterOrEqual(t, r.Steady, 0.97)
			require.LessOrEqual(t, r.Excess, 0.01)
			require.LessOrEqual(t, r.Reverse, c.reverse)
		})
	}
}

// A session of five times the round trip has its share at t = 30 s, whichever came first, 20 s before.
func TestRoundTripRatio(t *testing.T) {
	for _, rtt := range []time.Duration{20 * time.Millisecond, 60 * time.Millisecond, 100 * time.Millisecond} {
		for _, first := range []string{"short", "long"} {
			t.Run(fmt.Sprintf("%v and %v, %s first", rtt, 5*rtt, first), func(t *testing.T) {
				if testing.Short() {
					t.Skip("many packets: not in -short")
				}
				t.Parallel()
				l := simnet.Impair{Rate: 50e6, Delay: rtt / 2, Queue: 200 * time.Millisecond}
				w := New(1, l, l)
				early, late := Options{Seed: 1}, Options{Seed: 2, Extra: 4 * rtt}
				if first == "long" {
					early.Extra, late.Extra = late.Extra, 0
				}
				one := w.AddSession(early)
				require.NoError(t, w.Run(w.Now+10*time.Second, nil))
				two := w.AddSession(late)
				require.NoError(t, w.Run(w.Now+17*time.Second, nil))
				a, b := one.Goodput(), two.Goodput()
				require.NoError(t, w.Run(w.Now+3*time.Second, nil))
				x, y := float64(one.Goodput()-a), float64(two.Goodput()-b)
				t.Logf("%.1f and %.1f Mbit/s, index %.3f", x*8/3e6, y*8/3e6, Jain(x, y))
				require.GreaterOrEqual(t, Jain(x, y), 0.95)
			})
		}
	}
}

// Objects of what a path holds and less take little more than the bound, at a fixed rate and on a path known from a moment ago.
func TestObjects(t *testing.T) {
	const rate, rtt, seeds = 1e9, 300 * time.Millisecond, 7
	for _, size := range []int64{100e3, 1e6, 10e6} {
		for _, loss := range []float64{0, 0.01, 0.05, 0.1, 0.3} {
			for _, policy := range []core.Policy{core.Fixed, core.Fair} {
				t.Run(fmt.Sprintf("%g MB %g%% %s", float64(size)/1e6, loss*100, policyNames[policy]), func(t *testing.T) {
					if testing.Short() && size > 1e6 {
						t.Skip("many packets: not in -short")
					}
					t.Parallel()
					var over []float64
					for seed := range uint64(seeds) {
						l := simnet.Impair{Rate: rate, Delay: rtt / 2, Queue: 100 * time.Millisecond, Loss: loss}
						w := New(seed, l, l)
						o := Options{Seed: seed, Size: size, Rates: core.Rates{Policy: core.Fixed, Target: rate}}
						if policy == core.Fair {
							o.Rates = core.Rates{}
							o.Core = func(c *core.Config) { c.KnownRate, c.KnownFresh = rate, true }
						}
						s := w.AddSession(o)
						for s.Done == 0 {
							require.NoError(t, w.Run(w.Now+2*time.Millisecond, nil))
						}
						bound := rtt.Seconds() + float64(size)/1440*1500*8/(rate*(1-loss))
						over = append(over, (s.Done-s.Started).Seconds()/bound)
					}
					slices.Sort(over)
					t.Logf("median %.3f, worst %.3f", over[seeds/2], over[seeds-1])
					want := 1.25
					if loss > 0.1 {
						want = 1.5
					}
					require.LessOrEqual(t, over[seeds/2], want)
				})
			}
		}
	}
}
