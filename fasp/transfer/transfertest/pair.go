package transfertest

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tradewind-io/tradewind/fasp"
)

// Options describes the link between two sessions. The zero Options is a perfect one.
type Options struct {
	// Seed drives all that is random.
	Seed uint64
	// Window is the receive window of each side in bytes; 0 means 8 MiB. It must hold one block.
	Window int
	// SendBuffer is how many bytes of leased blocks each side may have; 0 means 8 MiB.
	SendBuffer int
	// Reorder is how far a block may be overtaken by others, in blocks; 0 keeps the order.
	Reorder int
	// Lag is how much longer than Latency a control message may take, at most; messages keep their order
	// and blocks overtake them. Meant for virtual time.
	Lag time.Duration
	// Latency delays everything, one way. Meant for virtual time.
	Latency time.Duration
	// CutAfter cuts the link when that many bytes of blocks were delivered in both directions together;
	// 0 never.
	CutAfter int64
}

// Conn is one end. It implements fasp.Session.
type Conn struct {
	l    *link
	peer *Conn

	// protected by link.mu
	msgs     [][]byte
	msgAt    time.Time // when the last message on its way here arrives
	msgBytes int       // in msgs, sent by the peer
	blocks   [][]byte
	held     int // bytes received or queued here and not released
	leased   int // bytes of NewBlock not yet sent
	err      error
	stats    fasp.Stats
	rates    fasp.Rates
	grant    fasp.Rate
	extents  uint64 // granted by this side
	drain    fasp.Rate
}

type link struct {
	opt Options

	mu      sync.Mutex // protects everything
	rng     *rand.Rand
	moved   chan struct{} // closed and replaced with every change
	carried int64
	began   time.Time
	pool    map[int][][]byte // buffers by capacity, so that benchmarks measure no allocator
}

// Pair returns two connected sessions.
func Pair(opt Options) (client, server *Conn) {
	if opt.Window == 0 {
		opt.Window = 8 << 20
	}
	if opt.SendBuffer == 0 {
		opt.SendBuffer = 8 << 20
	}
	l := &link{
		opt: opt, rng: rand.New(rand.NewPCG(opt.Seed, 0x7472616e73666572)), moved: make(chan struct{}), began: time.Now(),
		pool: make(map[int][][]byte),
	}
	a, b := &Conn{l: l, extents: fasp.InitialExtents}, &Conn{l: l, extents: fasp.InitialExtents}
	a.peer, b.peer = b, a
	return a, b
}

// changed wakes all that wait. mu is held.
func (l *link) changed() {
	close(l.moved)
	l.moved = make(chan struct{})
}

// until runs try under the lock until it returns true, c fails or ctx ends.
func (c *Conn) until(ctx context.Context, try func() bool) error {
	c.l.mu.Lock()
	for {
		if try() {
			c.l.mu.Unlock()
			return nil
		}
		if c.err != nil {
			err := c.err
			c.l.mu.Unlock()
			return err
		}
		moved := c.l.moved
		c.l.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
		c.l.mu.Lock()
	}
}

// SendMessage implements fasp.Session.
func (c *Conn) SendMessage(ctx context.Context, msg []byte) error {
	if len(msg) == 0 || len(msg) > fasp.MaxMessage {
		return fasp.ErrTooLarge
	}
	m := append([]byte(nil), msg...)
	return c.until(ctx, func() bool {
		if c.err != nil || c.peer.msgBytes > 1<<20 {
			return false
		}
		delay := c.l.opt.Latency
		if c.l.opt.Lag > 0 {
			delay += time.Duration(c.l.rng.Int64N(int64(c.l.opt.Lag)))
		}
		at := time.Now().Add(delay)
		if at.Before(c.peer.msgAt) {
			at = c.peer.msgAt // in order; equal times may fire in any order, so apart by a little
		}
		c.peer.msgAt = at.Add(time.Nanosecond)
		c.peer.msgBytes += len(m)
		c.deliver(time.Until(at), func() {
			if c.peer.err == nil {
				c.peer.msgs = append(c.peer.msgs, m)
			}
		})
		return true
	})
}

// deliver runs fn after a delay; at once if the link has none. mu is held.
func (c *Conn) deliver(after time.Duration, fn func()) {
	if c.l.opt.Latency+c.l.opt.Lag == 0 {
		fn()
		c.l.changed()
		return
	}
	time.AfterFunc(after, func() {
		c.l.mu.Lock()
		defer c.l.mu.Unlock()
		fn()
		c.l.changed()
	})
}

// ReceiveMessage implements fasp.Session. Messages that arrived before a close can still be received.
func (c *Conn) ReceiveMessage(ctx context.Context) (msg []byte, err error) {
	err = c.until(ctx, func() bool {
		if len(c.msgs) == 0 {
			return false
		}
		msg = c.msgs[0]
		c.msgs = c.msgs[1:]
		c.msgBytes -= len(msg)
		c.l.changed()
		return true
	})
	return msg, err
}

// NewBlock implements fasp.Session.
func (c *Conn) NewBlock(ctx context.Context, n int) (b *fasp.Block, err error) {
	if n < 1 || n > fasp.MaxBlock {
		return nil, fasp.ErrTooLarge
	}
	err = c.until(ctx, func() bool {
		if c.err != nil || c.leased > 0 && c.leased+n > c.l.opt.SendBuffer {
			return false
		}
		c.leased += n
		b = fasp.NewBlock(c.l.buffer(n), func(b *fasp.Block) {
			c.l.mu.Lock()
			defer c.l.mu.Unlock()
			c.leased -= n
			c.l.recycle(b.Data)
			c.l.changed()
		})
		return true
	})
	return b, err
}

func (l *link) buffer(n int) []byte {
	if list := l.pool[n]; len(list) > 0 {
		b := list[len(list)-1]
		l.pool[n] = list[:len(list)-1]
		return b
	}
	return make([]byte, n)
}

func (l *link) recycle(b []byte) {
	n := cap(b)
	if len(l.pool[n]) < 256 {
		l.pool[n] = append(l.pool[n], b[:n])
	}
}

// SendBlock implements fasp.Session.
func (c *Conn) SendBlock(ctx context.Context, b *fasp.Block) error {
	n := len(b.Data)
	if n == 0 {
		b.Release()
		return nil
	}
	data := b.Data
	err := c.until(ctx, func() bool {
		return c.err == nil && b.Extent < c.peer.extents && (c.peer.held == 0 || c.peer.held+n <= c.l.opt.Window)
	})
	if err != nil {
		b.Release()
		return err
	}
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	c.leased -= cap(data)
	c.peer.held += n
	c.stats.BlocksSent++
	c.stats.BlockBytesSent += uint64(n)
	c.deliver(c.l.opt.Latency, func() {
		if c.peer.err != nil {
			c.peer.held -= n
			return
		}
		c.peer.blocks = append(c.peer.blocks, data)
		c.l.carried += int64(n)
		if c.l.opt.CutAfter > 0 && c.l.carried >= c.l.opt.CutAfter {
			c.l.cut(c)
		}
	})
	return nil
}

// ReceiveBlock implements fasp.Session.
func (c *Conn) ReceiveBlock(ctx context.Context) (b *fasp.Block, err error) {
	err = c.until(ctx, func() bool {
		if len(c.blocks) == 0 {
			return false
		}
		i := 0
		if c.l.opt.Reorder > 0 {
			i = c.l.rng.IntN(min(len(c.blocks), c.l.opt.Reorder+1))
		}
		data := c.blocks[i]
		c.blocks = append(c.blocks[:i], c.blocks[i+1:]...)
		c.stats.BlocksReceived++
		c.stats.BlockBytesReceived += uint64(len(data))
		b = fasp.NewBlock(data, func(b *fasp.Block) {
			c.l.mu.Lock()
			defer c.l.mu.Unlock()
			c.held -= len(data)
			c.l.recycle(data)
			c.l.changed()
		})
		c.l.changed()
		return true
	})
	return b, err
}

// Drained implements fasp.Session: what arrived at the peer is acknowledged, whether it was read or not.
func (c *Conn) Drained(ctx context.Context) error {
	if d := 2 * (c.l.opt.Latency + c.l.opt.Lag); d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return c.until(ctx, func() bool { return c.err == nil })
}

// SetRates implements fasp.Session; Rates returns what was set.
func (c *Conn) SetRates(r fasp.Rates) {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	c.rates = r
}

// Rates returns what SetRates was given last.
func (c *Conn) Rates() fasp.Rates {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	return c.rates
}

// Confirmed implements fasp.Session: both ends are here.
func (c *Conn) Confirmed(context.Context) error { return nil }

// SetGrant implements fasp.Session; Grant returns what was set.
func (c *Conn) SetGrant(r fasp.Rate) {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	c.grant = r
}

// Grant returns what SetGrant was given last.
func (c *Conn) Grant() fasp.Rate {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	return c.grant
}

// SetExtents implements fasp.Session. It is in force at once.
func (c *Conn) SetExtents(n uint64) {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	c.extents = max(c.extents, n)
	c.l.changed()
}

// SetDrain implements fasp.Session; Drain returns what was set.
func (c *Conn) SetDrain(r fasp.Rate) {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	c.drain = r
}

// Drain returns what SetDrain was given last.
func (c *Conn) Drain() fasp.Rate {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	return c.drain
}

// Stats implements fasp.Session.
func (c *Conn) Stats() fasp.Stats {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	s := c.stats
	s.Since, s.Rate = time.Since(c.l.began), c.rates.Target
	return s
}

// Held returns the bytes that blocks received and not yet released take of this side's window.
func (c *Conn) Held() int {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	return c.held
}

// Close implements fasp.Session. The peer can still receive the messages that arrived before.
func (c *Conn) Close(code fasp.Code, reason string) error {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	if c.err != nil {
		return nil
	}
	c.err = fasp.ErrClosed
	c.drop()
	tell := func() {
		if c.peer.err == nil {
			c.peer.err = &fasp.PeerError{Code: code, Reason: reason}
			c.peer.dropBlocks()
		}
	}
	c.deliver(c.l.opt.Latency+c.l.opt.Lag, tell)
	c.l.changed()
	return nil
}

// Cut ends the link: both sides fail with fasp.ErrIdleTimeout, and what was on its way is lost.
func (c *Conn) Cut() {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	c.l.cut(c)
}

// cut is Cut. mu is held.
func (l *link) cut(c *Conn) {
	for _, e := range []*Conn{c, c.peer} {
		if e.err == nil {
			e.err = fasp.ErrIdleTimeout
		}
		e.drop()
	}
	l.changed()
}

func (c *Conn) drop() {
	c.msgs, c.msgBytes = nil, 0
	c.dropBlocks()
}

func (c *Conn) dropBlocks() {
	for _, b := range c.blocks {
		c.held -= len(b)
	}
	c.blocks = nil
}
