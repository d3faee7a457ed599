package node

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tradewind-io/tradewind/accesskey"
)

// guests are the sessions that are served. The zero value is not usable; see newGuests.
type guests struct {
	epoch atomic.Int64  // of what lets sessions in; see enter
	wake  chan struct{} // holds a token when there is something to look at

	mu      sync.Mutex // guards what follows, and the folders of the guests
	all     map[*guest]struct{}
	entered uint64 // how many have ever been
}

// guest is a session that is served.
type guest struct {
	number uint64 // in the order in which they entered
	end    context.CancelCauseFunc
	grant  accesskey.Grant  // what let it in
	folder string           // the id of the folder that permissions let it into, "" if none were needed
	rights accesskey.Rights // that they gave
}

func newGuests() *guests { return &guests{wake: make(chan struct{}, 1), all: map[*guest]struct{}{}} }

// changed has all guests looked at again. With why, which is accesskey.ErrDisabled or ErrNotFound, those of a key end at once, whatever becomes of it in the next moment.
func (g *guests) changed(key string, why error) {
	g.epoch.Add(1)
	if why != nil {
		for _, x := range g.list() {
			if x.grant.KeyID == key {
				x.end(told(x.grant, why))
			}
		}
	}
	g.look()
}

// look has all guests looked at again, though nothing may have changed.
func (g *guests) look() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// enter adds a session that was let in by what held in an epoch, or later. leave must be called at its end.
func (g *guests) enter(x *guest, epoch int64) (leave func()) {
	g.mu.Lock()
	g.entered++
	x.number = g.entered
	g.all[x] = struct{}{}
	g.mu.Unlock()
	g.since(epoch)
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.all, x)
	}
}

// since looks again if something has changed after an epoch, when the guest was not there to be looked at.
func (g *guests) since(epoch int64) {
	if g.epoch.Load() != epoch {
		g.look() // it is no change: each of those who enter side by side would have the next one looked at, for ever
	}
}

// allowed notes what permissions gave a guest, in an epoch or later.
func (g *guests) allowed(x *guest, folder string, r accesskey.Rights, epoch int64) {
	g.mu.Lock()
	x.folder, x.rights = folder, r
	g.mu.Unlock()
	g.since(epoch)
}

// list returns copies of the guests in the order in which they entered: sessions that joined another one come after it, and do not end before it has heard why.
func (g *guests) list() []guest {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]guest, 0, len(g.all))
	for x := range g.all {
		out = append(out, *x)
	}
	slices.SortFunc(out, func(a, b guest) int { return cmp.Compare(a.number, b.number) })
	return out
}
