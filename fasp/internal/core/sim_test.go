package core

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

// simPacket is what crosses a simulated link: a description, never payload.
type simPacket struct {
	pn     uint64
	frames []byte
	block  uint32
	n      int32
	echo   uint16
	sym    uint16
	data   bool
	last   bool
	train  bool
	parity bool
	class  uint8
}

// end is one side of a simulated session with what drives it.
type end struct {
	*Conn
	link *simnet.Link[simPacket] // outgoing
	at   time.Duration
	// Sending: blocks of size bytes while left > 0 (-1 = without end).
	left     int64
	size     int
	flushed  bool
	messages [][]byte
	got      [][]byte
	err      error
	done     time.Duration // when the last block settled
	// hold keeps whole blocks back from the layer above for a while, as slow storage does.
	hold    func(size int)
	arrived int64
}

// sim runs two ends in virtual time by a direct event loop.
type sim struct {
	now  time.Duration
	a, b *end
}

func newSim(seed uint64, cfg Config, ab, ba simnet.Impair) *sim {
	cfg.Now = time.Second // not zero: nothing may depend on it
	if cfg.Symbol == 0 {
		cfg.Symbol = 1472 - wire.DataOverhead
	}
	cfg.IPOverhead = 28
	if cfg.InitialRTT == 0 {
		cfg.InitialRTT = ab.Delay + ba.Delay
	}
	if cfg.Idle == 0 {
		cfg.Idle = 60 * time.Second
	}
	if cfg.Window == 0 {
		cfg.Window = 64 << 20
	}
	cfg.Extents, cfg.PeerExtents = 1<<62, 1<<62
	cfg.PeerCredit = uint64(cfg.Window)
	s := &sim{now: cfg.Now}
	mk := func(link simnet.Impair, seed uint64) *end {
		k := cfg
		k.Seed = seed
		return &end{Conn: New(k), link: simnet.NewLink[simPacket](link, seed), size: 128 << 10}
	}
	s.a, s.b = mk(ab, seed*2+1), mk(ba, seed*2+2)
	return s
}

// pump lets e queue and send what it may.
func (s *sim) pump(e *end) {
	for len(e.messages) > 0 && e.MessageRoom() {
		e.AddMessage(e.messages[0])
		e.messages = e.messages[1:]
	}
	var p Packet
	for {
		for e.left != 0 && e.Unsent() < int64(2*e.size) {
			n := e.size
			if e.left > 0 {
				n = int(min(int64(n), e.left))
			}
			if !e.MayAdd(n, 0) {
				e.Blocked(true)
				break
			}
			e.Blocked(false)
			e.AddBlock(s.now, n, 0, nil)
			if e.left > 0 {
				e.left -= int64(n)
			}
		}
		if e.left == 0 && !e.flushed {
			e.flushed = true
			e.Flush()
		}
		if !e.Next(s.now, &p) {
			break
		}
		q := simPacket{pn: p.PN, echo: p.Echo, data: p.Data, n: int32(p.Len), sym: p.Symbol, last: p.Last, train: p.Train, parity: p.Parity}
		if p.Data {
			q.block, q.class = p.Block.ID, p.Block.Class
		} else {
			q.frames = slices.Clone(p.Frames)
		}
		e.link.Send(s.now, q, p.IPBytes(28))
	}
	for _, b := range e.Settled {
		e.Recycle(b)
		e.done = s.now
	}
	e.Settled = e.Settled[:0]
	e.got = append(e.got, e.Messages()...)
	e.at = e.Deadline(s.now)
	if err := e.Check(s.now); err != nil && e.err == nil {
		e.err = err
	}
}

func (s *sim) deliver(e *end, q *simPacket) {
	pn, replay := e.ExpandPN(uint32(q.pn))
	if replay {
		return
	}
	if !q.data {
		if err := e.OnFrames(s.now, pn, q.echo, q.frames, len(q.frames)+wire.FrameOverhead+28, nil); err != nil {
			e.err = err
		}
		return
	}
	h := wire.Short{Data: true, Last: q.last, Train: q.train, Block: q.block, Symbol: q.sym, Echo: q.echo, Class: q.class}
	if q.parity {
		h.Class = wire.ClassParity
	}
	r, err := e.OnData(s.now, pn, &h, int(q.n))
	if err != nil {
		e.err = err
		return
	}
	if r.Whole {
		e.arrived += int64(r.Block.Size)
		if e.hold != nil {
			e.hold(r.Block.Size)
			return
		}
		e.Freed(r.Block.Size)
		e.RecycleIn(r.Block)
	}
}

// run goes on until stop says so, an end fails, or the time is up.
func (s *sim) run(until time.Duration, stop func() bool) error {
	s.pump(s.a)
	s.pump(s.b)
	for s.now < until && (stop == nil || !stop()) {
		next := min(s.a.at, s.b.at)
		if t, ok := s.a.link.Next(); ok {
			next = min(next, t)
		}
		if t, ok := s.b.link.Next(); ok {
			next = min(next, t)
		}
		s.now = max(s.now, next)
		da, db := s.now >= s.a.at, s.now >= s.b.at
		for {
			q, ok := s.a.link.Recv(s.now)
			if !ok {
				break
			}
			s.deliver(s.b, &q)
			db = true
		}
		for {
			q, ok := s.b.link.Recv(s.now)
			if !ok {
				break
			}
			s.deliver(s.a, &q)
			da = true
		}
		if da {
			s.pump(s.a)
		}
		if db {
			s.pump(s.b)
		}
		for _, e := range []*end{s.a, s.b} {
			if e.err != nil {
				return e.err
			}
		}
	}
	return nil
}

// cell is one cell of the large matrix and its result.
type cell struct {
	rate float64 // bit/s
	rtt  time.Duration
	loss float64
}

func (c cell) String() string {
	return fmt.Sprintf("%gM/%v/%g%%", c.rate/1e6, c.rtt, c.loss*100)
}

type result struct {
	goodput, limit float64 // bit/s of block bytes; what the realised loss allows
	excess         float64 // data packets that brought nothing new, over distinct symbols
	reverse        float64 // bytes of reports over bytes of data
	packets        uint64
}

// steady measures the cell from 2 RTT after the first data packet arrived to the last new byte.
func (c cell) steady(seed uint64, policy Policy) (result, error) {
	link := simnet.Impair{Rate: c.rate, Queue: 100 * time.Millisecond, Delay: c.rtt / 2, Loss: c.loss}
	cfg := Config{Rates: Rates{Policy: policy}, Window: 2 << 30}
	if policy == Fixed {
		cfg.Rates.Target = int64(c.rate)
	}
	s := newSim(seed, cfg, link, link)
	s.a.left = -1
	dur := max(5*time.Second, 20*c.rtt)
	if err := s.run(time.Minute, func() bool { return s.b.FirstData != 0 && s.now >= s.b.FirstData+2*c.rtt }); err != nil {
		return result{}, err
	}
	b0, l0, a0, t0 := s.b.Stats, s.a.link.Stats(), s.a.Stats, s.now
	if err := s.run(t0+dur, nil); err != nil {
		return result{}, err
	}
	b1, l1, a1 := s.b.Stats, s.a.link.Stats(), s.a.Stats
	secs := (s.b.LastNew - t0).Seconds()
	arrived := float64(l1.Delivered-l0.Delivered) / float64(l1.Sent-l0.Sent-(l1.LostQueue-l0.LostQueue))
	symbols := float64(b1.Symbols - b0.Symbols)
	return result{
		goodput: float64(b1.SymbolBytes-b0.SymbolBytes) * 8 / secs,
		limit:   c.rate * 1440 / 1500 * arrived,
		excess:  float64(a1.Tail+a1.Spurious-a0.Tail-a0.Spurious) / symbols,
		reverse: float64(b1.BytesOut-b0.BytesOut) / float64(a1.BytesOut-a0.BytesOut),
		packets: a1.PacketsOut,
	}, nil
}

func TestSimQuick(t *testing.T) {
	for _, c := range []cell{{10e6, 10 * time.Millisecond, 0}, {10e6, 100 * time.Millisecond, 0.01}, {100e6, 300 * time.Millisecond, 0.3}} {
		start := time.Now()
		r, err := c.steady(1, Fixed)
		t.Logf("%v: %.4f of limit, excess %.4f reverse %.4f packets %d err %v in %v", c, r.goodput/r.limit, r.excess, r.reverse, r.packets, err, time.Since(start))
	}
}
