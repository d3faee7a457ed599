package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
