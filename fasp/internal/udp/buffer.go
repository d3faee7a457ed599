package udp

import (
	"sync"
	"sync/atomic"
)

const (
	slotSize  = 1 << 16 // of a large Buffer; no message is longer, so none is truncated
	smallSize = 2 << 10 // of a small one: a datagram of an ordinary path

	// maxLarge and maxSmall bound the memory that received datagrams take in a Batch: 128 MiB of what came joined, of which only the pages
	// that datagrams have touched are real, and 32 MiB of single datagrams. Sessions that are slow to look hold them; what comes
	// meanwhile waits in the system's own buffer.
	maxLarge = 2048
	maxSmall = 16384
)

// Buffer is memory that the datagrams of one Train lie in. It goes back to its Batch when everyone who holds it has called Release.
type Buffer struct {
	mem  []byte
	refs atomic.Int32
	pool *bufferPool
}

// Large says whether b is one of the large ones, of which there are few.
func (b *Buffer) Large() bool { return len(b.mem) == slotSize }

// Release gives up one hold on b, from any goroutine. What lies in b must not be used by its holder any more.
func (b *Buffer) Release() {
	if b.refs.Add(-1) == 0 {
		b.pool.put(b)
	}
}

// bufferPool hands out Buffers of one size, the one that came back last first: the processor's caches still have it.
type bufferPool struct {
	size, most int

	mu   sync.Mutex
	back sync.Cond // one was released
	free []*Buffer
	made int
}

func newBufferPool(size, most int) *bufferPool {
	p := &bufferPool{size: size, most: most}
	p.back.L = &p.mu
	return p
}

// used is the number of Buffers in use.
func (p *bufferPool) used() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made - len(p.free)
}

// left is the number of Buffers that get returns without waiting.
func (p *bufferPool) left() int { return p.most - p.used() }

// get returns a Buffer with one hold on it. When as many as there may be are in use it waits until one is released.
func (p *bufferPool) get() *Buffer {
	p.mu.Lock()
	for len(p.free) == 0 && p.made == p.most {
		p.back.Wait()
	}
	var b *Buffer
	if k := len(p.free) - 1; k >= 0 {
		b, p.free = p.free[k], p.free[:k]
	} else {
		p.made++
		b = &Buffer{pool: p}
	}
	p.mu.Unlock()
	if b.mem == nil {
		b.mem = make([]byte, p.size)
	}
	b.refs.Store(1)
	return b
}

// put takes back a Buffer that nobody holds.
func (p *bufferPool) put(b *Buffer) {
	p.mu.Lock()
	p.free = append(p.free, b)
	p.mu.Unlock()
	p.back.Signal()
}

// buffers are the two sizes of a Batch.
type buffers struct{ small, large *bufferPool }

func newBuffers() buffers {
	return buffers{newBufferPool(smallSize, maxSmall), newBufferPool(slotSize, maxLarge)}
}

// renew returns b if nobody else holds it, else another large Buffer in its place; nil, too, is replaced.
func (p *buffers) renew(b *Buffer) *Buffer {
	switch {
	case b == nil:
		return p.large.get()
	case b.refs.Load() == 1: // only who asks can hand out more
		return b
	}
	b.Release()
	return p.large.get()
}

// keep returns t and what it lies in, with a hold on it: b, in which it is now, or a copy, so that what is small does not hold much.
func (p *buffers) keep(t Train, b *Buffer) (Train, *Buffer) {
	if len(t.Buf) > smallSize {
		b.refs.Add(1)
		return t, b
	}
	s := p.small.get()
	n := copy(s.mem, t.Buf)
	t.Buf = s.mem[:n:n]
	return t, s
}
