package objstore

import (
	"context"
	"slices"
	"sync"
)

// firstLimit is how many requests are let in at a time before anything is known about the store. Every platform bears so
// many from one client. From a lower start an object of a few large parts would be there before the limit has grown.
const firstLimit = 16

// limiter lets in as many requests at a time as the store takes well: one more after each round of successes at the
// limit, half as many when the store is busy. Requests come in their order. Methods may be called by several goroutines.
type limiter struct {
	ceiling int

	mu      sync.Mutex // protects the rest
	limit   int        // requests that may be under way, 1..ceiling
	used    int        // requests under way
	streak  int        // successes at the limit since it changed
	begun   uint64     // requests let in so far
	halved  uint64     // begun, when the limit was last halved
	waiting []*limitWaiter
	closed  bool
}

type limitWaiter struct {
	ready chan struct{} // closed once turn or closed is set
	turn  uint64
	shut  bool
}

func newLimiter(ceiling int) *limiter {
	ceiling = max(ceiling, 1)
	return &limiter{ceiling: ceiling, limit: min(firstLimit, ceiling)}
}

// acquire waits for a turn and returns its number, for release.
func (l *limiter) acquire(ctx context.Context) (turn uint64, err error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return 0, &Error{Kind: Closed}
	}
	w := &limitWaiter{ready: make(chan struct{})}
	l.waiting = append(l.waiting, w)
	l.admit()
	l.mu.Unlock()
	select {
	case <-w.ready:
	case <-ctx.Done():
		l.mu.Lock()
		if i := slices.Index(l.waiting, w); i >= 0 {
			l.waiting = slices.Delete(l.waiting, i, i+1)
		} else if !w.shut {
			// It was let in at the same moment.
			l.used--
			l.admit()
		}
		l.mu.Unlock()
		return 0, context.Cause(ctx)
	}
	if w.shut {
		return 0, &Error{Kind: Closed}
	}
	return w.turn, nil
}

// release ends the request with that turn. Its error says how the store bears the load.
func (l *limiter) release(turn uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch kind := KindOf(err); {
	case kind == Busy:
		// The requests that were under way together all get the same answer; only one that began after the last cut
		// says that the cut was not enough.
		if turn > l.halved {
			l.limit = max(l.limit/2, 1)
			l.halved, l.streak = l.begun, 0
		}
	case err != nil && (kind.Temporary() || kind == Other):
		// It says nothing about the load.
	case l.used >= l.limit:
		// Where fewer are under way than may be, success does not prove that more would do.
		if l.streak++; l.streak >= l.limit && l.limit < l.ceiling {
			l.limit++
			l.streak = 0
		}
	}
	l.used--
	l.admit()
}

// admit lets in who waits. l.mu is held.
func (l *limiter) admit() {
	for len(l.waiting) > 0 && l.used < l.limit {
		w := l.waiting[0]
		l.waiting = l.waiting[1:]
		l.used++
		l.begun++
		w.turn = l.begun
		close(w.ready)
	}
}

// close turns away who waits and who comes.
func (l *limiter) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, w := range l.waiting {
		w.shut = true
		close(w.ready)
	}
	l.waiting = nil
}
