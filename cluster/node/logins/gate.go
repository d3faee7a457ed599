package logins

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
)

// Gate checks who logs in. Methods may be called by several goroutines at once.
type Gate struct {
	accounts Accounts
	now      func() time.Time
	check    func(ctx context.Context, hash, password string) (bool, error) // of accesskey.Passwords

	mu     sync.Mutex // guards the rest
	limits *limits
	counts Counts
}

// Counts is what a gate has seen since it was made.
type Counts struct {
	Right, Wrong uint64 // passwords, and of wrong credentials all
	Limited      uint64 // attempts that were not looked at
}

// Counts returns the counters.
func (g *Gate) Counts() Counts {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.counts
}

// NewGate returns a gate for accounts, which is required. now is the clock that attempts are limited by; nil is that of the system.
func NewGate(accounts Accounts, now func() time.Time) *Gate {
	if now == nil {
		now = time.Now
	}
	return &Gate{accounts: accounts, now: now, check: new(accesskey.Passwords).Check, limits: newLimits()}
}

// Try says whether somebody at source (see SourceOf) may try to log in as account, and counts the attempt. Names that nobody has are counted like others, so that the answer tells nothing of them. What cannot
// be guessed, such as a public key, counts for the source alone, so that guessing passwords does not lock out who has a key; account is empty then. Where the source was counted before, source is empty.
func (g *Gate) Try(source, account string) bool {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	ok := g.limits.try(source, account, now)
	if !ok {
		g.counts.Limited++
	}
	return ok
}

// Right gives back what an attempt took that was right.
func (g *Gate) Right(source, account string) {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limits.right(source, account, now)
}

// Spent says whether a source has no attempts left, and takes none. It is for servers whose clients show their credentials with each request, most of them right: they count what was Wrong, and ask this before
// they do work for another guess.
func (g *Gate) Spent(source string) bool {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.limits.try(source, "", now) {
		g.counts.Limited++
		return true
	}
	g.limits.right(source, "", now)
	return false
}

// Wrong counts an attempt of a source that was wrong.
func (g *Gate) Wrong(source string) {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limits.try(source, "", now) // there may be none left: others were faster
	g.counts.Wrong++
}

// Account looks up who wants to log in. known is false for names that nobody has or can have. Errors are those of Accounts.
func (g *Gate) Account(ctx context.Context, name string) (a Account, known bool, err error) {
	if accesskey.CheckAccount(name) != nil {
		return Account{}, false, nil
	}
	a, err = g.accounts.Account(ctx, name)
	if errors.Is(err, accesskey.ErrNotFound) {
		return Account{}, false, nil
	}
	return a, err == nil, err
}

// Password says whether it is the one of the account of that name, which it returns then. All that is wrong costs one hash: no such account, one that is disabled, one without a password, another password. Errors
// are those of Accounts, accesskey.ErrBusy, and that of ctx.
func (g *Gate) Password(ctx context.Context, name, password string) (a Account, right bool, err error) {
	a, known, err := g.Account(ctx, name)
	if err != nil {
		return Account{}, false, err
	}
	right, err = g.check(ctx, a.PasswordHash, password)
	if err != nil {
		return Account{}, false, err
	}
	right = right && known && !a.Disabled
	g.mu.Lock()
	defer g.mu.Unlock()
	if !right {
		g.counts.Wrong++
		return Account{}, false, nil
	}
	g.counts.Right++
	return a, true, nil
}
