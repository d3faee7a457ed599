package core

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/simnet"
)

// Over every kind of bad path a fixed rate is kept to what the path lets through, and no message is lost, repeated or out of order.
func TestAdversePaths(t *testing.T) {
	const rate = 20e6
	base := simnet.Impair{Rate: rate, Queue: 100 * ms, Delay: 25 * ms}
	with := func(f func(*simnet.Impair)) simnet.Impair {
		i := base
		f(&i)
		return i
	}
	slow := base
	slow.Rate = rate / 100
	for _, c := range []struct {
		name     string
		ab, ba   simnet.Impair
		share    float64 // of the limit by the loss that was realised
		spurious float64 // packets taken for lost that were not, of those sent
	}{
		{"plain", base, base, 0.98, 0},
		{"return path of 1 %", base, slow, 0.98, 0},
		{"return path of 1 %, loss 5 %", with(func(i *simnet.Impair) { i.Loss = 0.05 }), slow, 0.98, 0},
		{"reordering by 50 ms", with(func(i *simnet.Impair) { i.ReorderProb, i.ReorderBy = 0.02, 50*ms }), base, 0.98, 0.02},
		{"jitter that reorders", with(func(i *simnet.Impair) { i.Jitter, i.Reorder = 20*ms, true }), base, 0.98, 0.02},
		{"duplication", with(func(i *simnet.Impair) { i.DupProb = 0.05 }), with(func(i *simnet.Impair) { i.DupProb = 0.05 }), 0.98, 0},
		{"bursts of 100 ms", with(func(i *simnet.Impair) { i.Burst = simnet.Burst{Mean: 100 * ms, Gap: 2 * time.Second} }), base, 0.95, 0},
		{"bursts of 500 ms", with(func(i *simnet.Impair) { i.Burst = simnet.Burst{Mean: 500 * ms, Gap: 5 * time.Second} }), base, 0.95, 0},
		{
			"bursts of 500 ms both ways", with(func(i *simnet.Impair) { i.Burst = simnet.Burst{Mean: 500 * ms, Gap: 5 * time.Second} }),
			with(func(i *simnet.Impair) { i.Burst = simnet.Burst{Mean: 500 * ms, Gap: 5 * time.Second} }), 0.98, 0,
		},
		{"no return for 900 ms in 5 s", base, with(func(i *simnet.Impair) {
			i.Down = func(now time.Duration) bool { return now%(5*time.Second) < 900*ms }
		}), 0.98, 0},
		{"everything", with(func(i *simnet.Impair) {
			i.Loss, i.ReorderProb, i.ReorderBy, i.DupProb, i.Jitter = 0.1, 0.02, 30*ms, 0.02, 5*ms
			i.Burst = simnet.Burst{Mean: 100 * ms, Gap: 4 * time.Second}
		}), with(func(i *simnet.Impair) { i.Loss, i.DupProb = 0.2, 0.05 }), 0.97, 0.02},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const seed = 4
			s := newSim(seed, Config{Rates: Rates{Policy: Fixed, Target: rate}, MaxLag: 10 * ms, Window: 1 << 30}, c.ab, c.ba)
			s.a.left = -1
			rng := rand.New(rand.NewPCG(seed, 0))
			var want []string
			for i := range 300 {
				m := fmt.Sprintf("%d:%s", i, make([]byte, rng.IntN(100)))
				want = append(want, m)
			}
			sent := 0
			give := func() bool {
				for ; sent < len(want) && s.now > time.Second+time.Duration(sent)*70*ms; sent++ {
					s.a.AddMessage([]byte(want[sent]))
					s.a.at = s.now
				}
				return false
			}
			warm := 3 * time.Second
			require.NoError(t, s.run(warm, give), "seed %d", seed)
			b0, l0, a0 := s.b.Stats, s.a.link.Stats(), s.a.Stats
			dur := 20 * time.Second
			require.NoError(t, s.run(warm+dur, give), "seed %d", seed)
			b1, l1, a1 := s.b.Stats, s.a.link.Stats(), s.a.Stats
			passed := 1 - float64(l1.Lost()-l0.Lost())/float64(l1.Sent-l0.Sent)
			share := float64(b1.SymbolBytes-b0.SymbolBytes) * 8 / dur.Seconds() / (rate * 1440 / 1500 * passed)
			spurious := float64(a1.Spurious-a0.Spurious) / float64(a1.DataOut-a0.DataOut)
			reverse := float64(b1.BytesOut-b0.BytesOut) / float64(a1.BytesOut-a0.BytesOut)
			t.Logf("%.3f of the limit, %.4f passed, spurious %.4f, duplicates %d, breaker %d, reverse %.4f, largest ledger %d",
				share, passed, spurious, b1.Duplicates-b0.Duplicates, a1.Breaker, reverse, len(s.a.led.ring))
			require.GreaterOrEqual(t, share, c.share)
			require.LessOrEqual(t, spurious, c.spurious+0.001)
			require.LessOrEqual(t, reverse, 0.02, "bytes of the return path")
			require.LessOrEqual(t, len(s.a.led.ring), 1<<16)

			t.Log("the end: everything arrives")
			s.a.left = 0
			require.NoError(t, s.run(warm+dur+20*time.Second, func() bool {
				n, m := s.a.Unsettled()
				return s.a.left == 0 && n == 0 && m == 0 && sent == len(want) && !give()
			}), "seed %d", seed)
			require.Equal(t, want, texts(s.b.got), "seed %d", seed)
			require.Equal(t, s.a.Stats.BlockBytesOut, uint64(s.b.arrived))
		})
	}
}

// Slow storage: the receiver holds blocks back, and the sender waits for credit without wasting the link or losing anything; the
// memory that the receiver needs stays within the window.
func TestSlowStorage(t *testing.T) {
	link := simnet.Impair{Rate: 100e6, Queue: 100 * ms, Delay: 25 * ms, Loss: 0.05}
	s := newSim(1, Config{Rates: Rates{Policy: Fixed, Target: 100e6}, MaxLag: 10 * ms, Window: 4 << 20, WindowMax: 64 << 20}, link, link)
	s.a.left = 40 << 20
	var waiting []int
	s.b.hold = func(n int) { waiting = append(waiting, n) }
	most, next := int64(0), s.now
	stop := func() bool {
		if s.now >= next && len(waiting) > 0 { // 20 Mbit/s
			next = s.now + 50*ms
			s.b.Freed(waiting[0])
			s.b.at = s.now
			waiting = waiting[1:]
		}
		most = max(most, int64(s.b.inHeld))
		n, _ := s.a.Unsettled()
		return s.a.left == 0 && n == 0
	}
	require.NoError(t, s.run(time.Minute, stop))
	require.Equal(t, int64(40<<20), s.b.arrived)
	st := s.a.Stats
	t.Logf("took %v, most held %d KiB, %d of %d data packets repeated without need, waits %d, breaker %d", s.now-time.Second, most>>10,
		s.b.Stats.Duplicates, st.DataOut, st.CreditWaits, st.Breaker)
	require.LessOrEqual(t, most, int64(8<<20), "held by the receiver")
	require.Zero(t, st.Breaker)
	require.LessOrEqual(t, s.now, 25*time.Second)
}

// A link that is cut for long: the session lives for as long as the idle time-out allows, wherever the cut falls.
func TestLinkCut(t *testing.T) {
	for _, policy := range []Policy{Fair, Low, Fixed} {
		for _, at := range []time.Duration{1001 * ms, 1100 * ms, 2 * time.Second} {
			cut := []simnet.Window{{From: at, To: at + 20*time.Second}}
			link := simnet.Impair{Rate: 20e6, Queue: 100 * ms, Delay: 50 * ms, Cuts: cut}
			s := newSim(3, Config{Rates: Rates{Policy: policy, Target: 20e6}, MaxLag: 10 * ms}, link, link)
			s.a.left = 10 << 20
			require.NoError(t, s.run(2*time.Minute, func() bool { n, _ := s.a.Unsettled(); return s.a.left == 0 && n == 0 }))
			require.Equal(t, int64(10<<20), s.b.arrived, "policy %d, cut at %v", policy, at)
			t.Logf("policy %d, cut at %v: done %v after the link came back", policy, at, s.now-at-20*time.Second)
			require.Less(t, s.now-at, 40*time.Second)
		}
	}
}
