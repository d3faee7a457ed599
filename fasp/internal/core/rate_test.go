package core

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/simnet"
)

// A law that is never told of a queue, because something else limits the sender, must not run away: its rate stays a number,
// near what may be sent, and comes down within a few round trips when a queue shows after all.
func TestLawStaysNearCeiling(t *testing.T) {
	for _, policy := range []Policy{Fair, High, Low} {
		s := newScript(t, func(c *Config) { c.Rates = Rates{Policy: policy, Target: 10_000_000} })
		l := s.c.law.(*delayLaw)
		sm := sample{dt: 20 * ms, rtt: 20 * ms, base: 20 * ms, acked: 25_000, delivered: 10_000_000}
		for range 10_000 {
			s.now += sm.dt
			sm.now = s.now
			l.onSample(&sm)
			s.c.applyRates(s.now)
			require.LessOrEqual(t, l.r, 20e6)
			require.LessOrEqual(t, s.c.Rate(), int64(10_000_000))
		}
		require.Equal(t, int64(10_000_000), s.c.Rate())
		sm.queue, sm.delivered = 200*ms, 2_000_000
		n := 0
		for ; s.c.Rate() > 4_000_000; n++ {
			s.now += sm.dt
			sm.now = s.now
			l.onSample(&sm)
			s.c.applyRates(s.now)
			require.Less(t, n, 20, "policy %d", policy)
		}
		t.Logf("policy %d: %d round trips to half of the rate and less", policy, n)
	}
}

// flows are sessions that send to the right through one bottleneck; reports have paths of their own.
type flows struct {
	now   time.Duration
	pairs []*sim
	link  *simnet.Link[flowPacket]
	queue []time.Duration // samples, each 10 ms
}

type flowPacket struct {
	flow int
	p    simPacket
}

func newFlows(seed uint64, bottleneck simnet.Impair, policies ...Policy) *flows {
	f := &flows{now: time.Second, link: simnet.NewLink[flowPacket](bottleneck, seed)}
	for i, p := range policies {
		back := simnet.Impair{Delay: bottleneck.Delay, Loss: bottleneck.Loss}
		cfg := Config{Rates: Rates{Policy: p}, Window: 1 << 30, MaxLag: 10 * ms, InitialRTT: 2 * bottleneck.Delay}
		if p == Fixed {
			cfg.Rates.Target = int64(bottleneck.Rate)
		}
		f.pairs = append(f.pairs, newSim(seed*100+uint64(i), cfg, simnet.Impair{}, back))
	}
	return f
}

// run goes on until the time; flow i sends from start[i] on.
func (f *flows) run(t *testing.T, until time.Duration, rate float64, start ...time.Duration) {
	nextSample := f.now
	for f.now < until {
		next := nextSample
		for i, s := range f.pairs {
			s.now = f.now
			if s.a.left == 0 && f.now >= start[i] {
				s.a.left, s.a.flushed = -1, true
				s.pump(s.a)
			}
			if start[i] > f.now {
				next = min(next, start[i])
			}
			for {
				q, ok := s.a.link.Recv(f.now)
				if !ok {
					break
				}
				n := int(q.n) + 34 + 28
				if !q.data {
					n = len(q.frames) + 28 + 28
				}
				f.link.Send(f.now, flowPacket{i, q}, n)
			}
			next = min(next, s.a.at, s.b.at)
			if at, ok := s.b.link.Next(); ok {
				next = min(next, at)
			}
		}
		if at, ok := f.link.Next(); ok {
			next = min(next, at)
		}
		f.now = max(f.now, next)
		if f.now >= nextSample {
			f.queue = append(f.queue, time.Duration(float64(f.link.Backlog(f.now))*8e9/rate))
			nextSample = f.now + 10*ms
		}
		for {
			q, ok := f.link.Recv(f.now)
			if !ok {
				break
			}
			s := f.pairs[q.flow]
			s.now = f.now
			s.deliver(s.b, &q.p)
			s.b.at = f.now
		}
		for _, s := range f.pairs {
			s.now = f.now
			for {
				q, ok := s.b.link.Recv(f.now)
				if !ok {
					break
				}
				s.deliver(s.a, &q)
				s.a.at = f.now
			}
			if f.now >= s.b.at {
				s.pump(s.b)
			}
			if f.now >= s.a.at {
				s.pump(s.a)
			}
			require.NoError(t, s.a.err)
			require.NoError(t, s.b.err)
		}
	}
}

// goodputs returns the bit/s of new symbols of each flow since the given counts, which it updates.
func (f *flows) goodputs(since []uint64, d time.Duration) []float64 {
	out := make([]float64, len(f.pairs))
	for i, s := range f.pairs {
		out[i] = float64(s.b.Stats.SymbolBytes-since[i]) * 8 / d.Seconds()
		since[i] = s.b.Stats.SymbolBytes
	}
	return out
}

func percentile(d []time.Duration, p float64) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[min(len(d)-1, int(p*float64(len(d))))]
}

// Each adaptive policy alone finds the link: at least 0.8 of what the link and its loss allow, after a time to find it.
func TestPoliciesAlone(t *testing.T) {
	for _, policy := range []Policy{Fair, High, Low} {
		for _, rate := range []float64{10e6, 100e6} {
			for _, rtt := range []time.Duration{20 * ms, 200 * ms} {
				for _, loss := range []float64{0, 0.01, 0.1} {
					name := []string{"fair", "high", "low"}[policy]
					t.Run(fmt.Sprintf("%s/%v", name, cell{rate, rtt, loss}), func(t *testing.T) {
						if testing.Short() && rate > 10e6 {
							t.Skip("many packets: not in -short")
						}
						t.Parallel()
						f := newFlows(1, simnet.Impair{Rate: rate, Queue: 200 * ms, Delay: rtt / 2, Loss: loss}, policy)
						since := make([]uint64, 1)
						f.run(t, 11*time.Second, rate, 0)
						f.goodputs(since, time.Second)
						f.queue = f.queue[:0]
						f.run(t, 21*time.Second, rate, 0)
						share := f.goodputs(since, 10*time.Second)[0] / (rate * 1440 / 1500 * (1 - loss))
						st := f.pairs[0].a.Stats
						t.Logf("%.3f of the limit, standing queue p50 %v p95 %v, lost %d of %d", share,
							percentile(f.queue, 0.5).Round(ms/10), percentile(f.queue, 0.95).Round(ms/10), st.Lost, st.DataOut)
						require.GreaterOrEqual(t, share, 0.8)
					})
				}
			}
		}
	}
}

// Two fair flows share a link though one came first; low leaves it to fair; nobody is starved altogether.
func TestPoliciesShare(t *testing.T) {
	const rate = 20e6
	for _, c := range []struct {
		name     string
		policies []Policy
		check    func(t *testing.T, first, second float64)
	}{
		{"fair beside fair", []Policy{Fair, Fair}, func(t *testing.T, a, b float64) {
			require.Less(t, max(a, b)/min(a, b), 3.0)
		}},
		{"fair beside low", []Policy{Low, Fair}, func(t *testing.T, low, fair float64) {
			require.Greater(t, fair, 1.5*low, "low yields")
			require.Greater(t, low, 100e3, "and lives")
		}},
		{"high beside fair", []Policy{High, Fair}, func(t *testing.T, high, fair float64) {
			require.Greater(t, high, fair)
			require.Greater(t, fair, 1e6)
		}},
	} {
		for _, rtt := range []time.Duration{20 * ms, 100 * ms} {
			for _, loss := range []float64{0, 0.01} {
				t.Run(fmt.Sprintf("%s/%v/%g", c.name, rtt, loss), func(t *testing.T) {
					if testing.Short() && (rtt > 20*ms || loss == 0) {
						t.Skip("not in -short")
					}
					t.Parallel()
					f := newFlows(2, simnet.Impair{Rate: rate, Queue: 200 * ms, Delay: rtt / 2, Loss: loss}, c.policies...)
					since := make([]uint64, 2)
					f.run(t, 31*time.Second, rate, 0, 6*time.Second)
					f.goodputs(since, time.Second)
					f.queue = f.queue[:0]
					f.run(t, 61*time.Second, rate, 0, 0)
					g := f.goodputs(since, 30*time.Second)
					t.Logf("first %.2f, second %.2f Mbit/s, standing queue p95 %v", g[0]/1e6, g[1]/1e6, percentile(f.queue, 0.95).Round(ms/10))
					require.Greater(t, g[0]+g[1], 0.75*rate, "together they use the link")
					c.check(t, g[0], g[1])
				})
			}
		}
	}
}
