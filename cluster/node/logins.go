package node

import (
	"context"
	"net"
	"strings"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/logins"
)

// ticketLife is how long a ticket is good for.
const ticketLife = time.Minute

// tickets implements logins.Tickets.
type tickets struct{ n *Node }

// Ticket implements logins.Tickets.
func (t tickets) Ticket(_ context.Context, g accesskey.Grant, d accesskey.Direction, paths []string) (logins.Ticket, error) {
	x := accesskey.TransferToken{Key: g.KeyID, Direction: d, Paths: paths, UsageID: g.UsageID, Made: g.Created, Node: t.n.checker.Node, Expires: time.Now().Add(ticketLife)}
	if name, ok := strings.CutPrefix(g.KeyID, accesskey.AccountID("")); ok {
		x.Key, x.Account = "", name
	}
	if !g.Expires.IsZero() && g.Expires.Before(x.Expires) {
		x.Expires = g.Expires
	}
	text, err := t.n.checker.Tokens.Seal(x)
	return logins.Ticket{Token: text, UDPPort: portOf(t.n.Addr()), Fingerprint: t.n.Fingerprint().String()}, err
}

// portOf is the port of an address, 0 of none.
func portOf(a net.Addr) int {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.Port
	case *net.UDPAddr:
		return a.Port
	}
	return 0
}
