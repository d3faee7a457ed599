package core

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

const ms = time.Millisecond

// script drives one Conn step by step while the test plays its peer, so that a failure reads as a story. Its packets arrive
// exactly when the test says so, and the Conn's own are kept with what they carried.
type script struct {
	*testing.T
	c   *Conn
	now time.Duration
	// sent are the Conn's packets by number; numbers left out on purpose are missing.
	sent map[uint64]Packet
	// fresh are those sent since the last take.
	fresh    []Packet
	pn       uint64 // the peer's next packet number
	reportNo uint64
	echo     uint16
}

// newScript starts a Conn with symbols of 1,000 bytes at 8 Mbit/s of which one packet takes about 1 ms; edit may change that.
func newScript(t *testing.T, edit func(*Config)) *script {
	t.Helper()
	cfg := Config{
		Now: time.Second, Seed: 1, Symbol: 1000, IPOverhead: 28, MaxLag: 10 * ms, InitialRTT: 100 * ms, Idle: time.Minute,
		Window: 1 << 20, WindowMax: 4 << 20, Extents: 1 << 40, PeerCredit: 1 << 20, PeerExtents: 1 << 40,
		Rates: Rates{Policy: Fixed, Target: 8_496_000}, // (1000+34+28)*8 bits a millisecond
	}
	if edit != nil {
		edit(&cfg)
	}
	return &script{T: t, c: New(cfg), now: cfg.Now, sent: map[uint64]Packet{}}
}

// step names what comes.
func (s *script) step(format string, args ...any) {
	s.Helper()
	s.Logf("%v: "+format, append([]any{s.now - time.Second}, args...)...)
}

// send lets the Conn send all that it may send now.
func (s *script) send() {
	var p Packet
	for n := 0; s.c.Next(s.now, &p); n++ {
		require.Less(s, n, 100_000, "the machine never stops sending")
		q := p
		q.Frames = slices.Clone(p.Frames)
		_, again := s.sent[q.PN]
		require.False(s, again, "packet number %d used twice", q.PN)
		s.sent[q.PN] = q
		s.fresh = append(s.fresh, q)
	}
}

// wait lets time pass, waking the Conn at its deadlines.
func (s *script) wait(d time.Duration) {
	s.Helper()
	end := s.now + d
	s.send()
	for turns := 0; ; turns++ {
		require.Less(s, turns, 1_000_000, "the machine spins")
		at := max(s.c.Deadline(s.now), s.now)
		if at > end {
			break
		}
		if at == s.now {
			// A deadline that is due must lead to something, or time has to move on: a driver would spin.
			before := len(s.sent)
			s.send()
			if len(s.sent) == before && s.c.Deadline(s.now) <= s.now {
				s.now++
			}
			continue
		}
		s.now = at
		s.send()
	}
	s.now = end
	s.send()
}

// take returns the packets sent since the last call.
func (s *script) take() []Packet {
	p := s.fresh
	s.fresh = nil
	return p
}

// takeData returns the data packets sent since the last call.
func (s *script) takeData() []Packet {
	return slices.DeleteFunc(s.take(), func(p Packet) bool { return !p.Data })
}

// takeReports returns the reports sent since the last call.
func (s *script) takeReports() []wire.Report {
	var out []wire.Report
	for _, p := range s.take() {
		if p.Data {
			continue
		}
		for r := wire.NewReader(p.Frames); r.Len() > 0; {
			var f wire.Frame
			require.NoError(s, wire.ReadFrame(&r, &f))
			if f.Type == wire.FrameReport {
				out = append(out, f.Report)
			}
		}
	}
	return out
}

// highest returns the highest number sent.
func (s *script) highest() uint64 {
	var h uint64
	for pn := range s.sent {
		h = max(h, pn)
	}
	return h
}

// report makes the peer report all of the Conn's packets up to highest, received as got says. Numbers that were left out are missing,
// as an honest peer says.
func (s *script) report(highest uint64, got func(pn uint64) bool) error {
	return s.reportWith(highest, func(pn uint64) bool {
		_, sent := s.sent[pn]
		return sent && got(pn)
	}, nil)
}

// reportWith is report by a peer that need not be honest; edit may change the rest.
func (s *script) reportWith(highest uint64, got func(pn uint64) bool, edit func(*wire.Report)) error {
	s.reportNo++
	r := wire.Report{
		Number: s.reportNo, Highest: highest, Stamp: uint32(s.now / time.Microsecond),
		Credit: s.c.cfg.PeerCredit, Extents: s.c.cfg.PeerExtents, Grant: uint64(s.c.cfg.PeerGrant),
	}
	for hi := highest + 1; hi > 0 && len(r.Spans) < wire.MaxSpans; {
		lo := hi - min(hi, 8000)
		span, _ := wire.MakeSpan(nil, lo, hi-lo, func(i uint64) bool { return got(lo + i) })
		r.Spans = append(r.Spans, span)
		hi = lo
	}
	if edit != nil {
		edit(&r)
	}
	return s.frame(&wire.Frame{Type: wire.FrameReport, Report: r})
}

// frame makes a packet with one frame arrive.
func (s *script) frame(f *wire.Frame) error { return s.frames(wire.AppendFrame(nil, f)) }

func (s *script) frames(b []byte) error {
	pn := s.pn
	s.pn++
	return s.c.OnFrames(s.now, pn, s.echo, b, len(b)+wire.FrameOverhead+28, nil)
}

// data makes a data packet of n bytes arrive under the next packet number.
func (s *script) data(block uint32, sym int, n int, last bool) (DataResult, error) {
	pn := s.pn
	s.pn++
	return s.dataAt(pn, block, sym, n, last)
}

func (s *script) dataAt(pn uint64, block uint32, sym int, n int, last bool) (DataResult, error) {
	return s.c.OnData(s.now, pn, &wire.Short{Data: true, Block: block, Symbol: uint16(sym), Last: last, Echo: s.echo}, n)
}

// block makes a whole block of n bytes arrive, given back at once if free.
func (s *script) block(id uint32, n int, free bool) {
	s.Helper()
	p := s.c.cfg.Symbol
	for off, sym := 0, 0; off < n; off, sym = off+p, sym+1 {
		r, err := s.data(id, sym, min(p, n-off), off+p >= n)
		require.NoError(s, err)
		if r.Whole {
			require.Equal(s, n, r.Block.Size)
			if free {
				s.c.Freed(n)
			}
			s.c.RecycleIn(r.Block)
		}
	}
}

func (s *script) wantProtocolError(err error, about string) {
	s.Helper()
	var p *ProtocolError
	require.ErrorAs(s, err, &p)
	require.Contains(s, p.Reason, about)
}

func all(uint64) bool  { return true }
func none(uint64) bool { return false }
