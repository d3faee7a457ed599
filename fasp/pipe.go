package fasp

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Pipe returns two connected sessions in memory, for transfers between two places that one process reaches. Everything
// arrives, in order and at once; Rates.Target and grants hold, and credit does as over a network, so that a slow side
// slows the other. Nothing is encrypted or authenticated, since nothing leaves the process.
func Pipe() (a, b Session) {
	p := &pipe{moved: make(chan struct{}), began: time.Now()}
	x, y := &pipeEnd{p: p, extents: InitialExtents}, &pipeEnd{p: p, extents: InitialExtents}
	x.peer, y.peer = y, x
	return x, y
}

// What one side of a Pipe may have on its way to the other, in bytes.
const (
	pipeWindow   = 16 << 20
	pipeMessages = 1 << 20
)

type pipe struct {
	began   time.Time
	buffers bufferPool

	mu    sync.Mutex    // protects everything
	moved chan struct{} // closed and replaced with every change
}

// pipeEnd is one side. Its fields are protected by pipe.mu.
type pipeEnd struct {
	p    *pipe
	peer *pipeEnd

	messages [][]byte
	msgBytes int
	blocks   []*Block // on their way here
	held     int64    // bytes of blocks that this side has not released
	leased   int64    // bytes of blocks that this side has leased and not sent
	extents  uint64   // granted by this side
	rates    Rates
	grant    Rate
	drain    Rate
	next     time.Time // when the rate lets this side send again
	err      error
	stats    Stats
}

// changed wakes all that wait. mu is held.
func (p *pipe) changed() {
	close(p.moved)
	p.moved = make(chan struct{})
}

// until runs try under the lock until it returns true, the session or ctx ends. A session that has ended still gives what
// has arrived, so try comes first.
func (e *pipeEnd) until(ctx context.Context, try func() bool) error {
	e.p.mu.Lock()
	for !try() {
		if err := e.err; err != nil {
			e.p.mu.Unlock()
			return err
		}
		moved := e.p.moved
		e.p.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		e.p.mu.Lock()
	}
	e.p.mu.Unlock()
	return nil
}

// SendMessage implements Session.
func (e *pipeEnd) SendMessage(ctx context.Context, msg []byte) error {
	if len(msg) == 0 || len(msg) > MaxMessage {
		return fmt.Errorf("message of %d bytes: %w", len(msg), ErrTooLarge)
	}
	return e.until(ctx, func() bool {
		if e.err != nil || e.peer.msgBytes > pipeMessages {
			return false
		}
		e.peer.messages = append(e.peer.messages, append([]byte(nil), msg...))
		e.peer.msgBytes += len(msg)
		e.p.changed()
		return true
	})
}

// ReceiveMessage implements Session.
func (e *pipeEnd) ReceiveMessage(ctx context.Context) (msg []byte, err error) {
	err = e.until(ctx, func() bool {
		if len(e.messages) == 0 {
			return false
		}
		msg = e.messages[0]
		e.messages = e.messages[1:]
		e.msgBytes -= len(msg)
		e.p.changed()
		return true
	})
	return msg, err
}

// NewBlock implements Session.
func (e *pipeEnd) NewBlock(ctx context.Context, n int) (b *Block, err error) {
	if n <= 0 || n > MaxBlock {
		return nil, fmt.Errorf("block of %d bytes: %w", n, ErrTooLarge)
	}
	err = e.until(ctx, func() bool {
		if e.err != nil || e.leased > 0 && e.leased+int64(n) > pipeWindow {
			return false
		}
		e.leased += int64(n)
		return true
	})
	if err != nil {
		return nil, err
	}
	buf := e.p.buffers.get(n)
	return NewBlock(buf.data[:n], func(*Block) {
		e.p.buffers.put(buf)
		e.p.mu.Lock()
		defer e.p.mu.Unlock()
		e.leased -= int64(n)
		e.p.changed()
	}), nil
}

// SendBlock implements Session. An error leaves the block with the caller.
func (e *pipeEnd) SendBlock(ctx context.Context, b *Block) error {
	n := int64(len(b.Data))
	if n > MaxBlock {
		return fmt.Errorf("block of %d bytes: %w", n, ErrTooLarge)
	}
	if n == 0 {
		b.Release()
		return nil
	}
	var wait time.Duration
	err := e.until(ctx, func() bool {
		if e.err != nil || b.Extent >= e.peer.extents || e.peer.held > 0 && e.peer.held+n > pipeWindow {
			return false
		}
		e.peer.held += n
		e.stats.BlocksSent++
		e.stats.BlockBytesSent += uint64(n)
		wait = e.pace(n)
		return true
	})
	if err != nil {
		return err
	}
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			e.p.mu.Lock()
			defer e.p.mu.Unlock()
			e.peer.held -= n
			e.p.changed()
			return context.Cause(ctx)
		}
	}
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	if e.err != nil {
		e.peer.held -= n
		return e.err
	}
	peer := e.peer
	arrived := NewBlock(b.Data, func(*Block) {
		b.Release()
		e.p.mu.Lock()
		defer e.p.mu.Unlock()
		peer.held -= n
		e.p.changed()
	})
	peer.blocks = append(peer.blocks, arrived)
	e.p.changed()
	return nil
}

// pace returns how long n bytes have to wait for their turn. mu is held.
func (e *pipeEnd) pace(n int64) time.Duration {
	rate := e.rates.Target
	for _, r := range [...]Rate{e.peer.grant, e.peer.drain} {
		if r > 0 && (rate == 0 || r < rate) {
			rate = r
		}
	}
	now := time.Now()
	if rate <= 0 {
		e.next = now
		return 0
	}
	took := time.Duration(float64(8*n) / float64(rate) * float64(time.Second))
	// What was taken at a lower rate before does not hold up what goes at this one.
	e.next = now.Add(min(max(e.next.Sub(now), 0), 4*took))
	wait := e.next.Sub(now)
	e.next = e.next.Add(took)
	return wait
}

// ReceiveBlock implements Session.
func (e *pipeEnd) ReceiveBlock(ctx context.Context) (b *Block, err error) {
	err = e.until(ctx, func() bool {
		if len(e.blocks) == 0 {
			return false
		}
		b = e.blocks[0]
		e.blocks[0] = nil
		e.blocks = e.blocks[1:]
		e.stats.BlocksReceived++
		e.stats.BlockBytesReceived += uint64(len(b.Data))
		return true
	})
	return b, err
}

// Drained implements Session: everything arrives at once.
func (e *pipeEnd) Drained(ctx context.Context) error {
	return e.until(ctx, func() bool { return e.err == nil })
}

// Confirmed implements Session: both ends are here.
func (e *pipeEnd) Confirmed(context.Context) error { return nil }

// SetRates implements Session.
func (e *pipeEnd) SetRates(r Rates) { e.set(func() { e.rates = r }) }

// SetGrant implements Session.
func (e *pipeEnd) SetGrant(r Rate) { e.set(func() { e.grant = r }) }

// SetExtents implements Session.
func (e *pipeEnd) SetExtents(n uint64) { e.set(func() { e.extents = max(e.extents, n) }) }

// SetDrain implements Session.
func (e *pipeEnd) SetDrain(r Rate) { e.set(func() { e.drain = r }) }

func (e *pipeEnd) set(fn func()) {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	fn()
	e.p.changed()
}

// Stats implements Session. There are no packets.
func (e *pipeEnd) Stats() Stats {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	s := e.stats
	s.Since, s.Granted, s.Drain, s.Rate = time.Since(e.p.began), e.peer.grant, e.peer.drain, e.rates.Target
	return s
}

// Close implements Session. What had arrived can still be received by the peer.
func (e *pipeEnd) Close(code Code, reason string) error {
	e.p.mu.Lock()
	if e.err != nil {
		e.p.mu.Unlock()
		return nil
	}
	e.err = ErrClosed
	if e.peer.err == nil {
		e.peer.err = &PeerError{Code: code, Reason: reason}
	}
	left := e.blocks
	e.blocks, e.messages = nil, nil
	e.p.changed()
	e.p.mu.Unlock()
	for _, b := range left {
		b.Release()
	}
	return nil
}
