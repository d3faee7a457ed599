package accesskey

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Users are the node's own users, who manage keys. Methods may be called by several goroutines at once.
type Users interface {
	// PasswordHash returns what HashPassword made of the user's password, or ErrNotFound.
	PasswordHash(ctx context.Context, name string) (string, error)
}

// Checker finds out who makes a request and what that allows. Keys is required; what else is nil is not taken. It must not be changed while it is in use, and
// may be used by several goroutines at once.
type Checker struct {
	Keys   Store
	Users  Users
	Tokens *Keyring
	// Accounts are those that transfer tokens may be made for.
	Accounts Accounts
	// Node is the name by which transfer tokens mean this node, see TransferToken.Node.
	Node string
	// Now is the clock; nil is that of the system.
	Now func() time.Time

	passwords Passwords
}

func (c *Checker) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// key looks a key up. Of one that is not known it returns the zero Key, which costs as much to check as any.
func (c *Checker) key(ctx context.Context, id string) (k Key, known bool, err error) {
	k, err = c.Keys.Key(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return Key{}, false, nil
	}
	if err != nil {
		return Key{}, false, fmt.Errorf("look up an access key: %w", err)
	}
	return k, true, nil
}

// granted is the grant of k to who has proved it, if right says so.
func (k Key) granted(id string, right bool) (Grant, error) {
	switch {
	case !right:
		return Grant{KeyID: id}, ErrAuth
	case k.Disabled:
		return Grant{KeyID: id}, ErrDisabled
	}
	return k.Grant(), nil
}

// Standing returns what the access key or account of a Grant.KeyID allows now, for whoever was let in by it before. Errors are ErrNotFound, of an account that was disabled, too, ErrDisabled, and those of the store.
func (c *Checker) Standing(ctx context.Context, id string) (Grant, error) {
	if name, ok := strings.CutPrefix(id, AccountID("")); ok {
		if c.Accounts == nil {
			return Grant{KeyID: id}, ErrNotFound
		}
		return c.Accounts.AccountGrant(ctx, name)
	}
	key, err := c.Keys.Key(ctx, id)
	if err != nil {
		return Grant{KeyID: id}, err
	}
	return key.granted(id, true)
}

// Basic checks an id and a secret that came over a channel whose server is known, such as HTTPS: of an access key, or of a user of the node. Errors are ErrAuth and ErrDisabled,
// and those of the store. With Users, all that fails takes as long, whether there is a key or user of that name or not.
func (c *Checker) Basic(ctx context.Context, id, secret string) (Grant, error) {
	cred := Credential{ID: id, Secret: secret}
	if cred.check() != nil {
		return Grant{}, ErrAuth
	}
	key, known, err := c.key(ctx, id)
	if err != nil {
		return Grant{KeyID: id}, err
	}
	v, err := cred.verifier()
	if err != nil {
		return Grant{KeyID: id}, err
	}
	right := 0
	for _, good := range key.verifiers(c.now()) {
		right |= subtle.ConstantTimeCompare(v[:], good[:])
	}
	if known && right == 1 {
		return key.granted(id, true)
	}
	if c.Users == nil {
		return Grant{KeyID: id}, ErrAuth
	}
	hash, err := c.Users.PasswordHash(ctx, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Grant{KeyID: id}, fmt.Errorf("look up a user: %w", err)
	}
	ok, err := c.passwords.Check(ctx, hash, secret)
	switch {
	case err != nil:
		return Grant{KeyID: id}, err
	case !ok:
		return Grant{KeyID: id}, ErrAuth
	}
	return Grant{Master: true, User: id, Rights: AllRights()}, nil
}

// Bearer checks a bearer token that an application signed for a user of access key id. Errors are ErrAuth, ErrDisabled, ErrExpired, and those of the store.
func (c *Checker) Bearer(ctx context.Context, id, token string) (Grant, error) {
	if checkID(id) != nil {
		return Grant{}, ErrAuth
	}
	key, known, err := c.key(ctx, id)
	if err != nil {
		return Grant{KeyID: id}, err
	}
	takes := known && key.TokenKey != ""
	if !takes {
		key.TokenKey = decoyKey // so that it takes as long
	}
	public, err := ParseTokenKey(key.TokenKey)
	if err != nil {
		return Grant{KeyID: id}, fmt.Errorf("access key %s: %w", id, err)
	}
	b, err := OpenBearer(token, public, c.now())
	if err != nil {
		return Grant{KeyID: id}, err
	}
	if b.Key != id || !takes {
		return Grant{KeyID: id}, ErrAuth
	}
	g, err := key.granted(id, true)
	g.User, g.Groups, g.Expires, g.Owner = b.User, b.Groups, b.Expires, b.Admin
	return g, err
}

// TransferToken checks a transfer token; its key or account must still exist, be the one that it was made for, and be enabled. Errors are ErrAuth, ErrDisabled, ErrExpired, and those of the store.
func (c *Checker) TransferToken(ctx context.Context, token string) (Grant, error) {
	if c.Tokens == nil {
		return Grant{}, ErrAuth
	}
	t, err := c.Tokens.Open(token, c.Node, c.now())
	if err != nil {
		return Grant{}, err
	}
	if t.Account != "" {
		g, err := c.account(ctx, t.Account)
		switch {
		case err != nil:
			return g, err
		case !t.of(g):
			return Grant{KeyID: g.KeyID}, ErrAuth
		}
		return t.bound(g), nil
	}
	key, known, err := c.key(ctx, t.Key)
	if err != nil {
		return Grant{KeyID: t.Key}, err
	}
	g, err := key.granted(t.Key, known && t.of(Grant{Created: key.Created}))
	if err != nil {
		return g, err
	}
	return t.bound(g), nil
}

// Authorization checks what stands in an HTTP header of that name, or what a client was given as token: "Basic ...", "Bearer ..." or a transfer token. key is the access key that
// a bearer token is for; if it is empty the token's own scope says it. Errors are those of the methods for each.
func (c *Checker) Authorization(ctx context.Context, text, key string) (Grant, error) {
	if IsTransferToken(text) {
		return c.TransferToken(ctx, text)
	}
	if bearer, ok := bearerText(text); ok {
		if key == "" {
			key = BearerKey(bearer)
		}
		return c.Bearer(ctx, key, bearer)
	}
	cred, err := ParseToken(text)
	if err != nil {
		return Grant{}, ErrAuth
	}
	return c.Basic(ctx, cred.ID, cred.Secret)
}
