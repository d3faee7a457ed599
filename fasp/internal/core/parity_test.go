package core

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

func TestGroups(t *testing.T) {
	for k := 1; k <= maxSymbols; k++ {
		sum := 0
		for g := range Groups(k) {
			n := GroupSize(k, g)
			require.LessOrEqual(t, n, GroupMax)
			require.GreaterOrEqual(t, n, 1)
			sum += n
			// The highest parity number of the group.
			require.Less(t, (GroupRows-n-1)*Groups(k)+g, maxParity)
		}
		require.Equal(t, k, sum)
	}
	require.Equal(t, []int{1, 1, 2, 2, 11}, []int{Groups(1), Groups(96), Groups(97), Groups(192), Groups(1024)})
}

// exactTail is the chance of more than s losses among n, by going through the packets one by one.
func exactTail(n, s int, p float64) float64 {
	d := []float64{1}
	for range n {
		e := make([]float64, len(d)+1)
		for i, v := range d {
			e[i] += v * (1 - p)
			e[i+1] += v * p
		}
		d = e
	}
	sum := 0.0
	for i := len(d) - 1; i > s; i-- {
		sum += d[i]
	}
	return sum
}

func TestTooMany(t *testing.T) {
	for _, n := range []int{1, 2, 8, 75, 96, 200, 256} {
		for _, p := range []float64{0.0001, 0.01, 0.1, 0.3, 0.6, 0.9} {
			for s := -1; s <= n; s++ {
				want := 1.0
				if s >= 0 {
					want = exactTail(n, s, p)
				}
				require.InDelta(t, want, tooMany(n, s, p, 1), 1e-9+want*1e-6, "n %d, s %d, p %v", n, s, p)
			}
		}
	}
	t.Log("runs of four weigh like a quarter as many packets")
	require.Equal(t, tooMany(25, 2, 0.01, 1), tooMany(100, 11, 0.01, 4))
}

// How much parity a group in flight gets, for 99.9 %.
func TestParityNeed(t *testing.T) {
	for _, c := range []struct {
		k    int
		p    float64
		want int
	}{
		{75, 0.01, 5}, {75, 0.1, 19}, {75, 0.3, 55}, {8, 0.01, 2}, {8, 0.1, 5}, {8, 0.3, 12}, {1, 0.01, 1}, {1, 0.3, 5},
	} {
		var n needTable
		n.set(c.p, tailFailure)
		x := n.more(c.k, 0, 1)
		t.Logf("k %d, p %v: %d, %.0f %%", c.k, c.p, x, 100*float64(x)/float64(c.k))
		require.InDelta(t, c.want, x, 1+float64(c.want)/10)
		require.Less(t, exactTail(c.k+x, x, c.p), tailFailure)
		require.Zero(t, n.more(c.k+x, x, 1), "what is in flight counts")
		require.GreaterOrEqual(t, n.more(c.k, 0, 3), x, "runs want more")
	}
}

// What has been seen of the path bounds the loss to expect.
func TestLossRange(t *testing.T) {
	for _, c := range []struct{ acked, lost, point, low, high float64 }{
		{0, 0, 0.01, 0.3, 0.3}, {75, 0, 0.01, 0.03, 0.06}, {68, 7, 0.093, 0.14, 0.2}, {3000, 0, 0.0001, 0.0005, 0.002}, {700, 300, 0.3, 0.3, 0.34}, {0, 50, 0.9, 0.9, 0.9},
	} {
		s := newScript(t, nil)
		s.c.lossAcked, s.c.lossLost = c.acked, c.lost
		point, upper := s.c.lossRange()
		require.InDelta(t, c.point, point, 0.001)
		require.GreaterOrEqual(t, upper, c.low, "%+v", c)
		require.LessOrEqual(t, upper, c.high, "%+v", c)
	}
}

func withParity(c *Config) { c.Parity = true }

// parityAt makes a parity packet arrive.
func (s *script) parityAt(block uint32, j, n int) (DataResult, error) {
	pn := s.pn
	s.pn++
	return s.c.OnData(s.now, pn, &wire.Short{Data: true, Class: wire.ClassParity, Block: block, Symbol: uint16(j), Echo: s.echo}, n)
}

// size makes a BLOCK_SIZE frame arrive.
func (s *script) size(block uint32, size int) error {
	return s.frame(&wire.Frame{Type: wire.FrameBlockSize, Data: wire.AppendBlockSize(nil, block, size)})
}

func (s *script) received(pn uint64) bool { return s.c.seen.has(pn) }

// The receiver never says that it has a parity packet that it did not keep (section 8.3).
func TestParityKeptOrNotReported(t *testing.T) {
	s := newScript(t, func(c *Config) { c.Parity, c.Window, c.WindowMax = true, 40_000, 40_000 })
	s.step("parity of a block whose length is not known, or of which nothing has come, is dropped")
	_, err := s.data(0, 0, 1000, false)
	require.NoError(t, err)
	for _, block := range []uint32{0, 5} {
		r, err := s.parityAt(block, 0, 1000)
		require.NoError(t, err)
		require.True(t, r.Duplicate)
		require.False(t, s.received(s.pn-1))
	}
	require.Equal(t, uint64(2), s.c.Stats.ParityDropped)
	s.step("with the length it is kept")
	require.NoError(t, s.size(0, 10_000))
	require.NoError(t, s.size(0, 10_000))
	for j := range 3 {
		r, err := s.parityAt(0, j, 1000)
		require.NoError(t, err)
		require.True(t, r.Parity)
		require.True(t, s.received(s.pn-1))
	}
	s.step("the same again is known")
	r, err := s.parityAt(0, 1, 1000)
	require.NoError(t, err)
	require.True(t, r.Duplicate)
	require.True(t, s.received(s.pn-1))
	s.step("six symbols are wanted still, and memory has an end: 10,000 bytes of parity")
	require.NoError(t, s.size(1, 20_000))
	for j := range 7 {
		r, err = s.parityAt(1, j, 1000)
		require.NoError(t, err)
		require.True(t, r.Parity)
	}
	r, err = s.parityAt(1, 7, 1000)
	require.NoError(t, err)
	require.True(t, r.Duplicate)
	require.False(t, s.received(s.pn-1))
	s.step("data goes on, and completes the block")
	for sym := 1; sym < 7; sym++ {
		r, err = s.data(0, sym, 1000, false)
		require.NoError(t, err)
	}
	require.True(t, r.Whole)
	require.True(t, r.Decode)
	require.False(t, r.Block.Has(9))
	s.step("and there is room again; for a block that is whole nothing is kept, and all is reported")
	r, err = s.parityAt(1, 7, 1000)
	require.NoError(t, err)
	require.True(t, r.Parity)
	r, err = s.parityAt(0, 200, 1000)
	require.NoError(t, err)
	require.True(t, r.Duplicate)
	require.True(t, s.received(s.pn-1))
	require.Equal(t, int64(8000), s.c.parityHeld)
	require.Equal(t, uint64(3), s.c.Stats.ParityUsed)
}

func TestParityMalformed(t *testing.T) {
	begin := func(s *script) {
		_, err := s.data(0, 0, 1000, false)
		require.NoError(t, err)
		require.NoError(t, s.size(0, 2500))
	}
	for name, offend := range map[string]func(s *script) error{
		"short":           func(s *script) error { _, err := s.parityAt(0, 0, 999); return err },
		"long":            func(s *script) error { _, err := s.parityAt(0, 0, 1001); return err },
		"number":          func(s *script) error { _, err := s.parityAt(0, 253, 1000); return err },
		"number anywhere": func(s *script) error { _, err := s.parityAt(9, maxParity, 1000); return err },
		"last": func(s *script) error {
			_, err := s.c.OnData(s.now, 99, &wire.Short{Data: true, Class: wire.ClassParity, Last: true}, 1000)
			return err
		},
		"beyond the credit": func(s *script) error { _, err := s.parityAt(1<<20/minCharge+1, 0, 1000); return err },
		"far ahead":         func(s *script) error { _, err := s.parityAt(maxAhead+5, 0, 1000); return err },
		"sizes disagree":    func(s *script) error { return s.size(0, 2400) },
		"size below what is there": func(s *script) error {
			_, err := s.data(1, 4, 1000, false)
			require.NoError(t, err)
			return s.size(1, 4500)
		},
		"size beyond the credit": func(s *script) error {
			for i := range uint32(9) {
				if err := s.size(1+i, 1<<20); err != nil {
					return err
				}
			}
			return nil
		},
		"size of a far block":    func(s *script) error { return s.size(1<<19, 100) },
		"no size":                func(s *script) error { return s.size(1, 0) },
		"size beyond 1 MiB":      func(s *script) error { return s.size(1, 1<<20+1) },
		"cut":                    func(s *script) error { return s.frame(&wire.Frame{Type: wire.FrameBlockSize, Data: []byte{5}}) },
		"another end":            func(s *script) error { _, err := s.data(0, 2, 400, true); return err },
		"end too early":          func(s *script) error { _, err := s.data(0, 1, 1000, true); return err },
		"no end where it is due": func(s *script) error { _, err := s.data(0, 2, 1000, false); return err },
		"class 1": func(s *script) error {
			_, err := s.c.OnData(s.now, 99, &wire.Short{Data: true, Class: 1}, 1000)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, withParity)
			begin(s)
			s.wantProtocolError(offend(s), "")
		})
	}
	t.Run("not agreed on", func(t *testing.T) {
		s := newScript(t, nil)
		require.NoError(t, s.size(0, 0), "an extension that is not known")
		_, err := s.parityAt(0, 0, 1000)
		s.wantProtocolError(err, "class")
	})
	t.Run("the right end", func(t *testing.T) {
		s := newScript(t, withParity)
		begin(s)
		_, err := s.data(0, 2, 500, true)
		require.NoError(t, err)
		r, err := s.data(0, 1, 1000, false)
		require.NoError(t, err)
		require.True(t, r.Whole)
		require.False(t, r.Decode)
	})
}

// Whatever arrives, in whatever order and how often: once the sender takes a block for settled the receiver has it, and what the
// receiver can compute it says so about at once.
func TestParitySettlesOnlyWhatIsThere(t *testing.T) {
	runs := 300
	if testing.Short() {
		runs = 50
	}
	for seed := range uint64(runs) {
		rng := rand.New(rand.NewPCG(seed, 7))
		s := newScript(t, func(c *Config) {
			c.Parity, c.Seed, c.PeerCredit = true, seed, 1<<40
			c.Rates.Target = 1e9
		})
		// Now and then the receiver has little room for parity.
		window := int64(32 << 20)
		if seed%3 == 0 {
			window = 100_000
		}
		peer := New(Config{Now: s.now, Seed: seed, Symbol: 1000, IPOverhead: 28, InitialRTT: 100 * ms, Idle: 1e12, Window: window, WindowMax: 64 << 20, Extents: 1, PeerCredit: 1, PeerExtents: 1, Rates: Rates{Policy: Fixed, Target: 1e9}, Parity: true})
		sizes := map[uint32]int{}
		total := int64(0)
		for range 1 + rng.IntN(4) {
			n := 1 + rng.IntN([]int{3000, 90_000, 400_000}[rng.IntN(3)])
			if total += int64(n); total > window {
				break
			}
			b := s.c.AddBlock(s.now, n, 0, nil)
			sizes[b.ID] = n
		}
		s.c.Flush()
		loss := []float64{0, 0.02, 0.1, 0.3, 0.6}[rng.IntN(5)]
		whole := map[uint32]bool{}
		deliver := func(p Packet) {
			if peer.seen.has(p.PN) {
				return
			}
			if !p.Data {
				for r, f := wire.NewReader(p.Frames), new(wire.Frame); r.Len() > 0; {
					require.NoError(t, wire.ReadFrame(&r, f))
					if f.Type == wire.FrameBlockSize {
						named := map[uint32]bool{}
						require.NoError(t, wire.ReadBlockSizes(f.Data, func(id uint32, size int) error {
							require.False(t, named[id], "named twice in a frame")
							named[id] = true
							require.Equal(t, sizes[id], size)
							return nil
						}))
					}
				}
				require.NoError(t, peer.OnFrames(s.now, p.PN, 0, p.Frames, len(p.Frames), nil), "seed %d", seed)
				return
			}
			h := wire.Short{Data: true, Last: p.Last, Block: p.Block.ID, Symbol: p.Symbol}
			if p.Parity {
				h.Class = wire.ClassParity
			}
			r, err := peer.OnData(s.now, p.PN, &h, p.Len)
			require.NoError(t, err, "seed %d", seed)
			if r.Whole {
				require.Equal(t, sizes[h.Block], r.Block.Size, "seed %d", seed)
				whole[h.Block] = true
			}
		}
		var delayed []Packet
		rounds := 0
		for ; s.c.out.open > 0; rounds++ {
			require.Less(t, rounds, 400, "seed %d", seed)
			s.wait(30 * ms)
			arrive := append(s.take(), delayed...)
			delayed = delayed[:0]
			rng.Shuffle(len(arrive), func(i, j int) { arrive[i], arrive[j] = arrive[j], arrive[i] })
			for _, p := range arrive {
				switch v := rng.Float64(); {
				case v < loss:
				case v < loss+0.05:
					delayed = append(delayed, p)
				default:
					deliver(p)
					if v > 0.95 {
						deliver(p)
					}
				}
			}
			require.NoError(t, s.report(s.highest(), func(pn uint64) bool { return peer.seen.has(pn) }), "seed %d", seed)
			for _, b := range s.c.Settled {
				require.True(t, whole[b.ID], "seed %d: block %d of %d bytes settled and not there", seed, b.ID, b.Size)
			}
			for id := range whole {
				// The rule of the receiver is that of the sender: all that it had has been reported.
				require.Nil(t, s.c.out.get(id), "seed %d: block %d is there and not settled", seed, id)
			}
		}
		require.Zero(t, peer.parityHeld)
		require.Zero(t, s.c.out.nLost)
		require.LessOrEqual(t, peer.Stats.ParityUsed, peer.Stats.ParityIn)
	}
}

// What the tail sends for a small object right away, by what is known of the path.
func TestParityAmount(t *testing.T) {
	for _, c := range []struct {
		symbols     int
		acked, lost float64
		policy      Policy
		least, most uint64
	}{
		{75, 0, 0, Fixed, 50, 70},
		{75, 0, 0, Low, 4, 8},
		{75, 5000, 0, Fixed, 1, 1},
		{75, 4950, 50, Fixed, 5, 9},
		{75, 4500, 500, Fixed, 18, 26},
		{8, 4500, 500, Fixed, 5, 7},
		{900, 4950, 50, Fixed, 60, 110},
	} {
		s := newScript(t, func(k *Config) {
			k.Parity = true
			k.Rates = Rates{Policy: c.policy, Target: 1e9, Min: 1e9}
		})
		s.c.lossAcked, s.c.lossLost = c.acked, c.lost
		s.c.AddBlock(s.now, c.symbols*1000, 0, nil)
		s.c.Flush()
		s.wait(20 * ms)
		t.Logf("%+v: %d", c, s.c.Stats.ParityOut)
		require.GreaterOrEqual(t, s.c.Stats.ParityOut, c.least, "%+v", c)
		require.LessOrEqual(t, s.c.Stats.ParityOut, c.most, "%+v", c)
		require.LessOrEqual(t, s.c.Stats.Tail, uint64(6))
		parity, told := 0, 0
		for _, p := range s.take() {
			if p.Parity {
				parity++
				require.NotZero(t, told, "BLOCK_SIZE goes ahead")
			} else if !p.Data {
				told++
			}
		}
		require.LessOrEqual(t, told, 8)
		s.step("it is settled by any %d symbols", c.symbols)
		drop := uint64(parity / max(1, Groups(c.symbols)) / 2)
		dropped := map[uint64]bool{}
		for pn, p := range s.sent {
			if p.Data && !p.Parity && uint64(len(dropped)) < drop {
				dropped[pn] = true
			}
		}
		require.NoError(t, s.report(s.highest(), func(pn uint64) bool { return !dropped[pn] }))
		require.Len(t, s.c.Settled, 1)
	}
}

// Below 2 ms the tail is repeated as without parity.
func TestNoParityOnShortPaths(t *testing.T) {
	s := newScript(t, func(c *Config) { c.Parity, c.InitialRTT = true, ms })
	s.c.AddBlock(s.now, 20_000, 0, nil)
	s.c.Flush()
	s.wait(100 * ms)
	require.Zero(t, s.c.Stats.ParityOut)
	require.NotZero(t, s.c.Stats.Tail)
}

// When what parity was to make up for exceeds it, the lost symbols themselves go again, just as many as are needed, and first of all.
func TestParityShort(t *testing.T) {
	s := newScript(t, func(c *Config) {
		c.Parity = true
		c.Rates.Target = 1e9
	})
	s.c.lossAcked, s.c.lossLost = 4950, 50
	s.c.AddBlock(s.now, 50_000, 0, nil)
	s.c.Flush()
	s.wait(30 * ms) // until the newest three have gone again, behind the rest
	var parity int
	for _, p := range s.takeData() {
		if p.Parity {
			parity++
		}
	}
	s.step("%d parity symbols arrive, and four more data symbols than that are lost", parity)
	dropped := map[uint64]bool{}
	for pn, p := range s.sent {
		if p.Data && !p.Parity && p.Symbol >= 10 && p.Symbol < 40 && len(dropped) < parity+4 {
			dropped[pn] = true
		}
	}
	require.NoError(t, s.report(s.highest(), func(pn uint64) bool { return !dropped[pn] }))
	require.Equal(t, uint64(parity+4), s.c.Stats.Lost, "no copy hides a loss")
	require.Equal(t, 4, s.c.out.nLost)
	s.wait(2 * ms)
	again := s.takeData()
	for _, p := range again[:4] {
		require.False(t, p.Parity, fmt.Sprint(p.Symbol))
		require.GreaterOrEqual(t, p.Symbol, uint16(10))
	}
	require.Greater(t, len(again), 4, "and what may be lost of these is made up for")
}

// A group that has few rows left may stand in both parts of a plan for all of them.
func TestRowsAreNotExceeded(t *testing.T) {
	s := sized(t, func(c *Config) { c.PeerCredit = 1 << 60 })
	s.c.lossAcked, s.c.lossLost = 100, 30
	b := s.c.AddBlock(s.now, 45*p0, 0, nil)
	s.c.Flush()
	for b.next < b.symbols {
		s.wait(ms)
	}
	s.take()
	s.c.planParity()
	rows := GroupRows - b.symbols
	b.parity.groups[0].sent = rows - 3
	s.c.plan.wants, s.c.plan.more = []parityWant{{b, 0, 3}, {b, 0, 3}}, true
	s.wait(50 * ms)
	sent := 0
	for _, p := range s.takeData() {
		if p.Parity {
			sent++
			require.Less(t, p.Row, rows)
		}
	}
	require.Equal(t, 3, sent)
}
