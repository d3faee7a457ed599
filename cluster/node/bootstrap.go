package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/state"
)

// bootstrap makes the key, the user and the account that the configuration names, or gives those that are there these secrets and leaves the rest of them alone.
func (n *Node) bootstrap(ctx context.Context) error {
	if err := n.bootstrapKey(ctx); err != nil {
		return err
	}
	if u := n.cfg.APIUser; u != nil {
		if err := checkNodeUser(u.ID); err != nil {
			return fmt.Errorf("user of the node: %w", err)
		}
		if err := n.desk.people.setUser(ctx, kindNode, *u, nil); err != nil {
			return err
		}
	}
	if u := n.cfg.SSHUser; u != nil {
		if err := accesskey.CheckAccount(u.ID); err != nil {
			return err
		}
		doc, err := json.Marshal(accountDoc{Rights: []string{"all"}})
		if err != nil {
			return err
		}
		return n.desk.people.setUser(ctx, kindSSH, *u, doc)
	}
	return nil
}

func (n *Node) bootstrapKey(ctx context.Context) error {
	c := n.cfg.AccessKey
	if c == nil {
		return nil
	}
	key, warning, err := accesskey.NewKey(*c)
	if err != nil {
		return err
	}
	if warning != "" {
		n.cfg.Logger.Warn(warning, "key", key.ID)
	}
	keys := n.checker.Keys
	old, err := keys.Key(ctx, key.ID)
	switch {
	case errors.Is(err, accesskey.ErrNotFound):
		key.Created = time.Now().UTC().Truncate(time.Second)
	case err != nil:
		return err
	default:
		if old.Disabled {
			n.cfg.Logger.Warn("the access key of the configuration is disabled and stays so; twnode keys enable allows it again", "key", old.ID)
		}
		v := key.Verifier
		if key = old; key.Verifier == v {
			return nil
		}
		key.Verifier = v
	}
	return keys.Put(ctx, key)
}

// The kinds of users in the state store.
const (
	kindNode = "node" // who manages keys over the API
	kindSSH  = "ssh"  // accounts
)

// setUser makes a user of a kind, with doc, or gives the one that exists this password and leaves the rest of it alone.
func (a *accounts) setUser(ctx context.Context, kind string, c accesskey.Credential, doc json.RawMessage) error {
	old, err := a.state.User(ctx, kind, c.ID)
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
		_, err = a.state.CreateUser(ctx, state.User{Kind: kind, Name: c.ID, Secret: []byte(hash), Doc: doc})
		return err
	}
	old.Secret = []byte(hash)
	_, err = a.state.UpdateUser(ctx, old)
	return err
}
