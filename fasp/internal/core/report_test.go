package core

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

// fates reads what reports say of each packet number; a later word replaces an earlier one.
func fates(t *testing.T, reports []wire.Report) map[uint64]bool {
	t.Helper()
	out := map[uint64]bool{}
	for _, r := range reports {
		for _, s := range r.Spans {
			s.Runs(func(lo, n uint64, received bool) bool {
				for pn := lo; pn < lo+n; pn++ {
					out[pn] = received
				}
				return true
			})
		}
	}
	return out
}

func TestReportContents(t *testing.T) {
	s := newScript(t, nil)
	s.c.reportLoss = 0.02 // as after a while
	s.step("nothing was received: nothing is reported")
	s.wait(5 * time.Second)
	require.Empty(t, s.takeReports())
	s.step("a lone packet is reported within a quarter of the interval")
	_, err := s.data(0, 0, 1000, false)
	require.NoError(t, err)
	arrived := s.now
	s.wait(2500 * time.Microsecond)
	r := s.takeReports()
	require.Len(t, r, 1)
	require.Equal(t, uint64(1), r[0].Number)
	require.Equal(t, uint64(0), r[0].Highest)
	require.Equal(t, uint32(arrived/time.Microsecond), r[0].Stamp)
	require.LessOrEqual(t, time.Duration(r[0].Hold)*time.Microsecond, 2500*time.Microsecond)
	require.Equal(t, map[uint64]bool{0: true}, fates(t, r))
	s.step("gaps are reported as such")
	for _, pn := range []uint64{1, 2, 5, 9} {
		_, err := s.dataAt(pn, 0, int(pn), 1000, false)
		require.NoError(t, err)
	}
	s.wait(20 * ms)
	require.Equal(t, map[uint64]bool{0: true, 1: true, 2: true, 3: false, 4: false, 5: true, 6: false, 7: false, 8: false, 9: true}, fates(t, s.takeReports()))
	s.step("a packet that arrives late makes its stretch new again, also when that was forgotten")
	s.pn, s.echo = 10, uint16(s.c.reportNo)
	_, err = s.data(0, 10, 1000, false)
	require.NoError(t, err)
	s.wait(200 * ms)
	s.takeReports()
	_, err = s.dataAt(4, 0, 4, 1000, false)
	require.NoError(t, err)
	s.wait(20 * ms)
	got := fates(t, s.takeReports())
	require.True(t, got[4])
}

// Each stretch is carried by k reports, then again whenever no echo came for 1.25 RTT, then left alone once one is echoed.
func TestReportRepeats(t *testing.T) {
	for _, loss := range []float64{0.0001, 0.02, 0.3, 0.6} {
		k := min(8, max(1, int(math.Ceil(math.Log(0.001)/math.Log(loss)))))
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			s := newScript(t, nil)
			s.c.reportLoss = loss
			s.wait(time.Second)
			require.Equal(t, k, s.c.repeats())
			_, err := s.data(0, 0, 1000, false)
			require.NoError(t, err)
			var last time.Duration
			for n := 0; n < k; s.wait(ms) {
				if r := s.takeReports(); len(r) > 0 {
					n, last = n+len(r), s.now
				}
				require.Less(t, s.now, 2*time.Second+time.Duration(k)*100*ms, "k copies at the report interval")
			}
			s.step("no echo: again after 1.25 RTT, not before")
			s.wait(last + 120*ms - s.now)
			require.Empty(t, s.takeReports())
			s.wait(10 * ms)
			require.Len(t, s.takeReports(), 1)
			s.step("an echo of any that carried it ends that")
			s.echo = 1
			require.NoError(t, s.frames([]byte{wire.FramePadding}))
			s.wait(20 * ms)
			s.takeReports()
			s.echo = uint16(s.c.reportNo)
			require.NoError(t, s.frames([]byte{wire.FramePadding}))
			s.takeReports()
			s.wait(10 * time.Second)
			require.LessOrEqual(t, len(s.takeReports()), 2*k+2+20, "only the echo packets' own stretch is left, for a while")
		})
	}
	t.Run("a silent peer", func(t *testing.T) {
		s := newScript(t, nil)
		_, err := s.data(0, 0, 1000, false)
		require.NoError(t, err)
		s.wait(50 * time.Second)
		require.LessOrEqual(t, len(s.takeReports()), maxAttempts+1, "is not reported to for ever")
	})
}

// The share of reports that is never echoed is what k follows.
func TestReportLossLearned(t *testing.T) {
	for _, loss := range []float64{0, 0.1, 0.3} {
		s := newScript(t, nil)
		rng := rand.New(rand.NewPCG(1, uint64(loss*100)))
		for i := range 600 {
			_, err := s.data(uint32(i), 0, 1000, true)
			require.NoError(t, err)
			s.c.Freed(1000)
			s.wait(10 * ms)
			for _, r := range s.takeReports() {
				if rng.Float64() >= loss {
					s.echo = uint16(r.Number)
				}
			}
		}
		require.InDelta(t, loss, s.c.reportLoss, 0.12, "loss %v", loss)
	}
}

// Whatever is lost on both ways, every packet number's fate reaches the sender: reports of random losses, of which some are lost
// themselves, add up to the truth.
func TestReportsAddUp(t *testing.T) {
	for _, loss := range []float64{0, 0.001, 0.01, 0.1, 0.3, 0.5} {
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			const seed = 5
			rng := rand.New(rand.NewPCG(seed, uint64(loss*1000)))
			s := newScript(t, func(c *Config) { c.Symbol = 1438 })
			packets := uint64(30_000)
			if testing.Short() {
				packets = 6000
			}
			truth := map[uint64]bool{}
			var got []wire.Report
			frames := 0
			newest := uint16(0)
			echoes := make(chan uint16, 2000) // a round trip of 100 ms
			for range cap(echoes) {
				echoes <- 0
			}
			for i := range packets {
				s.echo = <-echoes

				truth[i] = rng.Float64() >= loss || i == packets-1
				if truth[i] {
					require.NoError(t, s.c.OnFrames(s.now, i, s.echo, []byte{wire.FramePing}, 57, nil))
				}
				s.wait(50 * time.Microsecond)
				for _, p := range s.fresh {
					require.LessOrEqual(t, len(p.Frames), room, "a report fits a packet")
					frames++
				}
				for _, r := range s.takeReports() {
					if rng.Float64() >= loss {
						got = append(got, r)
						newest = uint16(r.Number)
					}
				}
				echoes <- newest
			}
			for range 40 {
				s.wait(200 * ms)
				got = append(got, s.takeReports()...)
			}
			f := fates(t, got)
			for pn, want := range truth {
				have, spoken := f[pn]
				require.True(t, spoken, "seed %d: packet %d is never spoken of", seed, pn)
				require.Equal(t, want, have, "seed %d: packet %d", seed, pn)
			}
			t.Logf("%d reports for %d packets at 20,000 a second", frames, packets)
			require.LessOrEqual(t, frames, int(packets)/100+100, "packets of the return path")
		})
	}
}

// What came between two reports of a rate that has just risen must not wait behind what comes after it, for ever: newer stretches have precedence.
func TestNothingWaitsBehindNewer(t *testing.T) {
	s := newScript(t, nil)
	pn := uint64(0)
	arrive := func(n int) {
		for range n {
			if pn%100 != 99 { // some are missing, so that it takes bitmaps
				require.NoError(t, s.c.OnFrames(s.now, pn, 0, []byte{wire.FramePing}, 57, nil))
			}
			pn++
		}
	}
	var got []wire.Report
	arrive(16_000)
	for range 100 {
		s.wait(ms)
		got = append(got, s.takeReports()...)
		arrive(1000)
	}
	f := fates(t, got)
	for i := range pn - 5000 {
		_, spoken := f[i]
		require.True(t, spoken, "packet %d is not spoken of", i)
	}
}

// A peer that jumps far ahead with its packet numbers must not make the receiver work for all the numbers between.
func TestReportAfterJump(t *testing.T) {
	s := newScript(t, nil)
	_, err := s.data(0, 0, 1000, false)
	require.NoError(t, err)
	s.wait(20 * ms)
	s.step("2^31 numbers ahead")
	_, err = s.dataAt(1<<31, 0, 1, 1000, false)
	require.NoError(t, err)
	s.wait(20 * ms)
	require.NotEmpty(t, s.takeReports())
	require.LessOrEqual(t, cap(s.c.stretches), 4*pnSetMax/maxStretch)
	s.step("again and again")
	for i := range uint64(20) {
		_, err = s.dataAt((i+2)<<31, 0, int(i)+2, 1000, false)
		require.NoError(t, err)
		s.wait(20 * ms)
	}
	require.LessOrEqual(t, cap(s.c.stretches), 4*pnSetMax/maxStretch)
	require.LessOrEqual(t, s.c.seen.size(), uint64(pnSetMax))
}

// A pause is no sign of a slow peer: what comes after it is reported at the pace of what comes.
func TestReportIntervalAfterPause(t *testing.T) {
	s := newScript(t, nil)
	_, err := s.data(0, 0, 1000, false)
	require.NoError(t, err)
	s.wait(30 * time.Second)
	s.takeReports()
	for i := range 2000 {
		_, err := s.data(0, i%1000+1, 1000, false)
		require.NoError(t, err)
		s.wait(100 * time.Microsecond)
	}
	require.InDelta(t, 20, len(s.takeReports()), 4, "one each 10 ms")
}

// On a slow link a report stands for many packets.
func TestReportIntervalSlow(t *testing.T) {
	s := newScript(t, func(c *Config) { c.Idle = time.Hour })
	s.c.reportLoss = 1e-6
	for i := range 1000 {
		_, err := s.data(uint32(i), 0, 1000, true)
		require.NoError(t, err)
		s.c.Freed(1000)
		s.wait(12 * ms)
		if n := len(s.c.stretches); n > 0 {
			s.echo = uint16(s.c.reportNo)
		}
	}
	require.LessOrEqual(t, len(s.takeReports()), 250)
}

// A peer that fills old gaps one number at a time, after the stretches around them were forgotten, must not make the receiver keep
// something for each.
func TestManyLateArrivals(t *testing.T) {
	long(t)
	s := newScript(t, nil)
	ping := func(pn uint64) {
		require.NoError(t, s.c.OnFrames(s.now, pn, s.echo, []byte{wire.FramePing}, 57, nil))
	}
	const n = 60_000
	for pn := uint64(0); pn < n; pn += 1000 {
		ping(pn)
		s.wait(20 * ms)
		for _, r := range s.takeReports() {
			s.echo = uint16(r.Number)
		}
	}
	ping(n)
	require.Less(t, len(s.c.stretches), 10, "most is forgotten")
	late := 0
	for pn := uint64(1); pn < n; pn += 2 {
		ping(pn)
		late++
	}
	require.LessOrEqual(t, len(s.c.stretches), n/1024+10, "after %d late packets", late)
	s.step("all are spoken of again")
	var reports []wire.Report
	for range 200 {
		s.wait(20 * ms)
		reports = append(reports, s.takeReports()...)
	}
	got := fates(t, reports)
	for pn := uint64(1); pn < n; pn += 2 {
		require.True(t, got[pn], "packet %d", pn)
	}
}

// Reports are lost for so long that the receiver has told of many packets as often as it does by itself. When they arrive again it goes on
// telling of these: the sender would wait for them for ever, with ever more packets and blocks behind.
func TestReportsLostForLong(t *testing.T) {
	for _, rtt := range []time.Duration{200 * time.Microsecond, 20 * ms} {
		for _, cut := range []time.Duration{300 * ms, 900 * ms, 3 * time.Second} {
			there := simnet.Impair{Rate: 100e6, Delay: rtt / 2}
			back := there
			back.Cuts = []simnet.Window{{From: 2 * time.Second, To: 2*time.Second + cut}}
			s := newSim(1, Config{Rates: Rates{Policy: Fixed, Target: 50_000_000}, Parity: true}, there, back)
			s.a.left = -1
			require.NoError(t, s.run(9*time.Second, nil))
			require.Less(t, s.a.led.next-s.a.led.base, uint64(1000), "round trip %v, %v without reports", rtt, cut)
			require.Less(t, len(s.a.out.blocks), 20)
			require.Less(t, len(s.b.stretches), 20)
		}
	}
}
