package sshd

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/logins"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// Account, Accounts and Ticket are those of package logins.
type (
	Account  = logins.Account
	Accounts = logins.Accounts
	Ticket   = logins.Ticket
)

// Places opens what grants are bound to.
type Places interface {
	// Open returns the place of a grant; release must be called when it is not used any more.
	Open(ctx context.Context, g accesskey.Grant) (m transfer.Manager, release func(), err error)
}

// Config sets up a Server, which copies it. Logins, Places, Tickets and HostKey are required.
type Config struct {
	Logins  *logins.Gate
	Places  Places
	Tickets logins.Tickets
	HostKey ssh.Signer
	Version string // of the program, as ascmd tells it; empty is "unknown"

	// MaxConns bounds connections that have logged in, and MaxPerAccount those of one account; further ones are closed. 0 means 256 and 32.
	MaxConns, MaxPerAccount int
	// MaxUnauthenticated bounds connections that have not; the oldest gives way. 0 means 64.
	MaxUnauthenticated int
	// HandshakeTimeout is how long a client may take to log in; 0 means 30 s.
	HandshakeTimeout time.Duration
	// IdleTimeout is how long a client that has logged in may ask for nothing; 0 means 10 min. WriteTimeout is how long it may take nothing of an answer; 0 means 1 min.
	IdleTimeout, WriteTimeout time.Duration
	// TempDir is where listings go that are larger than a MiB, while they are made and sent; empty is the folder of the system. MaxEntries bounds them; 0 means 1,000,000.
	TempDir    string
	MaxEntries int
	Logger     *slog.Logger // nil is silent
}

func (c Config) withDefaults() (Config, error) {
	if c.Logins == nil || c.Places == nil || c.Tickets == nil || c.HostKey == nil {
		return c, errors.New("sshd: Logins, Places, Tickets and HostKey are required")
	}
	for _, n := range []struct {
		p    *int
		zero int
	}{{&c.MaxConns, 256}, {&c.MaxPerAccount, 32}, {&c.MaxUnauthenticated, 64}, {&c.MaxEntries, 1_000_000}} {
		if *n.p < 0 {
			return c, errors.New("sshd: a bound is negative")
		}
		if *n.p == 0 {
			*n.p = n.zero
		}
	}
	for _, d := range []struct {
		p    *time.Duration
		zero time.Duration
	}{{&c.HandshakeTimeout, 30 * time.Second}, {&c.IdleTimeout, 10 * time.Minute}, {&c.WriteTimeout, time.Minute}} {
		if *d.p < 0 {
			return c, errors.New("sshd: a time is negative")
		}
		if *d.p == 0 {
			*d.p = d.zero
		}
	}
	if c.Version == "" {
		c.Version = "unknown"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
