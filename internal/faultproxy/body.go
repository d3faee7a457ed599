package faultproxy

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// Why a body ended before its time, on purpose.
var (
	errReset    = errors.New("faultproxy: reset")
	errTruncate = errors.New("faultproxy: truncated")
)

// body passes a body on and does to it what its fault says. It is used by one goroutine at a time.
type body struct {
	ctx    context.Context // ends with the proxy, and with the request's client
	r      io.Reader
	fault  Body
	off    int64
	bucket *bucket
	seen   func(b []byte) // counts and logs

	done bool // Corrupt or Stall has been done
	// cut is why the body was ended on purpose, once it was. The transport may hide the error that Read returned.
	mu  sync.Mutex // protects cut
	cut error
}

func (b *body) Read(buf []byte) (int, error) {
	if len(buf) == 0 {
		return 0, nil
	}
	ahead := b.fault.At - b.off // bytes before the fault
	if b.fault.Do != Pass && ahead > 0 && ahead < int64(len(buf)) {
		buf = buf[:ahead]
	}
	if b.fault.Do == Trickle && ahead <= 0 {
		buf = buf[:min(len(buf), max(b.fault.Piece, 1))]
		if err := wait(b.ctx, b.fault.Every); err != nil {
			return 0, err
		}
	}
	if ahead == 0 {
		switch b.fault.Do {
		case Reset:
			return 0, b.end(errReset)
		case Truncate:
			return 0, b.end(errTruncate)
		case Stall:
			if !b.done {
				b.done = true
				select {
				case <-b.fault.Release:
				case <-b.ctx.Done():
					return 0, context.Cause(b.ctx)
				}
			}
		}
	}
	n, err := b.r.Read(buf[:min(len(buf), b.bucket.most())])
	if n > 0 && ahead == 0 && b.fault.Do == Corrupt && !b.done {
		b.done = true
		buf[0] ^= 0x10
	}
	b.off += int64(n)
	b.seen(buf[:n])
	if werr := b.bucket.take(b.ctx, n); werr != nil && err == nil {
		err = werr
	}
	return n, err
}

func (b *body) end(why error) error {
	b.mu.Lock()
	b.cut = why
	b.mu.Unlock()
	return why
}

// ended returns why the body was ended on purpose, nil if it was not.
func (b *body) ended() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cut
}

// Close does nothing: whoever has the underlying body closes it.
func (b *body) Close() error { return nil }

// bucket is a token bucket for bytes. The zero value does not limit.
type bucket struct {
	rate int64 // bytes a second, 0 = no limit

	mu   sync.Mutex // protects next
	next time.Time  // when the bytes let through so far have passed
}

// most is how many bytes to take at once, so that the flow is even.
func (b *bucket) most() int {
	if b.rate == 0 {
		return 1 << 20
	}
	return int(max(b.rate/100, 1))
}

// take waits for the turn of n bytes. Unused capacity of up to 10 ms is kept.
func (b *bucket) take(ctx context.Context, n int) error {
	if b.rate == 0 {
		return nil
	}
	b.mu.Lock()
	now := time.Now()
	if floor := now.Add(-10 * time.Millisecond); b.next.Before(floor) {
		b.next = floor
	}
	b.next = b.next.Add(time.Duration(float64(n) / float64(b.rate) * float64(time.Second)))
	d := b.next.Sub(now)
	b.mu.Unlock()
	return wait(ctx, d)
}

// wait returns after d, or with an error when ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
