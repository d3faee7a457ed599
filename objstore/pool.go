package objstore

import (
	"context"
	"fmt"
	"sync"
)

// Pool bounds the memory that parts take, for everything in a process that shares it: uploads, read-ahead and the
// sessions that write to stores. It counts bytes and holds none. Methods may be called by several goroutines at once.
type Pool struct {
	size int64

	mu      sync.Mutex // protects the rest
	used    int64
	floor   int64 // sum of the floors of all shares
	shares  map[*Share]struct{}
	waiting []*poolWaiter // first come, first served
	readers int           // that read ahead
	ahead   int64         // bytes that they have, of used
}

type poolWaiter struct {
	n     int64
	share *Share // nil for Acquire
	ready chan struct{}
}

// NewPool returns a Pool of so many bytes.
func NewPool(bytes int64) *Pool {
	return &Pool{size: max(bytes, 1), shares: make(map[*Share]struct{})}
}

// Size returns the bound in bytes.
func (p *Pool) Size() int64 { return p.size }

// Used returns the bytes that are taken.
func (p *Pool) Used() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
}

// Acquire takes n bytes, and waits for its turn until they are free. More than the whole pool is Invalid.
func (p *Pool) Acquire(ctx context.Context, n int64) error {
	return p.wait(ctx, n, nil)
}

// Release gives n acquired bytes back.
func (p *Pool) Release(n int64) {
	p.mu.Lock()
	p.used -= n
	if p.used < 0 {
		panic("BUG: objstore: more released to a Pool than was taken")
	}
	wake := p.admit()
	p.mu.Unlock()
	for _, f := range wake {
		f()
	}
}

func (p *Pool) wait(ctx context.Context, n int64, s *Share) error {
	if n > p.size {
		return &Error{Op: "take part memory", Kind: Invalid, Err: fmt.Errorf("%d bytes are wanted at once of a pool of %d", n, p.size), Hint: "smaller parts or a larger pool"}
	}
	w := &poolWaiter{n: n, share: s, ready: make(chan struct{})}
	p.mu.Lock()
	p.waiting = append(p.waiting, w)
	wake := p.admit()
	p.mu.Unlock()
	for _, f := range wake {
		f()
	}
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	for i, o := range p.waiting {
		if o == w {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			wake = p.admit() // whoever stood behind may fit
			p.mu.Unlock()
			for _, f := range wake {
				f()
			}
			return context.Cause(ctx)
		}
	}
	p.mu.Unlock()
	// It was admitted at the same moment.
	if s == nil {
		p.Release(n)
	} else {
		s.Leave()
	}
	return context.Cause(ctx)
}

// admit lets in those who wait, in order, and returns what to call without the lock: the shares that may get more.
// p.mu is held.
func (p *Pool) admit() []func() {
	for len(p.waiting) > 0 {
		w := p.waiting[0]
		if w.share != nil && p.floor+w.n > p.size || p.used+w.n > p.size {
			break
		}
		p.waiting = p.waiting[1:]
		p.used += w.n
		if w.share != nil {
			w.share.used, w.share.floor = w.n, w.n
			p.floor += w.n
			p.shares[w.share] = struct{}{}
		}
		close(w.ready)
	}
	if p.used >= p.size {
		return nil
	}
	var wake []func()
	for s := range p.shares {
		if s.wanting && s.may() > 0 {
			wake = append(wake, s.notify)
		}
	}
	return wake
}

// Share is the part of a Pool that one user takes ahead of its needs, such as to promise it to a peer. All shares of a
// pool get equally much, between their floor and their ceiling.
type Share struct {
	p       *Pool
	ceiling int64
	notify  func()

	// protected by Pool.mu
	used, floor int64
	wanting     bool
	left        bool
}

// Join waits until floor bytes are free, takes them and returns the Share. ceiling is what it may grow to. notify is
// called, not under a lock, when Take may give more than it did; it must not block.
func (p *Pool) Join(ctx context.Context, floor, ceiling int64, notify func()) (*Share, error) {
	s := &Share{p: p, ceiling: max(ceiling, floor), notify: notify}
	if err := p.wait(ctx, floor, s); err != nil {
		return nil, err
	}
	return s, nil
}

// may returns how many bytes the share can take now. Pool.mu is held.
func (s *Share) may() int64 {
	if s.left || len(s.p.waiting) > 0 && s.used >= s.floor {
		return 0 // who waits comes first
	}
	fair := max(s.p.size/int64(max(len(s.p.shares), 1)), s.floor)
	return max(0, min(s.p.size-s.p.used, min(fair, s.ceiling)-s.used))
}

// Take takes up to n bytes, in multiples of unit, and returns how many. If they are fewer, notify tells when to ask again.
func (s *Share) Take(n, unit int64) int64 {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	got := min(n, s.may()) / unit * unit
	s.wanting = got < n
	s.used += got
	s.p.used += got
	return got
}

// Give gives n bytes back.
func (s *Share) Give(n int64) {
	s.p.mu.Lock()
	if s.left {
		s.p.mu.Unlock()
		return
	}
	if n > s.used {
		panic("BUG: objstore: more given back to a Pool than the share had")
	}
	s.used -= n
	s.p.used -= n
	wake := s.p.admit()
	s.p.mu.Unlock()
	for _, f := range wake {
		f()
	}
}

// Used returns the bytes that the share has.
func (s *Share) Used() int64 {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.used
}

// Leave gives all back. Later calls do nothing.
func (s *Share) Leave() {
	s.p.mu.Lock()
	if s.left {
		s.p.mu.Unlock()
		return
	}
	s.left = true
	delete(s.p.shares, s)
	s.p.used -= s.used
	s.p.floor -= s.floor
	s.used = 0
	wake := s.p.admit()
	s.p.mu.Unlock()
	for _, f := range wake {
		f()
	}
}
