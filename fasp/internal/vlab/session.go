package vlab

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/core"
	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// Options set up a session.
type Options struct {
	Rates core.Rates
	Seed  uint64
	Extra time.Duration // added to the round trip of this session alone
	ECN   bool          // mark, if the sender may
	Size  int64         // bytes to send, 0 = without end
	Block int           // bytes of a block, 0 = 128 KiB
	// Window is the receiver's, as fasp.Config has it, which grows to WindowMax; 0 = it does not limit.
	Window, WindowMax int64
	// Load is that of the sender's host, and Late how much later than it wants to it may wake: by chance, 0 to Late.
	Load core.Load
	Late time.Duration
	// Core changes the sender's configuration, may be nil.
	Core func(c *core.Config)
}

// Session is a session of Tradewind that sends one way.
type Session struct {
	Sender, Receiver *core.Conn
	Started          time.Duration
	// Done is when the sender knew that everything had arrived, 0 = not yet.
	Done time.Duration
}

// end is one side of a Session.
type end struct {
	w       *World
	s       *Session
	conn    *core.Conn
	left    int64 // bytes to queue, -1 = without end
	block   int
	flushed bool
	packet  core.Packet
	late    time.Duration
	rng     *rand.Rand
}

const ipOverhead = 28

// AddSession begins a session, now.
func (w *World) AddSession(o Options) *Session {
	// Credit shall not be what limits: at 50 % loss a block takes some ten round trips to become whole.
	window := max(4<<30, int64(16*w.rate/8*(w.delay+o.Extra).Seconds()))
	cfg := core.Config{
		Now: w.Now, Symbol: 1472 - wire.DataOverhead, IPOverhead: ipOverhead, MaxLag: 10 * time.Millisecond,
		InitialRTT: w.delay + o.Extra + w.Queue(), Idle: time.Minute,
		Window: window, Parity: true, Extents: 1 << 62, PeerExtents: 1 << 62, PeerCredit: uint64(window),
	}
	cfg.ECN = o.ECN
	if o.Window > 0 {
		cfg.Window, cfg.WindowMax, cfg.PeerCredit = o.Window, o.WindowMax, uint64(o.Window)
	}
	a, b := cfg, cfg
	a.Seed, b.Seed = 2*o.Seed+1, 2*o.Seed+2
	a.Rates = o.Rates
	if o.Core != nil {
		o.Core(&a)
	}
	s := &Session{Sender: core.New(a), Receiver: core.New(b), Started: w.Now}
	left := o.Size
	if left == 0 {
		left = -1
	}
	if o.Block == 0 {
		o.Block = 128 << 10
	}
	s.Sender.SetLoad(o.Load)
	sender := &end{w: w, s: s, conn: s.Sender, left: left, block: o.Block, late: o.Late, rng: rand.New(rand.NewPCG(o.Seed, 0x6c617465))}
	w.Add(sender, &end{w: w, s: s, conn: s.Receiver}, o.Extra)
	return s
}

// Wake implements Host.
func (e *end) Wake(now time.Duration, out func(p Packet)) time.Duration {
	c, p := e.conn, &e.packet
	for {
		for e.left != 0 && c.Unsent() < max(2*int64(e.block), c.Rate()/1000) {
			n := e.block
			if e.left > 0 {
				n = int(min(int64(n), e.left))
			}
			if !c.MayAdd(n, 0) {
				c.Blocked(true)
				break
			}
			c.Blocked(false)
			c.AddBlock(now, n, 0, nil)
			if e.left > 0 {
				e.left -= int64(n)
			}
		}
		if e.left == 0 && !e.flushed {
			e.flushed = true
			c.Flush()
		}
		if !c.Next(now, p) {
			break
		}
		q := Packet{pn: p.PN, echo: p.Echo, data: p.Data, n: int32(p.Len), sym: p.Symbol, last: p.Last, train: p.Train, parity: p.Parity, size: int32(p.IPBytes(ipOverhead))}
		if p.ECT {
			q.ecn = wire.ECT0
		}
		if p.Data {
			q.block = p.Block.ID
		} else {
			q.frames = slices.Clone(p.Frames)
		}
		out(q)
	}
	for _, b := range c.Settled {
		c.Recycle(b)
	}
	c.Settled = c.Settled[:0]
	if c == e.s.Sender && e.left == 0 && e.s.Done == 0 {
		if blocks, _ := c.Unsettled(); blocks == 0 {
			e.s.Done = now
		}
	}
	e.w.fail(c.Check(now))
	at := c.Deadline(now)
	if e.late > 0 && at > now && c.Paced() {
		at += time.Duration(e.rng.Int64N(int64(e.late)))
	}
	return at
}

// Receive implements Host.
func (e *end) Receive(now time.Duration, q *Packet) {
	c := e.conn
	pn, replay := c.ExpandPN(uint32(q.pn))
	if replay {
		return
	}
	c.Mark(q.ecn)
	if !q.data {
		e.w.fail(c.OnFrames(now, pn, q.echo, q.frames, int(q.size), nil))
		return
	}
	h := wire.Short{Data: true, Last: q.last, Train: q.train, Block: q.block, Symbol: q.sym, Echo: q.echo}
	if q.parity {
		h.Class = wire.ClassParity
	}
	r, err := c.OnData(now, pn, &h, int(q.n))
	if err != nil {
		e.w.fail(err)
		return
	}
	if r.Whole {
		c.Freed(r.Block.Size)
		c.RecycleIn(r.Block)
	}
}

// Goodput returns new bytes of blocks that have arrived at the receiver.
func (s *Session) Goodput() int64 { return int64(s.Receiver.Stats.SymbolBytes) }
