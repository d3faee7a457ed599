package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/rate"
	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// sending is a script with plenty to send, a packet each millisecond.
func sending(t *testing.T, edit func(*Config)) *script {
	t.Helper()
	s := newScript(t, func(c *Config) {
		c.PeerCredit = 1 << 40
		if edit != nil {
			edit(c)
		}
	})
	for range 20 {
		s.c.AddBlock(s.now, 500_000, 0, nil)
	}
	return s
}

// pns returns the numbers of the data packets sent since the last call.
func (s *script) pns() []uint64 {
	var out []uint64
	for _, p := range s.takeData() {
		out = append(out, p.PN)
	}
	return out
}

// carried is what a data packet held.
type carried struct {
	block uint32
	sym   uint16
}

func (s *script) carried(pn uint64) carried {
	return carried{s.sent[pn].Block.ID, s.sent[pn].Symbol}
}

// A packet is lost when one three numbers later, and as much later as the allowance says, has arrived: not before (section 8.2).
func TestLossByGap(t *testing.T) {
	s := sending(t, nil)
	s.wait(50 * ms)
	pn := s.pns()
	hole := pn[10]
	s.step("the two packets behind the hole arrive: nothing is lost yet")
	got := func(n uint64) bool { return n != hole }
	require.NoError(t, s.report(pn[12], got))
	require.Zero(t, s.c.Stats.Lost)
	s.step("the third")
	require.NoError(t, s.report(pn[13], got))
	require.Equal(t, uint64(1), s.c.Stats.Lost)
	s.step("it goes again first of all, under a new number")
	s.wait(2 * ms)
	again := s.pns()
	require.Equal(t, s.carried(hole), s.carried(again[0]))
	require.NotEqual(t, hole, again[0])
	require.Equal(t, uint64(1), s.c.Stats.Resent)
	s.step("said to be missing again and again, it is lost once")
	for range 10 {
		require.NoError(t, s.report(pn[40], got))
	}
	require.Equal(t, uint64(1), s.c.Stats.Lost)
	s.step("the new copy is judged by its own number")
	s.wait(50 * ms)
	s.pns()
	require.NoError(t, s.report(s.highest(), func(n uint64) bool { return n != hole && n != again[0] }))
	require.Equal(t, uint64(2), s.c.Stats.Lost)
	s.wait(2 * ms)
	require.Equal(t, s.carried(hole), s.carried(s.pns()[0]))
}

// What no report speaks of is in flight for as long as it takes: there is no timer (until the breaker).
func TestNoTimer(t *testing.T) {
	s := sending(t, nil)
	s.wait(50 * ms)
	pn := s.pns()
	require.NoError(t, s.reportWith(pn[40], all, func(r *wire.Report) {
		r.Spans = []wire.Span{{Low: pn[40], Len: 1}} // the rest is not spoken of
	}))
	s.wait(900 * ms)
	require.Zero(t, s.c.Stats.Lost)
	require.Zero(t, s.c.Stats.Resent)
	s.step("a report that was under way tells")
	require.NoError(t, s.report(pn[40], func(n uint64) bool { return n != pn[3] }))
	require.Equal(t, uint64(1), s.c.Stats.Lost)
}

// Reports arrive out of order: an older one must not call missing what a newer one called received, nor judge what it could not know.
func TestOldReport(t *testing.T) {
	s := sending(t, nil)
	s.wait(50 * ms)
	pn := s.pns()
	s.reportNo = 1
	require.NoError(t, s.report(pn[30], all))
	s.step("report 1 comes after report 2, and packet 20 had not arrived when it was made")
	s.reportNo = 0
	require.NoError(t, s.report(pn[25], func(n uint64) bool { return n != pn[20] }))
	require.Zero(t, s.c.Stats.Lost)
	s.step("it may still say that something arrived")
	s.reportNo = 3
	require.NoError(t, s.report(pn[40], func(n uint64) bool { return n != pn[35] }))
	require.Equal(t, uint64(1), s.c.Stats.Lost)
	s.reportNo = 2
	require.NoError(t, s.report(pn[40], all))
	require.Equal(t, uint64(1), s.c.Stats.Spurious)
}

// A packet declared lost that arrives after all makes the allowance grow to its lateness, and the sender does not send it again if it
// can still help it.
func TestLateArrival(t *testing.T) {
	s := sending(t, nil)
	s.wait(60 * ms)
	pn := s.pns()
	late := pn[10]
	require.NoError(t, s.report(pn[30], func(n uint64) bool { return n != late }))
	require.Equal(t, uint64(1), s.c.Stats.Lost)
	s.step("it arrives, 20 packets late, before its copy has been sent")
	require.NoError(t, s.report(pn[31], all))
	require.Equal(t, uint64(1), s.c.Stats.Spurious)
	s.wait(10 * ms)
	require.Zero(t, s.c.Stats.Resent)
	s.step("from now on as much lateness is no loss")
	require.Greater(t, s.c.reorder, 20*ms)
	more := s.pns()
	s.wait(40 * ms)
	more = append(more, s.pns()...)
	require.NoError(t, s.report(more[20], func(n uint64) bool { return n != more[1] }))
	require.Equal(t, uint64(1), s.c.Stats.Lost, "19 ms late")
	require.NoError(t, s.report(more[40], func(n uint64) bool { return n != more[1] }))
	require.Equal(t, uint64(2), s.c.Stats.Lost, "39 ms late")
	s.step("a symbol acknowledged twice settles once")
	require.NoError(t, s.report(s.highest(), all))
	require.NoError(t, s.report(s.highest(), all))
	require.LessOrEqual(t, s.c.reorder, max(s.c.RTT(), 50*ms), "the allowance has a bound")
}

// A receiver that claims to have what was never sent is caught (section 8.4).
func TestLyingReceiver(t *testing.T) {
	skipped := func(s *script) uint64 {
		for pn := range s.c.led.next {
			if _, ok := s.sent[pn]; !ok {
				return pn
			}
		}
		t.Fatal("no number was left out")
		return 0
	}
	t.Run("never sent", func(t *testing.T) {
		s := sending(t, nil)
		s.wait(10 * ms)
		s.wantProtocolError(s.reportWith(s.c.led.next, all, nil), "never sent")
	})
	t.Run("everything", func(t *testing.T) {
		s := sending(t, nil)
		s.wait(300 * ms)
		skipped(s)
		s.wantProtocolError(s.reportWith(s.highest(), all, nil), "left out")
	})
	t.Run("just the number that was left out", func(t *testing.T) {
		s := sending(t, nil)
		s.wait(300 * ms)
		k := skipped(s)
		s.wantProtocolError(s.reportWith(s.highest(), func(n uint64) bool { return n == k }, nil), "left out")
	})
	t.Run("as the highest received", func(t *testing.T) {
		s := sending(t, nil)
		s.wait(300 * ms)
		s.wantProtocolError(s.reportWith(skipped(s), none, func(r *wire.Report) { r.Spans = nil }), "left out")
	})
	t.Run("the truth", func(t *testing.T) {
		s := sending(t, nil)
		s.wait(300 * ms)
		require.NoError(t, s.report(s.highest(), all))
		require.NoError(t, s.report(s.highest(), func(n uint64) bool { return n%3 == 0 }))
	})
}

// How long a receiver that acknowledges everything stays undetected: the first few hundred packets, however the numbers fall.
func TestLyingReceiverCaughtSoon(t *testing.T) {
	worst := uint64(0)
	for seed := range uint64(50) {
		s := sending(t, func(c *Config) { c.Seed = seed })
		var err error
		for err == nil {
			s.wait(20 * ms)
			require.Less(t, s.highest(), uint64(1000), "seed %d", seed)
			err = s.reportWith(s.highest(), all, nil)
		}
		worst = max(worst, s.highest())
	}
	t.Logf("caught after %d packets at the latest", worst)
	s := sending(t, nil)
	s.wait(9 * time.Second)
	n := s.c.led.next - uint64(len(s.sent))
	require.InDelta(t, 10, n, 8, "about one number in 1,000 is left out later on, more at first: %d of %d", n, s.c.led.next)
}

// With nothing new to send, unsettled symbols are repeated while the link would idle, within the bound of section 8.3.
func TestTailCopies(t *testing.T) {
	for _, c := range []struct {
		symbols int
		policy  Policy
		most    int // copies an RTT
	}{{1, Fixed, 3}, {20, Fixed, 4}, {80, Fixed, 4}, {20, Low, 1}} {
		s := newScript(t, func(k *Config) { k.Rates = Rates{Policy: c.policy, Target: 80_000_000, Min: 80_000_000} })
		s.step("%d symbols, policy %d", c.symbols, c.policy)
		s.c.AddBlock(s.now, c.symbols*1000, 0, nil)
		s.c.Flush()
		s.wait(100 * ms) // the round trip, as the handshake knows it
		require.LessOrEqual(t, s.c.Stats.DataOut, uint64(c.symbols*(c.most+1)+1))
		require.GreaterOrEqual(t, s.c.Stats.DataOut, uint64(c.symbols*2))
		s.step("and stop when they are settled")
		require.NoError(t, s.report(s.highest(), all))
		require.Len(t, s.c.Settled, 1)
		before := s.c.Stats.DataOut
		s.wait(time.Second)
		require.Equal(t, before, s.c.Stats.DataOut)
	}
	t.Run("not while there is new data", func(t *testing.T) {
		s := sending(t, nil)
		s.wait(500 * ms)
		require.Zero(t, s.c.Stats.Tail)
	})
	t.Run("not for a source that stalls for a moment", func(t *testing.T) {
		s := newScript(t, nil)
		s.c.AddBlock(s.now, 1000, 0, nil)
		s.wait(2 * ms)
		require.Zero(t, s.c.Stats.Tail)
		s.wait(100 * ms)
		require.NotZero(t, s.c.Stats.Tail)
	})
}

// samples notes what the law is told.
type samples struct {
	law
	limited []bool
}

func (k *samples) OnSample(s *rate.Sample) {
	k.limited = append(k.limited, s.Limited)
	k.law.OnSample(s)
}

// When everything was sent once and much has to be repeated, the rate is used, and the law learns from it as ever.
func TestRepetitionsUseTheRate(t *testing.T) {
	s := newScript(t, func(c *Config) { c.PeerCredit = 1 << 40 })
	for range 2 {
		s.c.AddBlock(s.now, 450_000, 0, nil)
	}
	told := &samples{law: s.c.law}
	s.c.law = told
	s.wait(890 * ms)
	few := s.highest()
	s.wait(50 * ms)
	require.True(t, s.c.out.nextNew() == nil)
	s.step("a third of it is lost")
	require.NoError(t, s.report(few, func(pn uint64) bool { return pn%3 != 0 }))
	s.wait(20 * ms)
	require.NoError(t, s.report(s.highest(), func(pn uint64) bool { return pn > few || pn%3 != 0 }))
	require.False(t, told.limited[len(told.limited)-1])
	s.step("and comes, but for the last round trip of it")
	for s.c.out.nLost > 50 {
		s.wait(20 * ms)
		require.NoError(t, s.report(s.highest(), func(pn uint64) bool { return pn > few || pn%3 != 0 }))
	}
	require.True(t, told.limited[len(told.limited)-1])
}
