package accesskey

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// accountMap is Accounts in memory.
type accountMap map[string]Grant

func (m accountMap) AccountGrant(_ context.Context, name string) (Grant, error) {
	if name == "broken" {
		return Grant{}, errors.New("no disk")
	}
	g, ok := m[name]
	if !ok {
		return Grant{}, ErrNotFound
	}
	return g, nil
}

// TestAccountTokens: a token for an account opens what the account may do when it is redeemed, and nothing of a key of that name.
func TestAccountTokens(t *testing.T) {
	ctx, now := t.Context(), time.Unix(1_800_000_000, 0)
	store := &MemStore{}
	require.NoError(t, store.Put(ctx, testKey(t, Credential{ID: "joe", Secret: "joe-0123456789-0123456789-abcdef"})))
	accounts := accountMap{"joe": {Root: "home/joe", Rights: AllRights(), RateCap: 7}}
	c := &Checker{Keys: store, Accounts: accounts, Tokens: NewKeyring(NewMaster()), Node: "n1", Now: func() time.Time { return now }}
	tok := TransferToken{Account: "joe", Direction: Upload, Paths: []string{"/in/"}, Node: "n1", Expires: now.Add(time.Minute)}
	open := func(mend func(*TransferToken)) (Grant, error) {
		x := tok
		mend(&x)
		text, err := c.Tokens.Seal(x)
		require.NoError(t, err)
		return c.TransferToken(ctx, text)
	}
	same := func(*TransferToken) {}
	g, err := open(same)
	require.NoError(t, err)
	require.Equal(t, Grant{
		KeyID: "ssh:joe", Root: "home/joe", Rights: Rights{Write: true, Delete: true}, RateCap: 7, Direction: Upload, Within: []string{"in"}, Expires: tok.Expires,
	}, g)
	g, err = open(func(x *TransferToken) { x.Direction, x.Paths = Manage, nil })
	require.NoError(t, err)
	require.Equal(t, Manage, g.Direction)
	require.Equal(t, AllRights(), g.Rights)
	require.Nil(t, g.Within)

	for name, mend := range map[string]func(*TransferToken){
		"unknown": func(x *TransferToken) { x.Account = "ann" }, "another node": func(x *TransferToken) { x.Node = "n2" },
	} {
		_, err := open(mend)
		require.Equal(t, ErrAuth, err, name)
	}
	_, err = open(func(x *TransferToken) { x.Expires = now })
	require.Equal(t, ErrExpired, err)
	_, err = open(func(x *TransferToken) { x.Account = "broken" })
	require.ErrorContains(t, err, "no disk")
	delete(accounts, "joe")
	_, err = open(same)
	require.Equal(t, ErrAuth, err, "it has gone since, and the key of that name does not stand in")
	c.Accounts = nil
	_, err = open(same)
	require.Equal(t, ErrAuth, err)

	for _, bad := range []TransferToken{
		{Account: "joe", Key: "joe", Direction: Upload, Paths: []string{"a"}, Expires: now},
		{Account: "joe", Direction: Manage, Paths: []string{"a"}, Expires: now},
		{Key: "joe", Direction: Manage, Paths: []string{"a"}, Expires: now},
		{Account: "../joe", Direction: Manage, Expires: now},
		{Account: "joe", Direction: Upload, Expires: now},
		{Account: "joe", Direction: 9, Paths: []string{"a"}, Expires: now},
	} {
		_, err := c.Tokens.Seal(bad)
		require.Error(t, err, "%+v", bad)
	}
}

func TestCheckAccount(t *testing.T) {
	for _, good := range []string{"joe", "joe.smith", "j-o_e", "JOE2"} {
		require.NoError(t, CheckAccount(good), good)
	}
	for _, bad := range []string{"", ".", "..", ".ssh", "-i", "a/b", `a\b`, "a:b", "a b", "j\u00f6", "a\x00", "a@b", "*", strings.Repeat("x", MaxID+1)} {
		require.Error(t, CheckAccount(bad), bad)
	}
}
