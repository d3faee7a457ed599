package core

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

// When reports stop, every policy halves its rate each round trip down to a probe now and then, and comes back with the
// first report: fixed to its target, the others to half of what they had (section 9.1).
func TestBreaker(t *testing.T) {
	for _, policy := range []Policy{Fair, High, Low, Fixed} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			s := sending(t, func(c *Config) { c.Rates = Rates{Policy: policy, Target: 8_496_000, Min: 8_000_000} })
			s.wait(100 * ms)
			require.NoError(t, s.report(s.highest(), all))
			before := s.c.Rate()
			silent := s.now
			s.step("silence")
			s.wait(990 * ms)
			require.Zero(t, s.c.Stats.Breaker)
			require.Equal(t, before, s.c.Rate())
			s.wait(20 * ms)
			require.Equal(t, uint64(1), s.c.Stats.Breaker)
			require.LessOrEqual(t, s.c.Rate(), before/2)
			s.wait(max(s.c.RTT(), 50*ms))
			require.LessOrEqual(t, s.c.Rate(), before/4)
			s.wait(5 * time.Second)
			s.take()
			s.step("%v after the last report: probes only", s.now-silent)
			s.wait(10 * time.Second)
			probes := s.take()
			data := 0
			for _, p := range probes {
				if p.Data {
					data++
				}
			}
			require.InDelta(t, 40, data, 4, "the oldest data each 250 ms")
			require.InDelta(t, 40, len(probes)-data, 4, "and a small one")
			s.step("a report of a probe")
			require.NoError(t, s.report(s.highest(), func(pn uint64) bool { return pn == s.highest() }))
			want := before
			if policy != Fixed {
				want = max(before/2, 8_000_000) // the user's minimum
			}
			require.InDelta(t, want, s.c.Rate(), float64(want)/50)
			s.step("it opens again when reports stop again")
			s.wait(1500 * ms)
			require.Equal(t, uint64(2), s.c.Stats.Breaker)
		})
	}
}

// A side that only receives asks each max(100 ms, RTT) whether the peer is still there, however high its rate would be.
func TestBreakerOfAReceiver(t *testing.T) {
	s := newScript(t, func(c *Config) { c.Rates = Rates{Policy: Fixed, Target: 100e6} })
	_, err := s.data(0, 0, 1000, false)
	require.NoError(t, err)
	s.c.Ping()
	s.wait(3 * time.Second)
	require.Equal(t, uint64(1), s.c.Stats.Breaker)
	s.take()
	s.wait(10 * time.Second)
	pings := slices.DeleteFunc(s.take(), func(p Packet) bool { return p.Frames[0] != wire.FramePing })
	require.InDelta(t, 100, len(pings), 10)
}

// A round trip of seconds is no silence.
func TestBreakerLongRTT(t *testing.T) {
	s := sending(t, func(c *Config) { c.InitialRTT = 2 * time.Second })
	s.wait(5900 * ms)
	require.Zero(t, s.c.Stats.Breaker)
	s.wait(200 * ms)
	require.Equal(t, uint64(1), s.c.Stats.Breaker)
}

// Idle time is no silence either: the breaker counts from the first packet that waits for a report.
func TestBreakerAfterIdle(t *testing.T) {
	s := newScript(t, func(c *Config) { c.PeerCredit = 1 << 40 })
	s.c.AddBlock(s.now, 5000, 0, nil)
	s.wait(100 * ms)
	require.NoError(t, s.report(s.highest(), all))
	s.wait(950 * ms) // any longer, and the silence is asked about
	s.c.AddBlock(s.now, 500_000, 0, nil)
	s.wait(900 * ms)
	require.Zero(t, s.c.Stats.Breaker)
	require.Greater(t, s.c.Stats.DataOut, uint64(500))
}

// The breaker's probes must find out that only small packets pass.
func TestBreakerMTU(t *testing.T) {
	s := sending(t, nil)
	start, told := s.now, uint64(0)
	var err error
	for err == nil && s.now < start+50*time.Second {
		s.wait(50 * ms)
		small := uint64(0)
		for pn, p := range s.sent {
			if !p.Data && len(p.Frames) < 1000 {
				small = max(small, pn)
			}
		}
		if small > told {
			told = small
			require.NoError(t, s.report(small, func(pn uint64) bool { return !s.sent[pn].Data && len(s.sent[pn].Frames) < 1000 }))
		}
		err = s.c.Check(s.now)
	}
	require.ErrorIs(t, err, ErrMTU)
	require.Less(t, s.now-start, 6*time.Second, "a user does not wait for long")
}

func TestIdleTimeout(t *testing.T) {
	s := newScript(t, func(c *Config) { c.Idle = 10 * time.Second })
	s.step("a side with nothing to say sends PING each third of the time-out, and the peer's packets keep it alive")
	for range 10 {
		s.wait(3400 * ms)
		pings := 0
		for _, p := range s.take() {
			require.False(t, p.Data)
			if p.Frames[0] == wire.FramePing {
				pings++
			}
		}
		require.NotZero(t, pings)
		require.NoError(t, s.frames([]byte{wire.FramePadding}))
		require.NoError(t, s.report(s.highest(), all))
		require.NoError(t, s.c.Check(s.now))
	}
	s.step("silence")
	s.wait(10*time.Second - 1)
	require.NoError(t, s.c.Check(s.now))
	s.wait(1)
	require.ErrorIs(t, s.c.Check(s.now), ErrIdle)
	require.LessOrEqual(t, s.c.Deadline(s.now), s.now)
}

// Time stands still, as in a guest that is paused, then jumps: nothing is caught up for, nothing breaks.
func TestClockJump(t *testing.T) {
	s := sending(t, func(c *Config) { c.Idle = 10 * time.Minute })
	s.wait(100 * ms)
	require.NoError(t, s.report(s.highest(), all))
	s.take()
	s.step("many turns at the same moment")
	for range 1000 {
		s.send()
	}
	require.LessOrEqual(t, len(s.take()), 12)
	s.step("a jump of 60 s: a burst of the lag at most")
	s.now += time.Minute
	s.send()
	require.LessOrEqual(t, len(s.take()), 12)
	require.NoError(t, s.c.Check(s.now))
	s.step("the peer's report that waited meanwhile is read: all goes on")
	require.NoError(t, s.report(s.highest(), all))
	require.Equal(t, int64(8_496_000), s.c.Rate())
	s.wait(100 * ms)
	require.InDelta(t, 100, len(s.takeData()), 12)
	s.step("a step back, which a monotonic clock does not make")
	s.now -= 10 * time.Second
	s.send()
	require.NoError(t, s.report(s.highest(), all))
	s.now += 10 * time.Second
	s.wait(50 * ms)
	require.NoError(t, s.report(s.highest(), all))
	require.NotEmpty(t, s.takeData())
}

// Reports take their time of the rate, but of a low one not all: while the way there is cut much arrives, and when it is open again the
// session finds out at once.
func TestReportsDoNotHoldProbesBack(t *testing.T) {
	there := simnet.Impair{Rate: 100e6, Delay: 5 * ms}
	back := there
	there.Cuts = []simnet.Window{{From: 3 * time.Second, To: 6 * time.Second}}
	s := newSim(1, Config{Rates: Rates{Policy: Fixed, Target: 50_000_000}, Parity: true}, there, back)
	s.a.left, s.b.left = -1, -1
	s.a.SetRates(s.now, Rates{Policy: Fixed, Target: 2_000_000})
	require.NoError(t, s.run(6*time.Second, nil))
	require.NotZero(t, s.a.Stats.Breaker)
	before := s.a.Stats.BlocksOut
	require.NoError(t, s.run(9*time.Second, nil))
	require.Greater(t, s.a.Stats.BlocksOut, before+2)
}
