package logins

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
)

type accountMap map[string]Account

func (m accountMap) Account(_ context.Context, name string) (Account, error) {
	if name == "broken" {
		return Account{}, errors.New("no disk")
	}
	a, ok := m[name]
	if !ok {
		return a, accesskey.ErrNotFound
	}
	return a, nil
}

// TestPassword: whatever is wrong, one hash is computed, and nothing of the account is returned.
func TestPassword(t *testing.T) {
	const password = "correct horse battery"
	hash, err := accesskey.HashPassword(password)
	require.NoError(t, err)
	d := NewGate(accountMap{
		"joe": {Name: "joe", PasswordHash: hash}, "off": {Name: "off", PasswordHash: hash, Disabled: true}, "keys": {Name: "keys"}, "damaged": {Name: "damaged", PasswordHash: "x"},
	}, nil)
	hashes, check := 0, d.check
	d.check = func(ctx context.Context, hash, password string) (bool, error) {
		hashes++
		return check(ctx, hash, password)
	}
	a, right, err := d.Password(t.Context(), "joe", password)
	require.NoError(t, err)
	require.True(t, right)
	require.Equal(t, "joe", a.Name)
	for _, c := range []struct{ name, password string }{
		{"joe", "wrong horse battery"}, {"joe", ""}, {"ann", password}, {"off", password}, {"keys", password}, {"keys", ""}, {"../joe", password}, {"", password},
	} {
		hashes = 0
		a, right, err := d.Password(t.Context(), c.name, c.password)
		require.NoError(t, err, c)
		require.False(t, right, c)
		require.Zero(t, a, c)
		require.Equal(t, 1, hashes, c)
	}
	require.Equal(t, Counts{Right: 1, Wrong: 8}, d.Counts())
	for _, name := range []string{"broken", "damaged"} {
		_, right, err := d.Password(t.Context(), name, password)
		require.Error(t, err, name)
		require.False(t, right, name)
	}
}

// TestGate: attempts are counted for all who share a gate, and separately where that is asked for.
func TestGate(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	d := NewGate(accountMap{}, func() time.Time { return now })
	for range AccountBurst {
		require.True(t, d.Try("here", "joe"))
	}
	require.False(t, d.Try("there", "joe"))
	require.False(t, d.Try("", "joe"))
	require.True(t, d.Try("there", ""))
	d.Right("", "joe")
	require.True(t, d.Try("", "joe"))
	for range SourceBurst - AccountBurst {
		require.True(t, d.Try("here", ""))
	}
	require.False(t, d.Try("here", ""))
	d.Right("here", "")
	require.True(t, d.Try("here", "ann"))
	require.False(t, d.Try("here", "ann"))
	now = now.Add(AccountRefill)
	require.True(t, d.Try("here", "joe"))
}

// TestGateWrong: who is wrong with requests has as many attempts as with logins, and who is right none less.
func TestGateWrong(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	d := NewGate(accountMap{}, func() time.Time { return now })
	for range SourceBurst {
		require.False(t, d.Spent("here"))
		d.Wrong("here")
	}
	require.True(t, d.Spent("here"))
	require.False(t, d.Spent("there"))
	require.False(t, d.Try("here", "joe"), "they are the same attempts")
	require.Equal(t, Counts{Wrong: SourceBurst, Limited: 2}, d.Counts())
	now = now.Add(SourceRefill)
	require.False(t, d.Spent("here"))
	require.False(t, d.Spent("here"))
}

type closer struct{ closed bool }

func (c *closer) Close() error { c.closed = true; return nil }

// TestCrowd: the oldest that waits gives way, and who has logged in is bounded in all and by account.
func TestCrowd(t *testing.T) {
	w := NewCrowd(3, 2, 2)
	a, b, c := new(closer), new(closer), new(closer)
	for _, x := range []*closer{a, b, c} {
		w.Admit(x)
	}
	require.True(t, a.closed)
	require.False(t, b.closed || c.closed)
	require.False(t, w.Left(a), "it had to go")
	require.True(t, w.Left(b))
	require.False(t, w.Left(b))
	require.True(t, w.Enter("joe"))
	require.True(t, w.Enter("joe"))
	require.False(t, w.Enter("joe"))
	require.True(t, w.Enter("ann"))
	require.False(t, w.Enter("bob"))
	require.Equal(t, Stats{Conns: 3, Unauthenticated: 1}, w.Stats())
	w.Leave("joe")
	require.True(t, w.Enter("bob"))
	for _, name := range []string{"joe", "ann", "bob"} {
		w.Leave(name)
	}
	require.Equal(t, Stats{Unauthenticated: 1}, w.Stats())
	require.Empty(t, w.serving)
	require.False(t, c.closed)
	w.Dismiss()
	require.True(t, c.closed)
}
