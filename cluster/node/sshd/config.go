package sshd

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// Account is who may log in.
type Account struct {
	Name         string
	PasswordHash string          // what accesskey.HashPassword made; empty means that no password is right
	Keys         []ssh.PublicKey // any of them is right
	Grant        accesskey.Grant // what it may do; its KeyID is that of accesskey.AccountID
	Disabled     bool
}

// Accounts are those who may log in. Methods may be called by several goroutines at once.
type Accounts interface {
	// Account returns the account of that name, or accesskey.ErrNotFound. The name is one that accesskey.CheckAccount takes. It should take the same time for all names.
	Account(ctx context.Context, name string) (Account, error)
}

// Places opens what grants are bound to.
type Places interface {
	// Open returns the place of a grant; release must be called when it is not used any more.
	Open(ctx context.Context, g accesskey.Grant) (m transfer.Manager, release func(), err error)
}

// Ticket is what tradewind-ticket answers.
type Ticket struct {
	Token       string `json:"token"`       // see accesskey.TransferToken
	UDPPort     int    `json:"udp_port"`    // of the node
	Fingerprint string `json:"fingerprint"` // of the node, as fasp.Fingerprint is written
}

// Tickets makes tickets.
type Tickets interface {
	// Ticket makes one for the account of that name. Paths are clean, as transfer.CleanPath makes them, and none for accesskey.Manage.
	Ticket(ctx context.Context, account string, d accesskey.Direction, paths []string) (Ticket, error)
}

// Config sets up a Server, which copies it. Accounts, Places, Tickets and HostKey are required.
type Config struct {
	Accounts Accounts
	Places   Places
	Tickets  Tickets
	HostKey  ssh.Signer
	Version  string // of the program, as ascmd tells it; empty is "unknown"

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
	// Now is the clock that logins are limited by; nil is that of the system.
	Now    func() time.Time
	Logger *slog.Logger // nil is silent
}

func (c Config) withDefaults() (Config, error) {
	if c.Accounts == nil || c.Places == nil || c.Tickets == nil || c.HostKey == nil {
		return c, errors.New("sshd: Accounts, Places, Tickets and HostKey are required")
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
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
