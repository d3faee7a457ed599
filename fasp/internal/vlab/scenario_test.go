package vlab

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/core"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

const ms = time.Millisecond

// scenario is a session on a link on which something happens.
type scenario struct {
	name     string
	link     simnet.Impair // both directions
	back     func(l *simnet.Impair)
	rates    core.Rates
	police   *Policer
	change   func(w *World)
	from, to time.Duration // measured
	share    float64       // wanted, of what the link's loss allows
	queue    time.Duration // 95 % of the time at most; 0 = not asked
	loss     float64       // most that is lost beyond what the link loses at random; 0 = not asked
}

func link(rate float64, rtt, queue time.Duration) simnet.Impair {
	return simnet.Impair{Rate: rate, Delay: rtt / 2, Queue: queue}
}

func with(l simnet.Impair, f func(l *simnet.Impair)) simnet.Impair {
	f(&l)
	return l
}

// Each scenario is held for policy fair, where the rates do not say otherwise. The times begin 1 s after the world.
func TestScenarios(t *testing.T) {
	fixed := func(factor float64) core.Rates { return core.Rates{Policy: core.Fixed, Target: int64(factor * 50e6)} }
	target := func(factor float64) core.Rates { return core.Rates{Target: int64(factor * 50e6)} }
	base := link(50e6, 60*ms, 100*ms)
	for _, c := range []scenario{
		{name: "reordering of 50 ms", link: with(base, func(l *simnet.Impair) { l.ReorderProb, l.ReorderBy = 0.01, 50*ms }), from: 4 * time.Second, to: 20 * time.Second, share: 0.9},
		{name: "duplication", link: with(base, func(l *simnet.Impair) { l.DupProb = 0.02 }), from: 4 * time.Second, to: 20 * time.Second, share: 0.95, queue: 11 * ms},
		{name: "bursts of 100 ms", link: with(base, func(l *simnet.Impair) { l.Burst = simnet.Burst{Mean: 100 * ms, Gap: 5 * time.Second} }), from: 4 * time.Second, to: 64 * time.Second, share: 0.9},
		{name: "bursts of 500 ms", link: with(base, func(l *simnet.Impair) { l.Burst = simnet.Burst{Mean: 500 * ms, Gap: 20 * time.Second} }), from: 4 * time.Second, to: 124 * time.Second, share: 0.85},
		{name: "link cut 30 s", link: with(base, func(l *simnet.Impair) { l.Cuts = []simnet.Window{{From: 10 * time.Second, To: 40 * time.Second}} }), from: 42 * time.Second, to: 60 * time.Second, share: 0.95},
		{name: "bufferbloat 2 s", link: link(50e6, 60*ms, 2*time.Second), from: 4 * time.Second, to: 20 * time.Second, share: 0.95, queue: 11 * ms},
		{name: "policer of 50 KB", link: link(1e9, 60*ms, 100*ms), police: &Policer{Rate: 50e6, Bucket: 50e3}, from: 5 * time.Second, to: 40 * time.Second, share: 0.9, loss: 0.1},
		{name: "policer of 50 KB and random loss", link: with(link(1e9, 60*ms, 100*ms), func(l *simnet.Impair) { l.Loss = 0.02 }), police: &Policer{Rate: 50e6, Bucket: 50e3}, from: 5 * time.Second, to: 40 * time.Second, share: 0.8, loss: 0.15},
		{name: "loss before the bottleneck", link: with(base, func(l *simnet.Impair) { l.LossBefore = 0.2 }), from: 4 * time.Second, to: 20 * time.Second, share: 0.95, queue: 11 * ms},
		{name: "queue of 10 ms", link: link(50e6, 60*ms, 10*ms), from: 4 * time.Second, to: 20 * time.Second, share: 0.95},
		{name: "queue of 250 ms", link: link(50e6, 60*ms, 250*ms), from: 4 * time.Second, to: 20 * time.Second, share: 0.95, queue: 11 * ms},
		{
			name: "a tenth of the rate", link: base, from: 14 * time.Second, to: 20 * time.Second, share: 0.9, queue: 16 * ms,
			change: func(w *World) { w.At(10*time.Second, func() { w.SetForward(link(5e6, 60*ms, 100*ms)) }) },
		},
		{
			name: "the rate comes back", link: base, from: 24 * time.Second, to: 34 * time.Second, share: 0.9, queue: 11 * ms,
			change: func(w *World) {
				w.At(10*time.Second, func() { w.SetForward(link(5e6, 60*ms, 100*ms)) })
				w.At(20*time.Second, func() { w.SetForward(base) })
			},
		},
		{
			// What is longer is taken for a queue at first, and held against as if somebody filled it.
			name: "round trip from 20 to 300 ms", link: link(50e6, 20*ms, 100*ms), from: 24 * time.Second, to: 44 * time.Second, share: 0.5,
			change: func(w *World) { w.At(10*time.Second, func() { w.SetForward(link(50e6, 580*ms, 100*ms)) }) },
		},
		{name: "return path of 1 %", link: base, back: func(l *simnet.Impair) { l.Rate = 0.5e6 }, from: 4 * time.Second, to: 20 * time.Second, share: 0.95, queue: 15 * ms},
		{name: "target twice the link", link: base, rates: target(2), from: 4 * time.Second, to: 20 * time.Second, share: 0.95, queue: 11 * ms},
		{name: "target 10 times the link", link: base, rates: target(10), from: 4 * time.Second, to: 20 * time.Second, share: 0.95, queue: 11 * ms},
		{name: "target 100 times the link", link: base, rates: target(100), from: 4 * time.Second, to: 20 * time.Second, share: 0.95, queue: 11 * ms},
		{name: "fixed at twice the link", link: base, rates: fixed(2), from: 4 * time.Second, to: 20 * time.Second, share: 0.9},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.to > 40*time.Second {
				t.Skip("long: not in -short")
			}
			t.Parallel()
			back := c.link
			if c.back != nil {
				c.back(&back)
			}
			w := New(3, c.link, back)
			w.Police = c.police
			s := w.AddSession(Options{Seed: 3, Rates: c.rates})
			if c.change != nil {
				c.change(w)
			}
			require.NoError(t, w.Run(time.Second+c.from, nil))
			got, l0, lost := s.Goodput(), w.Forward.Stats(), 0
			sent := s.Sender.Stats.PacketsOut
			if w.Police != nil {
				lost = w.Police.Lost
			}
			q := w.WatchQueue(ms)
			require.NoError(t, w.Run(time.Second+c.to, nil))
			l1 := w.Forward.Stats()
			passed := float64(l1.Delivered-l0.Delivered-l1.Duplicated+l0.Duplicated) / float64(l1.Sent-l0.Sent-(l1.LostQueue-l0.LostQueue)-(l1.LostRandomBefore-l0.LostRandomBefore))
			rate := min(w.rate, 50e6)
			share := float64(s.Goodput()-got) * 8 / (c.to - c.from).Seconds() / (rate * 1440 / 1500 * passed)
			t.Logf("%.3f of the limit, queue %v, %s", share, q.Quantile(0.95), s.Sender.Law())
			require.GreaterOrEqual(t, share, c.share)
			if c.queue > 0 {
				require.LessOrEqual(t, q.Quantile(0.95), c.queue)
			}
			if w.Police != nil {
				require.LessOrEqual(t, float64(w.Police.Lost-lost)/float64(s.Sender.Stats.PacketsOut-sent), c.loss, "lost at the policer")
			}
		})
	}
}

// Ten sessions that begin within a second share a link. Of fifty that begin so fast some are left little for long: they meet a full queue, and
// take it for the path (docs/decisions/0006-rate-law.md).
func TestManySessions(t *testing.T) {
	for _, n := range []int{1, 10} {
		w := New(1, link(100e6, 40*ms, 250*ms), link(100e6, 40*ms, 250*ms))
		var all []*Session
		for i := range n {
			w.At(w.Now+time.Duration(i)*100*ms, func() { all = append(all, w.AddSession(Options{Seed: uint64(i) + 1})) })
		}
		require.NoError(t, w.Run(time.Second+30*time.Second, nil))
		before := make([]int64, n)
		for i, s := range all {
			before[i] = s.Goodput()
		}
		q := w.WatchQueue(ms)
		require.NoError(t, w.Run(time.Second+40*time.Second, nil))
		rates, sum := make([]float64, n), 0.0
		for i, s := range all {
			rates[i] = float64(s.Goodput()-before[i]) * 8 / 10
			sum += rates[i]
		}
		t.Logf("%d sessions: %.3f of the limit, index %.3f, queue %v", n, sum/96e6, Jain(rates...), q.Quantile(0.95))
		require.GreaterOrEqual(t, sum, 0.9*96e6)
		require.GreaterOrEqual(t, Jain(rates...), 0.9)
	}
}

// So many sessions on a slow link lose nearly all that some of them send. That is no path which does not take full packets, and none of high random loss, on which
// a rate may grow all the same.
func TestCrowd(t *testing.T) {
	for _, queue := range []time.Duration{5 * ms, 100 * ms} {
		l := link(10e6, 2*ms, queue)
		w := New(1, l, l)
		var all []*Session
		for i := range 20 {
			all = append(all, w.AddSession(Options{Seed: uint64(i) + 1}))
		}
		for end := 2 * time.Second; end <= 20*time.Second; end += 500 * ms {
			require.NoError(t, w.Run(end, nil), queue)
			sent := uint64(0)
			for _, s := range all {
				sent += s.Sender.Stats.PacketsOut
			}
			require.Less(t, float64(sent)*1500*8/(end-time.Second).Seconds(), 1e9, "offered to a link of 10 Mbit/s")
		}
		sum := 0.0
		for _, s := range all {
			sum += float64(s.Goodput()) * 8 / 19
		}
		t.Logf("queue %v: %.2f Mbit/s", queue, sum/1e6)
	}
}
