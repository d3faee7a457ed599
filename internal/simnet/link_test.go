package simnet

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const ms = time.Millisecond

// arrival is what came out of a link: which packet, when.
type arrival struct {
	id int
	at time.Duration
}

// drain takes everything that is under way.
func drain(l *Link[int]) (out []arrival) {
	for {
		at, ok := l.Next()
		if !ok {
			return out
		}
		id, ok := l.Recv(at)
		if !ok {
			panic("BUG: Next promised a packet")
		}
		out = append(out, arrival{id, at})
	}
}

func ids(as []arrival) []int {
	var out []int
	for _, a := range as {
		out = append(out, a.id)
	}
	return out
}

func checkBooks(t *testing.T, s Stats) {
	t.Helper()
	require.Equal(t, s.Sent+s.Duplicated, s.Delivered+s.InFlight+s.Lost(), "every packet is accounted for: %+v", s)
}

func TestLinkZeroIsIdealWire(t *testing.T) {
	l := NewLink[int](Impair{}, 1)
	for i := range 200 { // grows the ring
		require.Equal(t, 1, l.Send(5*ms, i, 1500))
	}
	out := drain(l)
	require.Len(t, out, 200)
	for i, a := range out {
		require.Equal(t, arrival{i, 5 * ms}, a)
	}
	_, ok := l.Recv(time.Hour)
	require.False(t, ok)
	checkBooks(t, l.Stats())
}

func TestLinkRateIsExact(t *testing.T) {
	// 1500 bytes at 700 Mbit/s take 17142.857 ns: any rounding per packet would add up.
	const n = 1_000_000
	l := NewLink[int](Impair{Rate: 700e6, QueueBytes: 1 << 40, Delay: 30 * ms}, 1)
	var last time.Duration
	for i := range n {
		l.Send(0, i, 1500)
		if i%1000 == 999 {
			for _, a := range drain(l) {
				last = a.at
			}
		}
	}
	want := 30*ms + time.Duration(math.Ceil(n*1500*8/700e6*1e9))
	require.InDelta(t, want, last, 2, "the last of %d packets", n)
	require.EqualValues(t, n*1500, l.Stats().ForwardedBytes)
}

func TestLinkDelayAndSerialisation(t *testing.T) {
	l := NewLink[int](Impair{Rate: 12e6, Delay: 50 * ms}, 1) // 1500 bytes = 1 ms
	l.Send(10*ms, 1, 1500)
	l.Send(10*ms, 2, 750)
	at, ok := l.Next()
	require.True(t, ok)
	require.Equal(t, 61*ms, at)
	_, ok = l.Recv(61*ms - 1)
	require.False(t, ok, "one nanosecond early")
	require.Equal(t, []arrival{{1, 61 * ms}, {2, 61*ms + 500*time.Microsecond}}, drain(l))

	l.Send(100*ms, 3, 1500)
	require.Equal(t, []arrival{{3, 151 * ms}}, drain(l), "an idle bottleneck starts at once")
}

func TestLinkQueueDropsAtExactByte(t *testing.T) {
	l := NewLink[int](Impair{Rate: 8e6, QueueBytes: 3000}, 1) // 1 byte = 1 us
	require.Equal(t, 1, l.Send(0, 1, 1500))
	require.Equal(t, 1, l.Send(0, 2, 1000))
	require.Equal(t, 0, l.Send(0, 3, 501), "one byte too many")
	require.Equal(t, 1, l.Send(0, 4, 500), "fits to the byte")
	require.EqualValues(t, 3000, l.Backlog(0))
	require.Equal(t, 0, l.Send(99*time.Microsecond, 5, 100))
	require.Equal(t, 1, l.Send(100*time.Microsecond, 6, 100), "100 us have made room for 100 bytes")
	require.EqualValues(t, 3000, l.Backlog(100*time.Microsecond))
	require.EqualValues(t, 0, l.Backlog(time.Second))
	require.Equal(t, 1, l.Send(time.Second, 7, 9000), "an idle bottleneck takes any packet")
	require.Equal(t, []int{1, 2, 4, 6, 7}, ids(drain(l)))
	s := l.Stats()
	require.EqualValues(t, 2, s.LostQueue)
	require.EqualValues(t, 9000, s.MaxQueueBytes)
	checkBooks(t, s)
}

func TestLinkDefaultQueueIs100ms(t *testing.T) {
	l := NewLink[int](Impair{Rate: 120e6}, 1) // 1500 bytes = 100 us
	for i := range 2000 {
		l.Send(0, i, 1500)
	}
	require.EqualValues(t, 1000, l.Stats().Forwarded)
	l = NewLink[int](Impair{Rate: 120e6, Queue: 10 * ms}, 1)
	for i := range 2000 {
		l.Send(0, i, 1500)
	}
	require.EqualValues(t, 100, l.Stats().Forwarded)
	l = NewLink[int](Impair{Rate: 120e6, Queue: -1}, 1)
	l.Send(0, 1, 1500)
	require.Zero(t, l.Send(0, 2, 1500), "no queue at all")
}

func TestLinkLossWithinBounds(t *testing.T) {
	const n = 1_000_000
	for _, p := range []float64{0.0001, 0.001, 0.01, 0.1, 0.3, 0.5} {
		t.Run(fmt.Sprint(p), func(t *testing.T) {
			const seed = 7
			l := NewLink[int](Impair{Loss: p}, seed)
			runs, lostBefore := 0, false
			for i := range n {
				lost := l.Send(0, i, 1500) == 0
				if lost && lostBefore {
					runs++
				}
				lostBefore = lost
				l.Recv(0)
			}
			sigma := math.Sqrt(p * (1 - p) / n)
			require.InDelta(t, p, l.Stats().LossAfter(), 5*sigma, "seed %d", seed)
			pp := p * p
			require.InDelta(t, pp, float64(runs)/n, 5*math.Sqrt(3*pp/n)+1e-9, "losses are independent, seed %d", seed)
			checkBooks(t, l.Stats())
		})
	}
}

func TestLinkLossPlace(t *testing.T) {
	run := func(cfg Impair) Stats {
		cfg.Rate, cfg.QueueBytes = 100e6, 1<<40
		l := NewLink[int](cfg, 3)
		for i := range 10000 {
			l.Send(0, i, 1250)
			l.Recv(1 << 60)
		}
		return l.Stats()
	}
	before, after := run(Impair{LossBefore: 0.3}), run(Impair{Loss: 0.3})
	require.EqualValues(t, 10000, after.Forwarded, "loss after the bottleneck has used its rate")
	require.EqualValues(t, 10000-before.LostRandomBefore, before.Forwarded)
	require.InDelta(t, 0.3, before.Loss(), 0.03)
	require.InDelta(t, 0.3, after.Loss(), 0.03)
	require.Zero(t, before.LossAfter())
}

func TestLinkCertainLoss(t *testing.T) {
	l := NewLink[int](Impair{Loss: 1}, 1)
	require.Zero(t, l.Send(0, 1, 100))
	l = NewLink[int](Impair{Loss: math.NaN(), LossBefore: -1}, 1)
	require.Equal(t, 1, l.Send(0, 1, 100))
}

func TestLinkBurst(t *testing.T) {
	const seed = 11
	for _, before := range []bool{false, true} {
		cfg := Impair{Burst: Burst{Mean: 20 * ms, Gap: 180 * ms}}
		if before {
			cfg = Impair{BurstBefore: cfg.Burst}
		}
		l := NewLink[int](cfg, seed)
		const n = 2_000_000 // one packet a 0.1 ms, 200 s
		bursts, was := 0, false
		for i := range n {
			now := time.Duration(i) * ms / 10
			lost := l.Send(now, i, 1500) == 0
			if lost && !was {
				bursts++
			}
			was = lost
			l.Recv(now)
		}
		s := l.Stats()
		require.InDelta(t, 0.1, s.Loss(), 0.02, "long-run share, seed %d", seed)
		mean := float64(s.Lost()) / float64(bursts) / 10 // ms
		require.InDelta(t, 20, mean, 3, "mean burst in ms, seed %d", seed)
		if before {
			require.Equal(t, s.Lost(), s.LostBurstBefore)
		} else {
			require.Equal(t, s.Lost(), s.LostBurst)
		}
	}
}

func TestLinkBurstAfterLongSilence(t *testing.T) {
	l := NewLink[int](Impair{Burst: Burst{Mean: 1, Gap: 1}}, 1)
	lost := 0
	for i := range 10000 { // a step through each of 10^12 periods would not end
		if l.Send(time.Duration(i)*time.Hour/10, i, 100) == 0 {
			lost++
		}
		l.Recv(1 << 60)
	}
	require.InDelta(t, 5000, lost, 300)
}

func TestLinkJitter(t *testing.T) {
	send := func(cfg Impair) []arrival {
		l := NewLink[int](cfg, 5)
		for i := range 2000 {
			l.Send(time.Duration(i)*ms, i, 1500)
		}
		checkBooks(t, l.Stats())
		return drain(l)
	}
	inOrder := send(Impair{Delay: 20 * ms, Jitter: 10 * ms})
	late := false
	for i, a := range inOrder {
		require.Equal(t, i, a.id, "jitter keeps order")
		extra := a.at - time.Duration(i)*ms - 20*ms
		require.GreaterOrEqual(t, extra, time.Duration(0))
		require.Less(t, extra, 10*ms)
		late = late || extra > 9*ms
	}
	require.True(t, late)

	free := send(Impair{Delay: 20 * ms, Jitter: 10 * ms, Reorder: true})
	require.Len(t, free, 2000)
	swaps, sum := 0, time.Duration(0)
	for i, a := range free {
		sum += a.at - time.Duration(a.id)*ms - 20*ms
		if i > 0 {
			require.LessOrEqual(t, free[i-1].at, a.at, "arrivals come out by time")
			if a.id < free[i-1].id {
				swaps++
			}
		}
	}
	require.Greater(t, swaps, 100)
	require.InDelta(t, 5*ms, sum/2000, float64(ms/2), "uniform jitter has its mean in the middle")
}

func TestLinkReorder(t *testing.T) {
	l := NewLink[int](Impair{Delay: 10 * ms, ReorderProb: 0.05, ReorderBy: 5 * ms}, 9)
	for i := range 2000 {
		l.Send(time.Duration(i)*ms, i, 1500)
	}
	held := l.Stats().HeldBack
	require.InDelta(t, 100, held, 50)
	seen := make(map[int]bool)
	var late int64
	for _, a := range drain(l) {
		seen[a.id] = true
		switch want := time.Duration(a.id)*ms + 10*ms; a.at {
		case want:
		case want + 5*ms:
			late++
		default:
			require.Fail(t, "unexpected arrival", "%+v", a)
		}
	}
	require.Len(t, seen, 2000)
	require.Equal(t, held, late)
}

func TestLinkDuplicate(t *testing.T) {
	l := NewLink[int](Impair{DupProb: 0.1}, 9)
	copies := 0
	for i := range 10000 {
		copies += l.Send(0, i, 1500)
	}
	count := make(map[int]int)
	for _, a := range drain(l) {
		count[a.id]++
	}
	s := l.Stats()
	require.EqualValues(t, copies, s.Delivered)
	require.InDelta(t, 1000, s.Duplicated, 150)
	require.Len(t, count, 10000)
	for _, n := range count {
		require.LessOrEqual(t, n, 2)
	}
	checkBooks(t, s)
}

func TestLinkMTUAndCuts(t *testing.T) {
	l := NewLink[int](Impair{MTU: 1500, Cuts: []Window{{10 * ms, 20 * ms}, {30 * ms, 31 * ms}}, Delay: 15 * ms}, 1)
	require.Equal(t, 1, l.Send(0, 0, 1500))
	require.Equal(t, 0, l.Send(0, 1, 1501))
	require.Equal(t, 1, l.Send(10*ms-1, 2, 100))
	require.Equal(t, 0, l.Send(10*ms, 3, 100))
	require.Equal(t, 0, l.Send(20*ms-1, 4, 100))
	require.Equal(t, 1, l.Send(20*ms, 5, 100))
	require.Equal(t, 0, l.Send(30*ms, 6, 100))
	require.Equal(t, []int{0, 2, 5}, ids(drain(l)), "what was under way when the cut began arrives")
	s := l.Stats()
	require.EqualValues(t, 1, s.LostMTU)
	require.EqualValues(t, 3, s.LostCut)

	down := true
	l.Set(40*ms, Impair{Down: func(time.Duration) bool { return down }})
	require.Zero(t, l.Send(40*ms, 7, 100))
	down = false
	require.Equal(t, 1, l.Send(40*ms, 8, 100))
	checkBooks(t, l.Stats())
}

func TestLinkRateStep(t *testing.T) {
	l := NewLink[int](Impair{Rate: 12e6, Delay: 50 * ms}, 1) // 1500 bytes = 1 ms
	for i := range 4 {
		l.Send(0, i, 1500)
	}
	require.EqualValues(t, 6000, l.Backlog(0))
	l.SetRate(1500*time.Microsecond, 1.2e6) // the second packet is half sent
	require.EqualValues(t, 3750, l.Backlog(1500*time.Microsecond))
	l.Send(1500*time.Microsecond, 4, 1500)
	want := []arrival{
		{0, 51 * ms},
		{1, 56500 * time.Microsecond},
		{2, 66500 * time.Microsecond},
		{3, 76500 * time.Microsecond},
		{4, 86500 * time.Microsecond},
	}
	require.Equal(t, want, drain(l), "bytes sent stay sent, the rest goes at the new rate")
}

func TestLinkRateToInfinite(t *testing.T) {
	l := NewLink[int](Impair{Rate: 12e6}, 1)
	for i := range 4 {
		l.Send(0, i, 1500)
	}
	l.SetRate(1*ms, 0)
	require.Equal(t, []arrival{{0, 1 * ms}, {1, 1 * ms}, {2, 1 * ms}, {3, 1 * ms}}, drain(l))
	require.Zero(t, l.Backlog(1*ms))
	l.SetRate(2*ms, 12e6)
	l.Send(2*ms, 5, 1500)
	require.Equal(t, []arrival{{5, 3 * ms}}, drain(l))
}

func TestLinkDelayStep(t *testing.T) {
	l := NewLink[int](Impair{Rate: 12e6, Delay: 50 * ms}, 1)
	l.Send(0, 0, 1500)
	l.Send(0, 1, 1500)
	l.Set(1*ms, Impair{Rate: 12e6, Delay: 10 * ms})
	l.Send(1*ms, 2, 1500)
	l.Send(60*ms, 3, 1500)
	require.Equal(t, []arrival{{0, 51 * ms}, {1, 51 * ms}, {2, 51 * ms}, {3, 71 * ms}}, drain(l), "no overtaking")

	l = NewLink[int](Impair{Delay: 50 * ms, Reorder: true}, 1)
	l.Send(0, 0, 1500)
	l.Set(1*ms, Impair{Delay: 10 * ms, Reorder: true})
	l.Send(1*ms, 1, 1500)
	require.Equal(t, []arrival{{1, 11 * ms}, {0, 50 * ms}}, drain(l), "a shorter route overtakes")
}

func TestLinkTinyRateDoesNotOverflow(t *testing.T) {
	l := NewLink[int](Impair{Rate: 1e-300, QueueBytes: 1 << 40}, 1)
	for i := range 8 {
		l.Send(0, i, 1500)
	}
	l.SetRate(0, 1e-200)
	at, ok := l.Next()
	require.True(t, ok)
	require.Positive(t, at)
}

func TestLinkIsDeterministic(t *testing.T) {
	cfg := Impair{
		Rate: 100e6, Delay: 20 * ms, Jitter: 3 * ms, Loss: 0.1, LossBefore: 0.02, Reorder: true,
		ReorderProb: 0.01, ReorderBy: 2 * ms, DupProb: 0.01, Burst: Burst{ms, 100 * ms}, BurstBefore: Burst{ms, 90 * ms},
	}
	run := func(seed uint64) []arrival {
		l := NewLink[int](cfg, seed)
		for i := range 5000 {
			l.Send(time.Duration(i)*100*time.Microsecond, i, 1500)
		}
		checkBooks(t, l.Stats())
		return drain(l)
	}
	require.Equal(t, run(1), run(1))
	require.NotEqual(t, run(1), run(2))
}

func TestLinkImpairmentsDrawIndependently(t *testing.T) {
	run := func(cfg Impair) map[int]bool {
		cfg.Loss = 0.1
		l := NewLink[int](cfg, 1)
		for i := range 5000 {
			l.Send(time.Duration(i)*ms, i, 1500)
		}
		got := make(map[int]bool)
		for _, a := range drain(l) {
			got[a.id] = true
		}
		return got
	}
	require.Equal(t, run(Impair{}), run(Impair{Jitter: 5 * ms, Reorder: true, ReorderProb: 0.1, ReorderBy: ms}),
		"switching jitter on must not change which packets are lost")
}

// TestLinkRandomHistories compares arrival order and conservation over random settings that change while packets are
// under way.
func TestLinkRandomHistories(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		l := NewLink[int](Impair{}, rng.Uint64())
		now, lastAt := time.Duration(0), time.Duration(0)
		for i := range 500 {
			now += time.Duration(rng.IntN(int(2 * ms)))
			switch rng.IntN(20) {
			case 0:
				l.Set(now, Impair{
					Rate: float64(rng.IntN(3)) * 10e6, Delay: time.Duration(rng.IntN(int(20 * ms))),
					Jitter: time.Duration(rng.IntN(2)) * ms, Reorder: rng.IntN(2) == 0, Loss: 0.1,
					ReorderProb: 0.1, ReorderBy: ms, DupProb: 0.1, Queue: 5 * ms,
				})
			default:
				l.Send(now, i, 100+rng.IntN(1400))
			}
			for {
				at, ok := l.Next()
				if !ok || at > now {
					break
				}
				_, got, ok := l.RecvAt(now)
				require.True(t, ok, "seed %d", seed)
				require.Equal(t, at, got)
				require.GreaterOrEqual(t, at, lastAt, "arrivals come out by time, seed %d", seed)
				lastAt = at
			}
		}
		checkBooks(t, l.Stats())
		n := l.Stats().InFlight
		require.Len(t, drain(l), int(n))
	}
}

func BenchmarkLink(b *testing.B) {
	for _, bc := range []struct {
		name string
		cfg  Impair
	}{
		{"plain", Impair{Rate: 10e9, Delay: 50 * ms}},
		{"loss", Impair{Rate: 10e9, Delay: 50 * ms, Loss: 0.01}},
		{"loss30", Impair{Rate: 10e9, Delay: 50 * ms, Loss: 0.3}},
		{"jitter", Impair{Rate: 10e9, Delay: 50 * ms, Loss: 0.01, Jitter: ms}},
		{"reorder", Impair{Rate: 10e9, Delay: 50 * ms, Loss: 0.01, Jitter: ms, Reorder: true}},
		{"all", Impair{
			Rate: 10e9, Delay: 50 * ms, Loss: 0.01, LossBefore: 0.01, Jitter: ms, ReorderProb: 0.01, ReorderBy: ms,
			DupProb: 0.01, MTU: 1500, Burst: Burst{ms, 100 * ms}, Cuts: []Window{{0, 1}},
		}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			type packet struct{ number, _ uint64 } // as large as a description of a packet is
			l := NewLink[packet](bc.cfg, 1)
			now := time.Duration(0)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				now += 1200 // 1500 bytes at 10 Gbit/s
				l.Send(now, packet{number: uint64(i)}, 1500)
				for {
					if _, ok := l.Recv(now); !ok {
						break
					}
				}
				i++
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mpkt/s")
		})
	}
}
