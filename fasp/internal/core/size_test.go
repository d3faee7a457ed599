package core

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

const (
	p0       = 1472 - wire.DataOverhead
	pLargest = 8972 - wire.DataOverhead
	pSmall   = 1200 - wire.DataOverhead
	p1952    = 1952 - wire.DataOverhead
)

// sized starts a script with all size classes.
func sized(t *testing.T, edit func(*Config)) *script {
	return newScript(t, func(c *Config) {
		c.Symbol, c.Largest, c.Parity = p0, pLargest, true
		if edit != nil {
			edit(c)
		}
	})
}

// symbol makes a symbol of a class arrive.
func (s *script) symbol(class uint8, block uint32, sym, n int, last bool) (DataResult, error) {
	pn := s.pn
	s.pn++
	return s.c.OnData(s.now, pn, &wire.Short{Data: true, Class: class, Block: block, Symbol: uint16(sym), Last: last}, n)
}

// What fills a symbol of the new size stays, byte for byte.
func TestRecutSymbols(t *testing.T) {
	const seed = 7
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 100 {
		from, to := 1500+rng.IntN(8000), 1100+rng.IntN(400)
		size := 1 + rng.IntN(maxBlock)
		known := rng.IntN(2) == 0
		have := make([]bool, size)
		var s symSet
		for sym := 0; sym*from < size; sym++ {
			end := min(sym*from+from, size)
			if rng.IntN(3) == 0 || !known && end == size {
				continue
			}
			s.set(sym)
			for i := sym * from; i < end; i++ {
				have[i] = true
			}
		}
		told := 0
		if known {
			told = size
		}
		out, n := s.recut(from, to, told)
		for sym := 0; sym*to < size; sym++ {
			end := sym*to + to
			whole := end <= size || known
			for i := sym * to; i < min(end, size); i++ {
				whole = whole && have[i]
			}
			require.Equal(t, whole, out.has(sym), "seed %d: symbol %d of %d bytes, %d of %d, known %v", seed, sym, size, to, from, known)
			if whole {
				n--
			}
		}
		require.Zero(t, n)
	}
}

// Rules of sections 5.6 and 6.2 for what a peer may send.
func TestSizeClassRules(t *testing.T) {
	t.Run("a class that is not in use", func(t *testing.T) {
		for name, edit := range map[string]func(*Config){
			"none agreed on": func(c *Config) { c.Largest = 0 },
			"no search":      func(c *Config) { c.Symbol, c.Largest = pSmall, pSmall },
		} {
			for _, class := range []uint8{wire.ClassLargest, wire.ClassSmall, wire.ClassOf8752, wire.ClassOf3952, wire.ClassOf1952} {
				s := sized(t, edit)
				_, err := s.symbol(class, 0, 0, 100, true)
				s.wantProtocolError(err, "size class")
				require.Empty(t, s.c.in, name)
			}
		}
		s := sized(t, func(c *Config) { c.Largest = 3000 })
		_, err := s.symbol(wire.ClassOf3952, 0, 0, 3952-wire.DataOverhead, false)
		s.wantProtocolError(err, "size class")
		_, err = s.symbol(wire.ClassOf1952, 0, 0, p1952, false)
		require.NoError(t, err)
	})
	t.Run("a symbol of another size than its class", func(t *testing.T) {
		for class, n := range map[uint8]int{wire.ClassLargest: pLargest - 1, wire.ClassSmall: pSmall + 1, wire.ClassOf1952: p0} {
			s := sized(t, nil)
			_, err := s.symbol(class, 0, 0, n, false)
			s.wantProtocolError(err, "wrong size")
		}
	})
	t.Run("a larger one for a block that has begun is thrown away", func(t *testing.T) {
		s := sized(t, nil)
		_, err := s.symbol(0, 0, 0, p0, false)
		require.NoError(t, err)
		for _, class := range []uint8{wire.ClassLargest, wire.ClassOf1952} {
			r, err := s.symbol(class, 0, 0, s.c.sizes[class], false)
			require.NoError(t, err)
			require.True(t, r.Duplicate)
			require.True(t, s.received(s.pn-1), "but reported as received")
		}
		require.Equal(t, p0, s.c.Lookup(0).Symbol)
		require.Equal(t, 1, s.c.Lookup(0).nGot)
	})
	t.Run("a smaller one cuts the block anew, twice", func(t *testing.T) {
		s := sized(t, nil)
		for sym := range 2 {
			_, err := s.symbol(wire.ClassLargest, 0, sym, pLargest, false)
			require.NoError(t, err)
		}
		b := s.c.Lookup(0)
		s.step("of 17,876 bytes twelve symbols of 1,438 stay")
		r, err := s.symbol(0, 0, 20, p0, false)
		require.NoError(t, err)
		require.Equal(t, 20*p0, r.Offset)
		require.Same(t, b, r.Restarted)
		require.Equal(t, 13, b.nGot)
		require.True(t, b.Has(11))
		require.False(t, b.Has(12))
		s.step("and of those, fourteen of 1,166, one of which comes again")
		r, err = s.symbol(wire.ClassSmall, 0, 3, pSmall, false)
		require.NoError(t, err)
		require.True(t, r.Duplicate)
		require.Same(t, b, r.Restarted)
		require.Equal(t, 14, b.nGot)
		s.step("old sizes are late from now on")
		for _, class := range []uint8{wire.ClassLargest, 0} {
			r, err = s.symbol(class, 0, 30, s.c.sizes[class], false)
			require.NoError(t, err)
			require.True(t, r.Duplicate)
			require.Nil(t, r.Restarted)
		}
		s.step("the rest, and the block is whole")
		size := 40_000
		for sym := 0; sym*pSmall < size; sym++ {
			n := min(pSmall, size-sym*pSmall)
			if r, err = s.symbol(wire.ClassSmall, 0, sym, n, n < pSmall); err != nil || r.Whole {
				break
			}
		}
		require.NoError(t, err)
		require.True(t, r.Whole)
		require.Equal(t, size, r.Block.Size)
		require.Equal(t, charge(size), s.c.inHeld, "and charged once")
	})
	t.Run("anew only at classes 0 and 2", func(t *testing.T) {
		s := sized(t, nil)
		_, err := s.symbol(wire.ClassLargest, 0, 0, pLargest, false)
		require.NoError(t, err)
		_, err = s.symbol(wire.ClassOf1952, 0, 0, p1952, false)
		s.wantProtocolError(err, "begun again")
	})
	t.Run("lengths that disagree over a new cut", func(t *testing.T) {
		s := sized(t, nil)
		_, err := s.symbol(wire.ClassLargest, 0, 1, pLargest, false) // up to byte 17,876
		require.NoError(t, err)
		_, err = s.symbol(0, 0, 12, 600, true) // 17,856
		s.wantProtocolError(err, "disagree")
		s = sized(t, nil)
		_, err = s.symbol(wire.ClassLargest, 0, 1, 100, true)
		require.NoError(t, err)
		_, err = s.symbol(0, 0, 6, p0, true)
		s.wantProtocolError(err, "disagree")
	})
	t.Run("BLOCK_SIZE first, then any class", func(t *testing.T) {
		for class, p := range map[uint8]int{0: p0, wire.ClassLargest: pLargest, wire.ClassSmall: pSmall, wire.ClassOf1952: p1952} {
			s := sized(t, nil)
			require.NoError(t, s.size(0, 3*pLargest))
			_, err := s.symbol(class, 0, 1, p, false)
			require.NoError(t, err)
			require.Equal(t, (3*pLargest+p-1)/p, s.c.Lookup(0).total)
		}
		s := sized(t, nil)
		require.NoError(t, s.size(0, 20_000))
		_, err := s.symbol(wire.ClassLargest, 0, 2, 20_000-2*pLargest-1, true)
		s.wantProtocolError(err, "disagree")
	})
	t.Run("BLOCK_SIZE after a new cut", func(t *testing.T) {
		s := sized(t, nil)
		_, err := s.symbol(wire.ClassLargest, 0, 0, pLargest, false)
		require.NoError(t, err)
		_, err = s.symbol(0, 0, 0, p0, false)
		require.NoError(t, err)
		require.NoError(t, s.size(0, 9000), "the last symbol of 1,438 lies below what has been seen")
		s.wantProtocolError(s.size(0, 9001), "disagrees")
	})
	t.Run("parity", func(t *testing.T) {
		s := sized(t, nil)
		require.NoError(t, s.size(0, 20_000))
		s.step("says by its length how the block is cut")
		r, err := s.parityAt(0, 0, pLargest)
		require.NoError(t, err)
		require.True(t, r.Parity)
		require.EqualValues(t, pLargest, s.c.parityHeld)
		s.step("which a smaller one changes: what was held is of no use any more")
		r, err = s.parityAt(0, 0, p0)
		require.NoError(t, err)
		require.True(t, r.Parity)
		require.NotNil(t, r.Restarted)
		require.EqualValues(t, p0, s.c.parityHeld)
		require.Equal(t, 14, s.c.Lookup(0).total)
		s.step("and a larger one does not")
		r, err = s.parityAt(0, 1, pLargest)
		require.NoError(t, err)
		require.True(t, r.Duplicate)
		require.EqualValues(t, p0, s.c.parityHeld)
		s.step("a length of no class")
		_, err = s.parityAt(0, 2, 1300)
		s.wantProtocolError(err, "wrong size")
	})
}

// fly sends new data for a while, all of which up to limit IP bytes arrives, and reports each 10 ms.
func (s *script) fly(d time.Duration, limit int) {
	s.Helper()
	for end := s.now + d; s.now < end; {
		for s.c.Unsent() < 2<<20 {
			s.c.AddBlock(s.now, 1<<20, 0, nil)
		}
		s.wait(10 * ms)
		highest := uint64(0)
		for pn, p := range s.sent {
			if pn+4000 < s.c.led.next {
				delete(s.sent, pn) // its fate has been told
			} else if p.IPBytes(28) <= limit {
				highest = max(highest, pn)
			}
		}
		s.reportNo++
		r := wire.Report{Number: s.reportNo, Highest: highest, Stamp: uint32(s.now / time.Microsecond), Credit: 1 << 60, Extents: 1 << 40}
		lo := highest + 1 - min(highest+1, 4000)
		span, _ := wire.MakeSpan(nil, lo, highest+1-lo, func(i uint64) bool {
			p, sent := s.sent[lo+i]
			return sent && p.IPBytes(28) <= limit
		})
		r.Spans = append(r.Spans, span)
		require.NoError(s, s.frame(&wire.Frame{Type: wire.FrameReport, Report: r}))
		for _, b := range s.c.Settled {
			s.c.Recycle(b)
		}
		s.c.Settled = s.c.Settled[:0]
	}
}

// flying starts a script with much to send at 200 Mbit/s.
func flying(t *testing.T, edit func(*Config)) *script {
	return sized(t, func(c *Config) {
		c.PeerCredit, c.InitialRTT, c.Idle, c.Rates.Target = 1<<60, 10*ms, time.Hour, 200_000_000
		if edit != nil {
			edit(c)
		}
	})
}

// probes returns the sizes of the probes among packets, with how often each was tried.
func probes(s *script) map[int]int {
	sizes := map[int]int{}
	for _, p := range s.take() {
		if !p.Data && len(p.Frames) > room {
			sizes[p.IPBytes(0)]++
		}
	}
	return sizes
}

func TestSearchTriesEachSize(t *testing.T) {
	s := flying(t, nil)
	s.fly(3*time.Second, 1500)
	require.Equal(t, map[int]int{8972: 6, 8752: 6, 3952: 6, 1952: 6}, probes(s))
	require.Equal(t, 1472, s.c.Datagram())
	require.Zero(t, s.c.Stats.Lost, "a probe is no loss")
	require.Zero(t, s.c.Loss())
	s.step("all is quiet until ten minutes later, when the path takes more")
	s.fly(time.Second, 9000)
	require.Empty(t, probes(s))
	s.now += 10 * time.Minute
	s.fly(200*ms, 9000)
	require.Equal(t, map[int]int{8972: 1}, probes(s))
	require.Equal(t, 8972, s.c.Datagram())
	require.Equal(t, 9000, s.c.fullPacket())
	s.step("new blocks have that size, and those before keep theirs")
	s.fly(300*ms, 9000)
	for _, b := range s.c.out.blocks[max(0, len(s.c.out.blocks)-2):] {
		require.Equal(t, pLargest, b.Symbol)
	}
	require.Zero(t, s.c.Stats.Resent)
}

func TestSearchTakesTheLargestThatPasses(t *testing.T) {
	s := flying(t, nil)
	s.fly(3*time.Second, 4000)
	require.Equal(t, map[int]int{8972: 6, 8752: 6, 3952: 1}, probes(s))
	require.Equal(t, 3952, s.c.Datagram())
}

// Five misses are chance, and a probe that comes late counts.
func TestSearchIsPatient(t *testing.T) {
	s := flying(t, nil)
	n := 0
	for s.c.search.misses < 5 {
		s.fly(10*ms, 1500)
		require.Less(t, n, 1000)
		n++
	}
	s.fly(200*ms, 9000)
	require.Equal(t, 8972, s.c.Datagram())
}

// Where packets of that size are rare, or nothing has passed yet, nothing is searched.
func TestSearchWaits(t *testing.T) {
	s := flying(t, func(c *Config) { c.Rates.Target = 100_000_000 })
	s.fly(2*time.Second, 9000)
	require.Empty(t, probes(s), "at 100 Mbit/s a packet of 9,000 bytes takes 0.72 ms")
	s.c.SetRates(s.now, Rates{Policy: Fixed, Target: 200_000_000})
	s.fly(100*ms, 9000)
	require.Equal(t, 8972, s.c.Datagram())
	s = flying(t, func(c *Config) { c.Largest = p0 })
	s.fly(2*time.Second, 9000)
	require.Empty(t, probes(s))
}

// A rate that becomes low takes the size with it, and brings it back.
func TestRetreat(t *testing.T) {
	s := flying(t, nil)
	s.fly(300*ms, 9000)
	require.Equal(t, 8972, s.c.Datagram())
	s.step("a quarter of the rate, as in a drain, changes nothing")
	s.c.SetRates(s.now, Rates{Policy: Fixed, Target: 50_000_000})
	s.fly(200*ms, 9000)
	require.Equal(t, 8972, s.c.Datagram())
	s.take()
	s.c.SetRates(s.now, Rates{Policy: Fixed, Target: 14_000_000})
	s.fly(300*ms, 9000)
	require.Equal(t, 1472, s.c.Datagram())
	require.Zero(t, s.c.Loss())
	for _, p := range s.take()[100:] {
		require.LessOrEqual(t, p.IPBytes(28), 1500, "blocks under way, too")
	}
	s.fly(time.Second, 9000)
	require.Empty(t, probes(s))
	s.c.SetRates(s.now, Rates{Policy: Fixed, Target: 200_000_000})
	s.fly(200*ms, 9000)
	require.Equal(t, 8972, s.c.Datagram())
}

// What the interface refuses is not tried again, nor sent.
func TestRefused(t *testing.T) {
	s := flying(t, nil)
	s.fly(200*ms, 1500)
	s.c.Refused(s.now, 8972)
	s.c.Refused(s.now, 8752)
	s.take()
	s.fly(time.Second, 4000)
	require.Equal(t, map[int]int{3952: 1}, probes(s))
	s.c.Refused(s.now, 3952)
	require.Equal(t, 1472, s.c.Datagram())
	s.fly(time.Second, 1500)
	s.c.Refused(s.now, 1472)
	require.Equal(t, 1200, s.c.Datagram())
	require.Equal(t, uint64(2), s.c.Stats.Falls)
	for _, b := range s.c.out.blocks {
		require.True(t, b == nil || b.Symbol == pSmall)
	}
	s.c.Refused(s.now, 1200)
	require.Equal(t, 1200, s.c.Datagram())
}

// Full packets vanish: the size falls, from one to the next, and the rate and the estimate of loss are what they were.
func TestBlackHoleFalls(t *testing.T) {
	long(t)
	s := flying(t, nil)
	s.fly(time.Second, 9000)
	require.Equal(t, 8972, s.c.Datagram())
	s.step("not before a second")
	for s.c.hole.lost == 0 {
		s.fly(10*ms, 1500)
	}
	s.fly(900*ms, 1500)
	require.Equal(t, 8972, s.c.Datagram())
	s.fly(200*ms, 1500)
	require.Equal(t, 1472, s.c.Datagram())
	require.Less(t, s.c.Loss(), 0.01)
	s.step("from there sooner, since nothing of that size has passed")
	start := s.now
	for s.c.Datagram() != 1200 {
		s.fly(10*ms, 1280)
		require.Less(t, s.now-start, 4*time.Second)
	}
	require.Less(t, s.c.Loss(), 0.01)
	s.fly(200*ms, 1280)
	require.NoError(t, s.c.Check(s.now))
	s.step("and there it ends")
	var err error
	for err == nil && s.now < start+45*time.Second {
		s.fly(10*ms, 1200)
		err = s.c.Check(s.now)
	}
	require.ErrorIs(t, err, ErrMTU)
}

// Random loss of any kind is no black hole.
func TestLossIsNoBlackHole(t *testing.T) {
	for _, link := range []simnet.Impair{
		{Rate: 300e6, Queue: 50 * ms, Delay: 10 * ms, Loss: 0.5},
		{Rate: 300e6, Queue: 50 * ms, Delay: 10 * ms, Loss: 0.3, Burst: simnet.Burst{Mean: 50 * ms, Gap: 500 * ms}},
		{Rate: 20e6, Queue: 20 * ms, Delay: 10 * ms}, // sent ten times as fast
	} {
		s := newSim(3, Config{Rates: Rates{Policy: Fixed, Target: 200e6}, Largest: pLargest, Parity: true}, link, link)
		s.a.left = -1
		require.NoError(t, s.run(s.now+6*time.Second, func() bool {
			require.True(t, link.Loss == 0 || !s.a.holeSuspected(), "%+v: asked whether small packets pass", link)
			return false
		}))
		require.Zero(t, s.a.Stats.Falls, "%+v", link)
		require.Greater(t, s.b.Stats.Symbols, uint64(2000))
	}
}

// What is reported of the old cut, once a block has been cut anew, is not taken for symbols of the new one.
func TestReportsOfTheOldCut(t *testing.T) {
	s := flying(t, nil)
	s.fly(200*ms, 9000)
	require.Equal(t, 8972, s.c.Datagram())
	s.wait(time.Second)
	require.NoError(t, s.report(s.highest(), all))
	require.Zero(t, s.c.out.open)
	s.take()
	lossy := func() { s.c.lossAcked, s.c.lossLost, s.c.rtt.smoothed = 100, 30, 20*ms } // so that there is parity
	lossy()
	b := s.c.AddBlock(s.now, 5*pLargest, 0, nil)
	s.c.Flush()
	s.wait(8 * ms)
	old, late, lastOld := map[uint64]bool{}, map[uint64]bool{}, uint64(0)
	parity := 0
	for _, p := range s.takeData() {
		if old[p.PN] = p.Parity || p.Symbol < 3; p.Parity {
			parity++
		}
		late[p.PN] = old[p.PN] && (!p.Parity || parity%2 == 0)
		lastOld = p.PN
	}
	require.Greater(t, parity, 4)
	s.step("the last two of five symbols are known to have arrived, the others may be late")
	s.c.reorder = 50 * ms
	require.NoError(t, s.report(s.highest(), func(pn uint64) bool { return !old[pn] }))
	require.Equal(t, 2, b.nAcked)
	s.c.Refused(s.now, 2000)
	require.Equal(t, p0, b.Symbol)
	kept := b.nAcked
	require.Equal(t, 13, kept, "of 1,438 bytes, the last of them less")
	s.step("the others of the old cut and half of its parity come late, the rest is lost, while there is parity of the new one")
	lossy()
	s.wait(60 * ms)
	require.NotNil(t, b.parity)
	missing, groups := b.parity.missing, slices.Clone(b.parity.groups)
	gone := func() (n int) {
		for pn := range old {
			if e := s.c.led.at(pn); e != nil && e.state == lost {
				n++
			}
		}
		return n
	}
	s.c.reorder = 0
	goneBefore, lostBefore := gone(), s.c.Stats.Lost
	require.NoError(t, s.report(lastOld, func(pn uint64) bool { return late[pn] && s.sent[pn].Parity }))
	require.Greater(t, gone(), goneBefore)
	require.NoError(t, s.report(lastOld, func(pn uint64) bool { return late[pn] }))
	require.Equal(t, kept, b.nAcked)
	require.Equal(t, missing, b.parity.missing)
	require.Equal(t, groups, b.parity.groups)
	require.Equal(t, lostBefore, s.c.Stats.Lost, "what was too large is no loss of the path")
}

// A fair session does not notice that probes are lost.
func TestLostProbesNeverSlow(t *testing.T) {
	link := simnet.Impair{Rate: 200e6, Queue: 100 * ms, Delay: 20 * ms, MTU: 1500}
	run := func(largest int) (s *sim, least, most int64, bytes uint64) {
		s = newSim(1, Config{Rates: Rates{Policy: Fair}, Largest: largest, Parity: true}, link, link)
		s.a.left = -1
		s.a.search.next = s.now + 4*time.Second
		require.NoError(t, s.run(s.now+4*time.Second, nil))
		b0 := s.b.Stats.SymbolBytes
		least = s.a.Rate()
		require.NoError(t, s.run(s.now+4*time.Second, func() bool {
			least, most = min(least, s.a.Rate()), max(most, s.a.Rate())
			return false
		}))
		return s, least, most, s.b.Stats.SymbolBytes - b0
	}
	without, least, most, bytes := run(0)
	with, least2, most2, bytes2 := run(pLargest)
	require.Equal(t, uint64(24), with.a.Stats.Probes)
	require.Zero(t, without.a.Stats.Probes)
	require.Equal(t, without.a.Stats.Lost, with.a.Stats.Lost)
	t.Logf("rate from %d to %d without, from %d to %d with probes; %d and %d bytes", least, most, least2, most2, bytes, bytes2)
	require.InEpsilon(t, least, least2, 0.005)
	require.InEpsilon(t, most, most2, 0.01, "nor takes them for what the path took")
	require.InEpsilon(t, bytes, bytes2, 0.003, "the probes take 0.15 %% of it")
}
