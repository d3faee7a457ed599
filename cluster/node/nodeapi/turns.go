package nodeapi

import (
	"context"
	"net/http"
	"sync"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
)

const (
	maxListings    = 32 // at a time: each may hold maxReach entries
	maxListingsKey = 8  // of one key, so that it does not take those of others
)

// Listings bounds how many listings go on at a time, since each keeps what is on its pages: 32, and 8 of one key. One of a key too many is refused; all together wait for one another. Its
// methods may be called by several goroutines at once.
type Listings struct {
	all chan struct{}

	mu  sync.Mutex // guards key
	key map[string]int
}

// NewListings returns Listings of which none goes on.
func NewListings() *Listings {
	return &Listings{all: make(chan struct{}, maxListings), key: map[string]int{}}
}

// Take waits for a turn of g. done must be called behind the listing.
func (t *Listings) Take(ctx context.Context, g accesskey.Grant) (done func(), err error) {
	who := "key " + g.KeyID
	if g.Master {
		who = "user " + g.User
	}
	t.mu.Lock()
	n := t.key[who]
	if n < maxListingsKey {
		t.key[who]++
	}
	t.mu.Unlock()
	if n >= maxListingsKey {
		return nil, api.Errorf(http.StatusTooManyRequests, "%d listings of this access key are under way; wait for one to end", n)
	}
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.key[who]--; t.key[who] == 0 {
			delete(t.key, who)
		}
	}
	select {
	case t.all <- struct{}{}:
		return func() { <-t.all; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}
