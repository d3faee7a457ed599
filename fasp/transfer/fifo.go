package transfer

import (
	"context"
	"sync"
	"time"
)

// fifo is a queue between goroutines. It has no bound of its own: what may stand in it is bounded by the
// windows of those who push (docs/protocol-transfer.md section 24). The zero fifo must be made by newFifo.
type fifo[T any] struct {
	mu    sync.Mutex // protects items
	items []T
	wake  chan struct{}
}

func newFifo[T any]() *fifo[T] { return &fifo[T]{wake: make(chan struct{}, 1)} }

func (q *fifo[T]) push(v T) {
	q.mu.Lock()
	q.items = append(q.items, v)
	q.mu.Unlock()
	q.signal()
}

func (q *fifo[T]) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *fifo[T]) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

func (q *fifo[T]) tryPop() (v T, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return v, false
	}
	v = q.items[0]
	var zero T
	q.items[0] = zero
	q.items = q.items[1:]
	if len(q.items) > 0 {
		q.signal() // for the next of several poppers
	}
	return v, true
}

// tryPopLast takes what was pushed last.
func (q *fifo[T]) tryPopLast() (v T, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.items)
	if n == 0 {
		return v, false
	}
	v = q.items[n-1]
	var zero T
	q.items[n-1] = zero
	q.items = q.items[:n-1]
	return v, true
}

func (q *fifo[T]) pop(ctx context.Context) (v T, err error) {
	for {
		if v, ok := q.tryPop(); ok {
			return v, nil
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return v, context.Cause(ctx)
		}
	}
}

// popWithin is pop that gives up after d.
func (q *fifo[T]) popWithin(ctx context.Context, d time.Duration) (v T, ok bool) {
	if v, ok := q.tryPop(); ok {
		return v, true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-q.wake:
			if v, ok := q.tryPop(); ok {
				return v, true
			}
		case <-t.C:
			return v, false
		case <-ctx.Done():
			return v, false
		}
	}
}

// takeAll empties the queue.
func (q *fifo[T]) takeAll() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items = nil
	return items
}
