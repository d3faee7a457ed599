package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

// The sending half: no block is begun beyond the credit or the extent grant, however these arrive (section 7).
func TestCreditObeyed(t *testing.T) {
	s := newScript(t, func(c *Config) { c.PeerCredit, c.PeerExtents = 10_000, 2 })
	require.True(t, s.c.MayAdd(10_000, 0))
	require.False(t, s.c.MayAdd(10_001, 0))
	s.c.AddBlock(s.now, 9_000, 0, nil)
	s.step("a tiny block costs 1 KiB of credit")
	require.False(t, s.c.MayAdd(1, 0))
	s.step("extents are opened in order, up to the grant")
	require.True(t, newScript(t, nil).c.MayAdd(1, 0))

	credit := func(credit, extents uint64) {
		s.send()
		require.NoError(t, s.reportWith(s.highest(), none, func(r *wire.Report) { r.Credit, r.Extents, r.Spans = credit, extents, nil }))
	}
	credit(12_000, 2)
	require.True(t, s.c.MayAdd(3_000, 1))
	require.False(t, s.c.MayAdd(3_001, 1))
	require.False(t, s.c.MayAdd(1, 2))
	s.step("neither shrinks")
	credit(5, 0)
	require.True(t, s.c.MayAdd(3_000, 1))
	credit(12_000, 3)
	require.True(t, s.c.MayAdd(1, 2))
	s.step("a peer that grants everything")
	credit(1<<63, 1<<63)
	require.True(t, s.c.MayAdd(1<<20, 1<<62))
}

// A sender that waits for credit asks for it, in case the report that gave it was lost.
func TestCreditAsked(t *testing.T) {
	s := newScript(t, func(c *Config) { c.PeerCredit = 2000 })
	s.c.AddBlock(s.now, 2000, 0, nil)
	s.wait(10 * ms)
	require.NoError(t, s.report(s.highest(), all))
	s.take()
	s.c.Blocked(true)
	s.c.Blocked(true)
	require.Equal(t, uint64(1), s.c.Stats.CreditWaits)
	for range 5 {
		s.wait(150 * ms)
		n := 0
		for _, p := range s.take() {
			if len(p.Frames) > 0 && p.Frames[0] == wire.FramePing {
				n++
			}
		}
		require.NotZero(t, n)
		require.NoError(t, s.report(s.highest(), all))
	}
}

func TestCreditEnforced(t *testing.T) {
	s := newScript(t, func(c *Config) { c.Window, c.WindowMax = 10_000, 0 })
	s.step("ten blocks of a symbol each use up the credit")
	for i := range uint32(9) {
		s.block(i, 1000, false)
	}
	s.step("duplicates cost nothing")
	r, err := s.data(3, 0, 1000, true)
	require.NoError(t, err)
	require.True(t, r.Duplicate)
	s.step("one too many")
	_, err = s.data(9, 0, 1000, false)
	s.wantProtocolError(err, "credit")

	s = newScript(t, func(c *Config) { c.Window, c.WindowMax = 10_000, 0 })
	s.step("a block is charged up to its highest symbol at once")
	_, err = s.data(0, 9, 1000, false)
	require.NoError(t, err)
	_, err = s.data(0, 10, 1000, false)
	s.wantProtocolError(err, "credit")

	s = newScript(t, func(c *Config) { c.Window, c.WindowMax = 10_000, 0 })
	s.step("what the layer above gives back may be sent again")
	for i := range uint32(1000) {
		s.block(i, 1000, true)
	}
	require.Equal(t, uint64(1000*minCharge+10_000), s.c.creditGiven)
}

// A peer that skips block numbers makes the receiver keep a slot for each: credit bounds how far it may go, also late in
// a session in which much credit has been given in all.
func TestCreditBoundsHoles(t *testing.T) {
	s := newScript(t, func(c *Config) { c.Window, c.WindowMax = 1<<20, 1<<20 })
	_, err := s.data(1<<20/minCharge+1, 0, 1000, true)
	s.wantProtocolError(err, "credit")

	s = newScript(t, func(c *Config) { c.Window, c.WindowMax = 1<<20, 1<<20 })
	s.step("after 100 MB, all given back, the peer has 1 MiB of credit")
	for i := range uint32(100) {
		s.block(i, 1_000_000, true)
	}
	_, err = s.data(100+1<<20/minCharge+1, 0, 1000, true)
	s.wantProtocolError(err, "credit")
	require.LessOrEqual(t, len(s.c.in), 2000)

	s = newScript(t, func(c *Config) { c.Window, c.WindowMax = 1<<20, 1<<20 })
	s.step("an honest peer whose oldest block is stuck may go on with the credit it gets back")
	for i := uint32(1); i < 5000; i++ {
		s.block(i, 1000, true)
	}
	s.block(0, 1000, true)
	require.Equal(t, uint32(5000), s.c.inBase)
}

func TestSymbolsDisagree(t *testing.T) {
	type sym struct {
		sym, n int
		last   bool
	}
	for name, steps := range map[string][]sym{
		"too long":                    {{0, 1001, true}},
		"too short, not the last":     {{0, 999, false}},
		"empty":                       {{0, 0, true}},
		"beyond 1 MiB":                {{1048, 1000, false}},
		"last ends beyond 1 MiB":      {{1048, 577, true}},
		"symbol number out of range":  {{65535, 1000, false}},
		"two ends":                    {{3, 1000, true}, {5, 1000, true}},
		"end before what was there":   {{5, 1000, false}, {3, 500, true}},
		"symbol behind the end":       {{3, 1000, true}, {4, 1000, false}},
		"full symbol behind the end":  {{3, 7, true}, {4, 1000, false}},
		"another end before the last": {{3, 1000, true}, {2, 1000, true}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, func(c *Config) { c.Window = 8 << 20 })
			for i, x := range steps {
				_, err := s.data(0, x.sym, x.n, x.last)
				if i < len(steps)-1 {
					require.NoError(t, err)
				} else {
					s.wantProtocolError(err, "")
				}
			}
		})
	}
	t.Run("reserved size class", func(t *testing.T) {
		s := newScript(t, nil)
		_, err := s.c.OnData(s.now, 0, &wire.Short{Data: true, Class: 1}, 1000)
		s.wantProtocolError(err, "class")
	})
	t.Run("largest block", func(t *testing.T) {
		s := newScript(t, func(c *Config) { c.Window, c.Symbol = 8<<20, wire.MinDatagram-wire.DataOverhead })
		s.block(0, 1<<20, true)
	})
}

// A packet number that has been seen changes nothing, whatever it carries now.
func TestReplayedNumbers(t *testing.T) {
	s := newScript(t, nil)
	s.block(0, 3000, true)
	before := s.c.Stats
	for pn := range uint64(3) {
		r, err := s.dataAt(pn, 7, 0, 5000, true)
		require.NoError(t, err)
		require.True(t, r.Duplicate)
		require.NoError(t, s.c.OnFrames(s.now, pn, 0, []byte{0x3f}, 50, nil))
	}
	require.Equal(t, before.Dropped+6, s.c.Stats.Dropped)
	require.Equal(t, before.PacketsIn, s.c.Stats.PacketsIn)
	require.Nil(t, s.c.Lookup(7))
}

// The window follows what the network holds in blocks that are half there, not what storage is slow to take.
func TestWindowGrows(t *testing.T) {
	s := newScript(t, func(c *Config) { c.Window, c.WindowMax = 1<<20, 8<<20 })
	s.step("whole blocks that nobody takes give nothing")
	for i := range uint32(10) {
		s.block(i, 100_000, false)
	}
	require.LessOrEqual(t, s.c.creditGiven, uint64(1<<20+2*100_000))

	s = newScript(t, func(c *Config) { c.Window, c.WindowMax = 1<<20, 8<<20 })
	s.step("blocks half there, as at high loss, make room for more")
	for i := range uint32(10) {
		_, err := s.data(i, 49, 1000, false)
		require.NoError(t, err)
	}
	require.Greater(t, s.c.creditGiven, uint64(1<<20))
	require.LessOrEqual(t, s.c.creditGiven-s.c.inHeld, uint64(2<<20), "what may still come is bounded by what is there")
	s.step("up to WindowMax")
	for i := uint32(10); ; i++ {
		if _, err := s.data(i, 99, 1000, false); err != nil {
			s.wantProtocolError(err, "credit")
			break
		}
	}
	require.Equal(t, uint64(8<<20), s.c.creditGiven)
	require.LessOrEqual(t, s.c.inHeld, uint64(8<<20)+100_000)
}

// The grant is obeyed from the moment it is known: within one round trip.
func TestGrant(t *testing.T) {
	s := newScript(t, func(c *Config) { c.PeerCredit, c.PeerGrant = 1<<40, 4_000_000 })
	for range 50 {
		s.c.AddBlock(s.now, 1<<20, 0, nil)
	}
	rate := func() float64 {
		s.take()
		b0 := s.c.Stats.BytesOut
		s.wait(500 * ms)
		return float64(s.c.Stats.BytesOut-b0) * 16
	}
	grant := func(g uint64) {
		require.NoError(t, s.reportWith(s.highest(), func(pn uint64) bool { _, ok := s.sent[pn]; return ok }, func(r *wire.Report) { r.Grant = g }))
	}
	s.send()
	require.InDelta(t, 4e6, rate(), 1e5, "the initial grant")
	grant(1_000_000)
	require.InDelta(t, 1e6, rate(), 5e4, "lower, at once")
	grant(2_000_000)
	require.InDelta(t, 2e6, rate(), 5e4)
	s.step("an older report does not bring an older grant back")
	s.reportNo -= 2
	grant(4_000_000)
	s.reportNo += 2
	require.InDelta(t, 2e6, rate(), 5e4)
	grant(0)
	require.InDelta(t, 8.496e6, rate(), 1e5, "none: the target")
}

// SetGrant, SetWindow and SetExtents reach the peer with the next report.
func TestGrantsTold(t *testing.T) {
	s := newScript(t, nil)
	s.block(0, 1000, true)
	s.wait(100 * ms)
	s.take()
	s.c.SetGrant(5_000_000)
	s.c.SetWindow(3<<20, 0)
	s.c.SetExtents(1 << 41)
	s.wait(300 * ms)
	r := s.takeReports()
	require.NotEmpty(t, r)
	last := r[len(r)-1]
	require.Equal(t, uint64(5_000_000), last.Grant)
	require.Equal(t, uint64(3<<20+minCharge), last.Credit)
	require.Equal(t, uint64(1<<41), last.Extents)
	s.step("lower windows and extents are not possible")
	s.c.SetWindow(1, 0)
	s.c.SetExtents(1)
	require.Equal(t, int64(3<<20), s.c.Window())
	require.Equal(t, uint64(1<<41), s.c.extentsGiven)
}

// A path that holds more than the window, and loses nothing, is filled all the same, as long as what arrives is taken.
func TestWindowFollowsPath(t *testing.T) {
	const rate = 100e6
	link := simnet.Impair{Rate: rate, Queue: 100 * ms, Delay: 500 * ms}
	s := newSim(1, Config{Rates: Rates{Policy: Fixed, Target: rate}, MaxLag: 10 * ms, Window: 8 << 20, WindowMax: 64 << 20}, link, link)
	s.a.left = -1
	require.NoError(t, s.run(11*time.Second, nil))
	got := s.b.Stats.SymbolBytes
	require.NoError(t, s.run(16*time.Second, nil))
	share := float64(s.b.Stats.SymbolBytes-got) * 8 / 5 / (rate * 1440 / 1500)
	require.GreaterOrEqual(t, share, 0.97)
}
