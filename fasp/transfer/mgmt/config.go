package mgmt

import "github.com/tradewind-io/tradewind/fasp/transfer"

// Config is what a manager hears of a transfer that events do not tell. NewPort copies it. Texts of more than 2 KiB are cut, and what cannot stand in a line becomes a blank.
type Config struct {
	// Spec is the transfer: direction, server, user, rates, cipher, policies and cookie are sent. Its token and its paths are not.
	Spec transfer.Spec
	// SessionID tells this transfer from others of the manager's. "" makes one: a random UUID in its usual form.
	SessionID string
	// UserStr is what the application gave to find the transfer by; "" leaves it out.
	UserStr string
	// XferID is what several sessions of one transfer have in common; "" leaves it out.
	XferID string
	// TCPPort is where the session was asked for, over SSH or WebSocket; 0 leaves it out.
	TCPPort int
}
