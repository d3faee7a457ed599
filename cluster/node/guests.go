package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/fasp/vlink"
)

// A session goes on only while what let it in would do so again (docs/protocol-auth.md section 43.1). It is looked at again as soon as this node has changed a key, an account or a permission, and every
// reviewEvery, since keys may be kept where others change them.
const (
	reviewEvery = 30 * time.Second
	reviewPause = 50 * time.Millisecond // between two looks, so that who changes keys all the time does not keep the node busy with that
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

// review looks at guests until ctx ends.
func (n *Node) review(ctx context.Context) {
	t := time.NewTicker(reviewEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-n.guests.wake:
		case <-ctx.Done():
			return
		}
		n.lookAgain(ctx)
		pause := time.NewTimer(reviewPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
	}
}

// lookAgain ends the sessions and jobs that would not be let in any more, and gives the others the bounds that their keys have now.
func (n *Node) lookAgain(ctx context.Context) {
	type standing struct {
		grant accesskey.Grant
		err   error
	}
	keys := map[string]standing{}
	ask := func(key string) (now accesskey.Grant, err error) {
		s, ok := keys[key]
		if !ok {
			s.grant, s.err = n.checker.Standing(ctx, key)
			keys[key] = s
		}
		return s.grant, s.err
	}
	for _, key := range n.links.Keys() {
		if now, err := ask(key); err == nil {
			n.bound(now)
		}
	}
	check := func(was accesskey.Grant) error {
		now, err := ask(was.KeyID)
		if err != nil {
			return err
		}
		return narrowed(was, now)
	}
	for _, x := range n.guests.list() {
		err := check(x.grant)
		if err == nil && x.folder != "" {
			err = n.stillAllowed(ctx, x)
		}
		switch {
		case err == nil:
		case saysNo(err):
			n.cfg.Logger.Info("a session is ended, since it would not be let in any more", "key", x.grant.KeyID, "user", x.grant.User, "reason", err)
			x.end(told(x.grant, err))
		default:
			n.cfg.Logger.Warn("a session was not looked at again", "key", x.grant.KeyID, "user", x.grant.User, "error", err)
		}
	}
	if n.desk != nil {
		n.desk.jobs.Review(func(was accesskey.Grant) bool {
			err := check(was)
			return err != nil && saysNo(err)
		})
	}
}

// stillAllowed asks for the permissions that let a guest into a folder.
func (n *Node) stillAllowed(ctx context.Context, x guest) error {
	r, err := n.desk.files.Allowed(ctx, x.grant, x.folder)
	if err == nil && !r.Covers(x.rights) {
		err = errNarrowed("the permission that allowed it was changed or withdrawn")
	}
	return err
}

// saysNo tells errors that are an answer from those of a store that gave none.
func saysNo(err error) bool {
	var e errNarrowed
	return errors.As(err, &e) || errors.Is(err, accesskey.ErrNotFound) || errors.Is(err, accesskey.ErrDisabled)
}

// bound applies the bounds of a key to the sessions that it has.
func (n *Node) bound(g accesskey.Grant) {
	if err := n.links.Change(memberOf(g)); err != nil {
		n.cfg.Logger.Warn("sessions of a key keep the vlink that they have: it belongs to one that is not configured; create it, or change the key", "key", g.KeyID, "vlink", g.VLink, "error", err)
	}
}

// memberOf says where the sessions of a key belong.
func memberOf(g accesskey.Grant) vlink.Member {
	return vlink.Member{Link: g.VLink, Key: g.KeyID, Caps: vlink.Caps{Out: fasp.Rate(g.RateCap), In: fasp.Rate(g.RateCap)}}
}

// errNarrowed is why what a key allows is not what it was. The client may come again, and then goes by what holds now.
type errNarrowed string

func (e errNarrowed) Error() string { return string(e) }

// narrowed says what of a grant is not so any more, nil if all is.
func narrowed(was, now accesskey.Grant) error {
	switch {
	case !was.Created.Equal(now.Created):
		return accesskey.ErrNotFound // another one of the same id
	case !now.Rights.Covers(was.Rights):
		return errNarrowed("its rights were changed")
	case placeName(was) != placeName(now):
		return errNarrowed("its storage was changed")
	}
	return nil
}

// told is what the client hears of why its session ends.
func told(was accesskey.Grant, err error) error {
	var e errNarrowed
	switch account := strings.HasPrefix(was.KeyID, accesskey.AccountID("")); {
	case errors.As(err, &e):
		return &transfer.Error{Code: transfer.CodePeerAborted, Err: fmt.Errorf("the server ended the session, since what its credentials allow has changed: %w", err)}
	case account: // see Checker.Standing
		return &transfer.Error{Code: transfer.CodeAuth, Err: errors.New("the server ended the session: its account is gone or was disabled")}
	case errors.Is(err, accesskey.ErrDisabled):
		return &transfer.Error{Code: transfer.CodeAuth, Err: errors.New("the server ended the session: its access key was disabled")}
	}
	return &transfer.Error{Code: transfer.CodeAuth, Err: errors.New("the server ended the session: its access key is gone")}
}
