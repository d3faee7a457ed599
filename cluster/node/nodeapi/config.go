package nodeapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// Config sets up a Server, which copies it. Auth, Keys, Places and TokenSecret are required.
type Config struct {
	// Auth finds out who makes a request; with its Tokens, transfers can be set up.
	Auth *accesskey.Checker
	// Keys is where access keys are managed, the store that Auth looks into.
	Keys accesskey.Store
	// Places opens what grants are bound to.
	Places Places
	// TokenSecret authenticates iteration tokens: at least 32 random bytes. Nodes that share it take each other's.
	TokenSecret []byte
	// Info is what the node says of itself.
	Info Info
	// Logins bounds wrong credentials of one source, a host or a network of IPv6; nil bounds nothing.
	Logins Logins
	// Extensions serve further calls.
	Extensions []Extension
	// Audit writes down acts before they are done; with an error they are not. nil writes nothing down.
	Audit func(ctx context.Context, a Act) error
	// Unattended says that no storage can be tried here; it stays pending.
	Unattended bool
	// Logger gets a line for what went wrong on this side. nil is silent.
	Logger *slog.Logger
	// Now is the clock; nil is that of the system.
	Now func() time.Time
	// MaxBody bounds the body of a request, in bytes; 0 means 1 MiB. That of /files/create may have 6 MiB where this is less.
	MaxBody int64
}

// Info is what a node says of itself and puts into transfer specs. Empty texts and ports that are 0 are left out, but where something is said.
type Info struct {
	Version     string
	NodeID      string
	ClusterID   string
	User        string // that clients name when they transfer; "" is xfer
	Host        string // name or address in transfer specs; "" is the one that the request was sent to
	UDPPort     int    // 0 is 33001
	SSHPort     int    // 0 is none
	WSSPort     int    // of tickets over WebSocket; 0 is none
	HTTPSPort   int    // of the fallback; 0 is none
	Docroot     string // as it is shown
	Fingerprint string // of the node's key, "sha256:..."
}

// Places opens what grants are bound to: Root below the docroot, or Storage. Methods may be called by several goroutines at once.
type Places interface {
	// Open returns the place of g. release must be called when it is not used any more. A Storage of a type that there is no driver for is an
	// error that wraps errors.ErrUnsupported.
	Open(ctx context.Context, g accesskey.Grant) (m transfer.Manager, release func(), err error)
}

// Logins counts wrong credentials; *logins.Gate is one. Methods may be called by several goroutines at once.
type Logins interface {
	// Spent says whether a source has been wrong so often that no more guesses of it are looked at for now.
	Spent(source string) bool
	// Wrong counts a guess.
	Wrong(source string)
}

// Extension serves calls that this package does not: those of transfers, events and usage, and those of files by id and permissions.
type Extension interface {
	// Routes returns handlers by patterns of http.ServeMux with a method, such as "GET /ops/transfers/{id}". They are called for requests that are
	// authenticated. An error, of which an *api.Error says what the client gets, is only returned before anything was written.
	Routes() map[string]func(http.ResponseWriter, *http.Request, accesskey.Grant) error
}

const (
	defaultPort     = 33001
	defaultBody     = 1 << 20
	createBody      = 6 << 20 // 4 MiB in base64, and the rest
	minTokenSecret  = 32
	maxConfigObject = 64 << 10
)

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Auth == nil || c.Keys == nil || c.Places == nil:
		return c, errors.New("nodeapi: Auth, Keys and Places are required")
	case len(c.TokenSecret) < minTokenSecret:
		return c, errors.New("nodeapi: TokenSecret has at least 32 bytes")
	case c.MaxBody < 0:
		return c, errors.New("nodeapi: MaxBody must not be negative")
	}
	if c.MaxBody == 0 {
		c.MaxBody = defaultBody
	}
	if c.Info.User == "" {
		c.Info.User = "xfer"
	}
	if c.Info.UDPPort == 0 {
		c.Info.UDPPort = defaultPort
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}
