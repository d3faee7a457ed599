package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/state"
)

// stateName is the state store in the state folder.
const stateName = "state.db"

// openState opens the state store, which the API and SSH need.
func (n *Node) openState(ctx context.Context) (stop func(), err error) {
	n.state, err = state.Open(ctx, state.Config{Path: filepath.Join(n.cfg.StateDir, stateName), Log: n.cfg.Logger})
	if err != nil {
		return nil, err
	}
	return func() {
		if err := n.state.Close(); err != nil {
			n.cfg.Logger.Error("state store not closed", "error", err)
		}
	}, nil
}

// The kinds of users in the state store.
const (
	kindNode = "node" // who manages keys over the API
	kindSSH  = "ssh"  // accounts
)

// setUser makes a user of a kind, with doc, or gives the one that exists this password and leaves the rest of it alone. Without c it does nothing.
func (n *Node) setUser(ctx context.Context, kind string, c *accesskey.Credential, doc json.RawMessage) error {
	if c == nil {
		return nil
	}
	old, err := n.state.User(ctx, kind, c.ID)
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return err
	}
	var p accesskey.Passwords
	if err == nil && len(old.Secret) > 0 {
		if same, err := p.Check(ctx, string(old.Secret), c.Secret); same || err != nil {
			return err
		}
	}
	hash, herr := accesskey.HashPassword(c.Secret)
	if herr != nil {
		return fmt.Errorf("%s user %s: %w", kind, c.ID, herr)
	}
	if err != nil {
		_, err = n.state.CreateUser(ctx, state.User{Kind: kind, Name: c.ID, Secret: []byte(hash), Doc: doc})
		return err
	}
	old.Secret = []byte(hash)
	_, err = n.state.UpdateUser(ctx, old)
	return err
}
