package fasp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Bond makes several sessions between the same two ends one Session, so that a transfer has more than one processor, or path, at each end: it begins with
// one session, the lead, which carries all messages, and others are added while it lives. Blocks go by whichever has least to do, and arrive in any
// order, as they do in one session. All sessions of a bond end together, and when one is lost, so is the bond.
//
// Both ends have a Bond; what they say to each other to join sessions to it is for the layer above. All methods may be called concurrently.
type Bond struct {
	ctx    context.Context // ends with the bond
	cancel context.CancelCauseFunc
	blocks chan *Block // arrived
	pumps  sync.WaitGroup
	first  *member // the lead, which has the messages

	mu      sync.Mutex // guards what follows
	members []*member  // the lead first; never taken out
	rates   *Rates     // as asked for, of all members together; nil = not
	grant   *Rate
	drain   *Rate
	extents uint64
}

// member is a session of a bond.
type member struct {
	Session
	load int64 // bytes of blocks leased from it and not released; guarded by Bond.mu
}

var (
	_           Session = (*Bond)(nil)
	errBondFull         = errors.New("fasp: too many sessions in a bond")
)

// MaxBond is the most sessions that a Bond has.
const MaxBond = 64

// NewBond makes a Bond of one session, which it takes over.
func NewBond(lead Session) *Bond {
	b := &Bond{blocks: make(chan *Block), first: &member{Session: lead}}
	b.ctx, b.cancel = context.WithCancelCause(context.Background())
	b.enter(b.first)
	return b
}

// Add takes another session over; from then on blocks may go by it, and those that come by it are the bond's. Its messages are not read. It
// fails, and leaves the session with the caller, when the bond has ended or has MaxBond sessions.
func (b *Bond) Add(s Session) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx.Err() != nil {
		return context.Cause(b.ctx)
	}
	if len(b.members) >= MaxBond {
		return errBondFull
	}
	b.enter(&member{Session: s})
	b.divide()
	if b.extents > 0 {
		s.SetExtents(b.extents)
	}
	return nil
}

// enter makes m a member; b.mu is held, or b is new.
func (b *Bond) enter(m *member) {
	b.members = append(b.members, m)
	b.pumps.Go(func() { b.pump(m) })
}

// Sessions returns how many sessions there are.
func (b *Bond) Sessions() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.members)
}

// Done is closed when the bond has ended: by Close, or since one of its sessions has.
func (b *Bond) Done() <-chan struct{} { return b.ctx.Done() }

// pump hands on what a member receives, and ends the bond when the member ends.
func (b *Bond) pump(m *member) {
	for {
		blk, err := m.ReceiveBlock(b.ctx)
		var peer *PeerError
		if errors.As(err, &peer) && peer.Code == CodeDone && m != b.first && b.leadEnds() {
			return
		}
		if err != nil {
			b.fail(err)
			return
		}
		select {
		case b.blocks <- blk:
		case <-b.ctx.Done():
			blk.Release()
		}
	}
}

// endTime is how long the lead may stay behind the other sessions when the peer ends all of them.
const endTime = 10 * time.Second

// leadEnds waits for the lead to end, when the peer has ended another session well: it ends all at once, and what it said last, on the lead, may not
// have been heard yet. It returns false if the lead goes on.
func (b *Bond) leadEnds() bool {
	t := time.NewTimer(endTime)
	defer t.Stop()
	select {
	case <-b.ctx.Done():
		return true
	case <-t.C:
		return false
	}
}

// fail ends the bond for what happened to one of its sessions: the others end, so that the other side knows, too.
func (b *Bond) fail(err error) {
	b.mu.Lock()
	first := b.ctx.Err() == nil
	b.cancel(err)
	members := b.members
	b.mu.Unlock()
	if !first {
		return
	}
	for _, m := range members {
		b.pumps.Go(func() { _ = m.Close(CodeTimeout, "a session of the transfer was lost") }) // the reason is known
	}
}

// reason returns why the bond ended instead of what that did to one of its sessions.
func (b *Bond) reason(ctx context.Context, err error) error {
	if err != nil && ctx.Err() == nil && b.ctx.Err() != nil {
		return context.Cause(b.ctx)
	}
	return err
}

// SendMessage implements Session.
func (b *Bond) SendMessage(ctx context.Context, msg []byte) error {
	return b.reason(ctx, b.first.SendMessage(ctx, msg))
}

// ReceiveMessage implements Session.
func (b *Bond) ReceiveMessage(ctx context.Context) ([]byte, error) {
	msg, err := b.first.ReceiveMessage(ctx)
	return msg, b.reason(ctx, err)
}

// NewBlock implements Session. The block is of the session that has least under way, and SendBlock sends it there.
func (b *Bond) NewBlock(ctx context.Context, n int) (*Block, error) {
	b.mu.Lock()
	m := b.members[0]
	for _, other := range b.members[1:] {
		if other.load < m.load {
			m = other
		}
	}
	m.load += int64(n)
	b.mu.Unlock()
	done := func() {
		b.mu.Lock()
		m.load -= int64(n)
		b.mu.Unlock()
	}
	blk, err := m.NewBlock(ctx, n)
	if err != nil {
		done()
		return nil, b.reason(ctx, err)
	}
	release := blk.release
	blk.via, blk.release = m.Session, func(blk *Block) {
		done()
		if release != nil {
			release(blk)
		}
	}
	return blk, nil
}

// SendBlock implements Session.
func (b *Bond) SendBlock(ctx context.Context, blk *Block) error {
	if blk.via == nil {
		return errors.New("fasp: BUG: a block that is not of this bond")
	}
	return b.reason(ctx, blk.via.SendBlock(ctx, blk))
}

// ReceiveBlock implements Session.
func (b *Bond) ReceiveBlock(ctx context.Context) (*Block, error) {
	select {
	case blk := <-b.blocks:
		return blk, nil
	case <-b.ctx.Done():
		return nil, context.Cause(b.ctx)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// all calls fn for every member, one after the other, and returns the first error.
func (b *Bond) all(fn func(Session) error) error {
	b.mu.Lock()
	members := b.members
	b.mu.Unlock()
	for _, m := range members {
		if err := fn(m.Session); err != nil {
			return err
		}
	}
	return nil
}

// Drained implements Session.
func (b *Bond) Drained(ctx context.Context) error {
	return b.reason(ctx, b.all(func(s Session) error { return s.Drained(ctx) }))
}

// Confirmed implements Session: the lead's word counts.
func (b *Bond) Confirmed(ctx context.Context) error { return b.reason(ctx, b.first.Confirmed(ctx)) }

// SetRates implements Session: each session gets its part of the target and of the minimum.
func (b *Bond) SetRates(r Rates) {
	b.ask(func() { b.rates = &r })
}

// SetGrant implements Session: each session gets its part.
func (b *Bond) SetGrant(r Rate) {
	b.ask(func() { b.grant = &r })
}

// SetDrain implements Session: each session gets its part.
func (b *Bond) SetDrain(r Rate) {
	b.ask(func() { b.drain = &r })
}

// SetExtents implements Session: extents are the bond's, and every session knows of all.
func (b *Bond) SetExtents(n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.extents = max(b.extents, n)
	for _, m := range b.members {
		m.SetExtents(b.extents)
	}
}

// ask notes what is asked of all sessions together, and asks each for its part.
func (b *Bond) ask(note func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	note()
	b.divide()
}

// divide gives every session its part of what was asked of all. b.mu is held.
func (b *Bond) divide() {
	n := Rate(len(b.members))
	part := func(r Rate) Rate {
		if r == 0 {
			return 0 // none stays none
		}
		return max(r/n, 1)
	}
	for _, m := range b.members {
		if b.rates != nil {
			m.SetRates(Rates{Policy: b.rates.Policy, Target: part(b.rates.Target), Min: part(b.rates.Min)})
		}
		if b.grant != nil {
			m.SetGrant(part(*b.grant))
		}
		if b.drain != nil {
			m.SetDrain(part(*b.drain))
		}
	}
}

// Stats implements Session: counts and rates are sums, the rest is the lead's, but for Loss, which is that of all packets.
func (b *Bond) Stats() Stats {
	b.mu.Lock()
	members := b.members
	b.mu.Unlock()
	s := members[0].Stats()
	loss := s.Loss * float64(s.PacketsSent)
	for _, m := range members[1:] {
		t := m.Stats()
		loss += t.Loss * float64(t.PacketsSent)
		s.add(&t)
	}
	if s.PacketsSent > 0 {
		s.Loss = loss / float64(s.PacketsSent)
	}
	return s
}

// Close implements Session, for all sessions of the bond.
func (b *Bond) Close(code Code, reason string) error {
	b.mu.Lock()
	b.cancel(ErrClosed)
	members := b.members
	b.mu.Unlock()
	var wg sync.WaitGroup
	errs := make([]error, len(members))
	for i, m := range members {
		wg.Go(func() { errs[i] = m.Close(code, reason) })
	}
	wg.Wait()
	b.pumps.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}
