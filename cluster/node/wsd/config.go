package wsd

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/logins"
)

// Keys are the credentials beside accounts with a password; an accesskey.Checker without Users is one. Methods may be called by several goroutines at once.
type Keys interface {
	// Authorization checks what stands in the header of that name; see accesskey.Checker.
	Authorization(ctx context.Context, text, key string) (accesskey.Grant, error)
}

// Config sets up a Server, which copies it. Logins, Keys, Tickets and Certificate are required.
type Config struct {
	Logins  *logins.Gate
	Keys    Keys
	Tickets logins.Tickets
	// Certificate is asked for at each handshake, see tls.Config.GetCertificate.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

	// MaxConns bounds connections that have logged in, and MaxPerAccount those of one account or key; further ones are refused. 0 means 256 and 32.
	MaxConns, MaxPerAccount int
	// MaxUnauthenticated bounds connections that have not; the oldest gives way. 0 means 64.
	MaxUnauthenticated int
	// Timeout is how long a client may take for each step: its handshake, its request, its question, and to take the answer; 0 means 10 s.
	Timeout time.Duration
	Logger  *slog.Logger // nil is silent
}

func (c Config) withDefaults() (Config, error) {
	if c.Logins == nil || c.Keys == nil || c.Tickets == nil || c.Certificate == nil {
		return c, errors.New("wsd: Logins, Keys, Tickets and Certificate are required")
	}
	for _, n := range []struct {
		p    *int
		zero int
	}{{&c.MaxConns, 256}, {&c.MaxPerAccount, 32}, {&c.MaxUnauthenticated, 64}} {
		if *n.p < 0 {
			return c, errors.New("wsd: a bound is negative")
		}
		if *n.p == 0 {
			*n.p = n.zero
		}
	}
	if c.Timeout < 0 {
		return c, errors.New("wsd: Timeout is negative")
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
