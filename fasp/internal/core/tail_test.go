package core

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/simnet"
)

var tailSeeds = flag.Int("tail.seeds", 20, "BenchmarkTail: sessions a cell")

// object measures how long a session takes to have an object settled from its first packet on, and the tail's share of what was sent.
func object(seed uint64, size int64, loss float64, parity bool) (took time.Duration, extra float64, st Stats, err error) {
	const rate, rtt = 1e9, 300 * ms
	link := simnet.Impair{Rate: rate, Queue: 100 * ms, Delay: rtt / 2, Loss: loss}
	s := newSim(seed, Config{Rates: Rates{Policy: Fixed, Target: rate}, Window: 64 << 20, Parity: parity, MaxLag: 10 * ms}, link, link)
	s.a.left = size
	err = s.run(time.Minute, func() bool { n, _ := s.a.Unsettled(); return s.a.left == 0 && n == 0 })
	symbols := float64(s.b.Stats.SymbolBytes) / 1438
	if got := s.b.arrived; err == nil && got != size {
		err = fmt.Errorf("%d of %d bytes arrived", got, size)
	}
	st = s.a.Stats
	return s.a.done - time.Second, float64(st.DataOut+st.ParityOut)/symbols - 1, st, err
}

// bound is the time that a protocol needs which sends everything once and for the losses: h round trips of handshake, one to have it
// acknowledged, and the time of the link.
func bound(h float64, size int64, loss float64) time.Duration {
	const rate, rtt = 1e9, 300 * ms
	return time.Duration((1+h)*float64(rtt) + float64(size)/1440*1500*8/rate/(1-loss)*1e9)
}

// An object smaller than what the path holds takes little more than the bound, however much is lost and though nothing is known of the path.
func TestTailOfSmallObjects(t *testing.T) {
	for _, loss := range []float64{0, 0.01, 0.05, 0.1, 0.3} {
		var all []float64
		for seed := range uint64(20) {
			took, _, _, err := object(seed, 100_000, loss, true)
			require.NoError(t, err)
			all = append(all, float64(took+300*ms)/float64(bound(1, 100_000, loss)))
		}
		slices.Sort(all)
		t.Logf("loss %v: median %.3f, worst %.3f of the bound", loss, all[10], all[19])
		want := 1.25
		if loss > 0.1 {
			want = 1.5
		}
		require.LessOrEqual(t, all[10], want)
	}
}

// BenchmarkTail prints how long objects take over 1 Gbit/s, 300 ms and loss, with and without parity, over the bound:
//
//	go test -run '^$' -bench Tail -benchtime 1x ./fasp/internal/core
func BenchmarkTail(b *testing.B) {
	for b.Loop() {
		for _, parity := range []bool{false, true} {
			for _, size := range []int64{100_000, 1_000_000, 10_000_000} {
				for _, loss := range []float64{0, 0.01, 0.05, 0.1, 0.3} {
					var h0, h1, extra []float64
					for seed := range uint64(*tailSeeds) {
						took, x, _, err := object(seed, size, loss, parity)
						require.NoError(b, err)
						h0 = append(h0, float64(took)/float64(bound(0, size, loss)))
						h1 = append(h1, float64(took+300*ms)/float64(bound(1, size, loss)))
						extra = append(extra, x)
					}
					slices.Sort(h0)
					slices.Sort(h1)
					slices.Sort(extra)
					n := len(h0)
					fmt.Printf("parity %-5v %8d B, loss %3.0f %%: h=0 median %.3f worst %.3f, h=1 median %.3f worst %.3f, extra packets %.2f\n",
						parity, size, loss*100, h0[n/2], h0[n-1], h1[n/2], h1[n-1], extra[n/2])
				}
			}
		}
	}
}

// Where the window is small, so that much is tail and there is little room for parity, and where losses come in bursts, all arrives, with
// fewer packets than copies took and in no more time.
func TestTailTightWindow(t *testing.T) {
	for _, window := range []int64{256 << 10, 1 << 20} {
		for _, burst := range []bool{false, true} {
			var took [2]time.Duration
			var packets [2]uint64
			for i, parity := range []bool{false, true} {
				for seed := range uint64(3) {
					const rate, size = 1e8, 2_000_000
					link := simnet.Impair{Rate: rate, Queue: 100 * ms, Delay: 50 * ms, Loss: 0.2}
					if burst {
						link.Loss, link.Burst = 0.01, simnet.Burst{Mean: 10 * ms, Gap: 100 * ms}
					}
					s := newSim(seed, Config{Rates: Rates{Policy: Fixed, Target: rate}, Window: window, Parity: parity, MaxLag: 10 * ms}, link, link)
					s.a.left = size
					require.NoError(t, s.run(time.Minute, func() bool {
						require.LessOrEqual(t, s.b.parityHeld, window/4)
						n, _ := s.a.Unsettled()
						return s.a.left == 0 && n == 0
					}), "seed %d", seed)
					require.Equal(t, int64(size), s.b.arrived)
					require.Zero(t, s.b.parityHeld)
					took[i] += s.a.done - time.Second
					packets[i] += s.a.Stats.PacketsOut
				}
			}
			t.Logf("window %d KiB, burst %v: %v and %d packets without, %v and %d with parity", window>>10, burst, took[0]/3, packets[0]/3, took[1]/3, packets[1]/3)
			require.Less(t, packets[1], packets[0])
			require.Less(t, took[1], took[0]*11/10)
		}
	}
}
