package logins

import (
	"context"

	"golang.org/x/crypto/ssh"

	"github.com/tradewind-io/tradewind/accesskey"
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

// Ticket is what who has logged in gets (docs/protocol-auth.md section 46).
type Ticket struct {
	Token       string `json:"token"`       // see accesskey.TransferToken
	UDPPort     int    `json:"udp_port"`    // of the node
	Fingerprint string `json:"fingerprint"` // of the node, as fasp.Fingerprint is written
}

// Tickets makes tickets. Its method may be called by several goroutines at once.
type Tickets interface {
	// Ticket makes one for whom g was granted to: an access key, or an account, whose KeyID is that of accesskey.AccountID. It ends no later than g, and is worth nothing to another one of the same
	// name. Paths are clean, as transfer.CleanPath makes them, and none for accesskey.Manage; they are within g.
	Ticket(ctx context.Context, g accesskey.Grant, d accesskey.Direction, paths []string) (Ticket, error)
}
