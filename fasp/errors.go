package fasp

import (
	"errors"
	"fmt"
	"net"
)

// Conditions that callers branch on. They are matched with errors.Is.
var (
	// ErrClosed: the connection or endpoint was closed on this side. It also matches net.ErrClosed.
	ErrClosed = fmt.Errorf("fasp: closed: %w", net.ErrClosed)
	// ErrHandshakeTimeout: the peer did not answer the handshake in time. UDP may be blocked.
	ErrHandshakeTimeout = errors.New("fasp: no answer to the handshake; check host, UDP port and firewall")
	// ErrIdleTimeout: nothing authentic arrived for Config.IdleTimeout.
	ErrIdleTimeout = errors.New("fasp: connection lost: nothing arrived from the peer")
	// ErrReset: the server has forgotten the session, because it was started anew.
	ErrReset = errors.New("fasp: the server has lost the session")
	// ErrPathMTU: small packets pass but data packets of 1,200 bytes do not.
	ErrPathMTU = errors.New("fasp: the path does not carry datagrams of 1,200 bytes")
	// ErrIdentity: the server's key is not the one that was expected.
	ErrIdentity = errors.New("fasp: server identity not accepted")
	// ErrTooLarge: a message or block exceeds its limit.
	ErrTooLarge = errors.New("fasp: message or block too large")
)

// Code says why a side closed a connection. It travels in the CLOSE frame (docs/protocol.md section 5.8).
type Code uint32

// Close codes of the transport. Values from CodeApplication up belong to the layer above.
const (
	CodeDone        Code = 0 // normal end
	CodeInternal    Code = 1 // the peer has a fault
	CodeProtocol    Code = 2 // the peer saw us break the protocol
	CodeBusy        Code = 3 // no room for another session
	CodeShutdown    Code = 4 // the peer is shutting down; try again later or elsewhere
	CodeTimeout     Code = 5 // the peer gave up waiting
	CodeAuth        Code = 6 // credentials not accepted
	CodeCancelled   Code = 7 // the peer's user cancelled
	CodeApplication Code = 0x100
)

func (c Code) String() string {
	names := [...]string{"done", "internal error", "protocol violation", "busy", "shutting down", "timeout", "authentication failed", "cancelled"}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("code %d", uint32(c))
}

// PeerError is what the peer told us when it closed the connection.
type PeerError struct {
	Code   Code
	Reason string // short text, already stripped of control characters, at most 1,024 bytes
}

func (e *PeerError) Error() string {
	if e.Reason == "" {
		return "peer closed the session: " + e.Code.String()
	}
	return "peer closed the session: " + e.Reason
}

// ProtocolError is what we found wrong with the peer's packets; the connection was closed for it.
type ProtocolError struct {
	Reason string
}

func (e *ProtocolError) Error() string { return "fasp: peer broke the protocol: " + e.Reason }
