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

// turns bounds how many listings go on at a time. One key too many is refused; all together wait for one another.
type turns struct {
	all chan struct{}

	mu  sync.Mutex // guards key
	key map[string]int
}

func newTurns() *turns { return &turns{all: make(chan struct{}, maxListings), key: map[string]int{}} }

// take waits for a turn of g. done must be called behind the listing.
func (t *turns) take(ctx context.Context, g accesskey.Grant) (done func(), err error) {
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
