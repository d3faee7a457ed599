package logins

import (
	"io"
	"slices"
	"sync"
)

// Crowd bounds the connections of a server:
//
//	Admit: waiting --Enter: logged in--> serving --Leave--> ended
//	          \--Left: wrong, too slow; too many of them--> ended
//
// Methods may be called by several goroutines at once.
type Crowd struct {
	maxConns, maxPerAccount, maxWaiting int

	mu      sync.Mutex     // guards what follows
	waiting []io.Closer    // that have not logged in, oldest first
	serving map[string]int // connections by account
	total   int            // their sum
}

// NewCrowd returns a crowd of at most so many connections that have logged in, in all and of one account, and that have not.
func NewCrowd(maxConns, maxPerAccount, maxWaiting int) *Crowd {
	return &Crowd{maxConns: maxConns, maxPerAccount: maxPerAccount, maxWaiting: maxWaiting, serving: map[string]int{}}
}

// Admit enters a new connection into the books. Where there are too many that have not logged in, the oldest is closed: an honest client does not wait. c is compared with others, so it is a pointer.
func (w *Crowd) Admit(c io.Closer) {
	w.mu.Lock()
	var old io.Closer
	if len(w.waiting) >= w.maxWaiting {
		old = w.waiting[0]
		w.waiting = slices.Delete(w.waiting, 0, 1)
	}
	w.waiting = append(w.waiting, c)
	w.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
}

// Left takes a connection out of those that wait; false if it had to go before.
func (w *Crowd) Left(c io.Closer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.waiting, c)
	if i >= 0 {
		w.waiting = slices.Delete(w.waiting, i, i+1)
	}
	return i >= 0
}

// Dismiss closes all that wait. Their Close calls Left.
func (w *Crowd) Dismiss() {
	w.mu.Lock()
	waiting := slices.Clone(w.waiting)
	w.mu.Unlock()
	for _, c := range waiting {
		_ = c.Close()
	}
}

// Enter counts a connection of an account, unless there are too many.
func (w *Crowd) Enter(account string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.total >= w.maxConns || w.serving[account] >= w.maxPerAccount {
		return false
	}
	w.total++
	w.serving[account]++
	return true
}

// Leave takes back what Enter counted.
func (w *Crowd) Leave(account string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total--
	if w.serving[account]--; w.serving[account] == 0 {
		delete(w.serving, account)
	}
}

// Stats is how many connections there are now.
type Stats struct {
	Conns           int // that have logged in
	Unauthenticated int // that have not
}

// Stats returns the counters.
func (w *Crowd) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Stats{Conns: w.total, Unauthenticated: len(w.waiting)}
}
