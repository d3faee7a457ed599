package objstore

import "context"

// buffer is memory for n bytes that were taken from the Pool.
func (b *Bucket) buffer(n int64) []byte {
	if p, ok := b.buffers.Get().(*[]byte); ok {
		// A much larger one would hold more memory than the Pool knows of.
		if c := int64(cap(*p)); c >= n && c <= n+n/4 {
			return (*p)[:n]
		}
	}
	return make([]byte, n)
}

// recycleLeast is from which size on buffers are worth keeping.
const recycleLeast = 256 << 10

// recycle keeps the memory of p for the next buffer; nobody may use p any more.
func (b *Bucket) recycle(p []byte) {
	if cap(p) >= recycleLeast {
		b.buffers.Put(&p)
	}
}

// acquire takes a buffer of n bytes, waiting for the Pool, and returns what gives it back.
func (b *Bucket) acquire(ctx context.Context, op, key string, n int64) (p []byte, release func(), err error) {
	if err := b.cfg.Pool.Acquire(ctx, n); err != nil {
		return nil, nil, failure(ctx, op, key, err)
	}
	p = b.buffer(n)
	return p, func() {
		b.recycle(p)
		b.cfg.Pool.Release(n)
	}, nil
}

// ahead is what a Reader has of a Pool. All Readers of a Pool together take at most half of it, and each as much as the
// others, so that who must have memory before its bytes can be read on, such as a Write of what a Reader brings, gets it.
type ahead struct {
	p    *Pool
	used int64 // protected by Pool.mu
	left bool
}

// readAhead joins the readers of the pool.
func (p *Pool) readAhead() *ahead {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readers++
	return &ahead{p: p}
}

// take takes up to n bytes, and at least least, without waiting; 0 if there are fewer.
func (a *ahead) take(n, least int64) int64 {
	p := a.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.left || len(p.waiting) > 0 {
		return 0
	}
	free := min(p.size-p.used, p.size/2-p.ahead, p.size/2/int64(p.readers)-a.used)
	n = min(n, max(free, 0))
	if n < least {
		return 0
	}
	a.used += n
	p.ahead += n
	p.used += n
	return n
}

// give gives n bytes back.
func (a *ahead) give(n int64) {
	a.p.mu.Lock()
	a.used -= n
	a.p.ahead -= n
	a.p.mu.Unlock()
	a.p.Release(n)
}

// leave ends the membership, when all bytes have been given back.
func (a *ahead) leave() {
	a.p.mu.Lock()
	defer a.p.mu.Unlock()
	if a.used != 0 {
		panic("BUG: objstore: a Reader left a Pool with bytes of it")
	}
	if !a.left {
		a.left = true
		a.p.readers--
	}
}
