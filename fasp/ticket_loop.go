package fasp

import (
	"crypto/tls"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/core"
	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// ticketLoop hands the ticket for the next session over (docs/protocol.md section 4.7): the server sends it in copies until the client says that it
// has it. It belongs to the session's goroutine.
type ticketLoop struct {
	// Server.
	frame  []byte
	flight *flightSender // nil if there is none, or the client has it

	// Client.
	tls     *tls.QUICConn
	session *sessionCache // nil if tickets are not wanted
	taken   bool
}

// offer begins to send a ticket.
func (t *ticketLoop) offer(ticket []byte, now, timeout time.Duration) {
	t.frame = wire.AppendFrame(nil, &wire.Frame{Type: wire.FrameTicket, Data: ticket})
	t.flight = newFlight(nil, now, timeout)
}

func (t *ticketLoop) deadline() time.Duration {
	if t.flight == nil {
		return 1<<63 - 1
	}
	return t.flight.next
}

// due says whether a copy goes out now.
func (t *ticketLoop) due(now time.Duration) bool {
	if t.flight == nil || now < t.flight.next {
		return false
	}
	t.flight.take(now)
	if t.flight.over(now) {
		t.flight = nil
	}
	return true
}

// ticket handles a TICKET frame.
func (l *connLoop) ticket(data []byte) error {
	t := &l.tickets
	if !l.c.client {
		t.flight = nil
		return nil
	}
	if t.session == nil || len(data) == 0 {
		return nil
	}
	if !t.taken {
		t.taken = true
		if err := t.tls.HandleData(tls.QUICEncryptionLevelApplication, data); err != nil {
			return &core.ProtocolError{Reason: "malformed ticket"}
		}
		if next := t.session.next; next != nil {
			peer := *l.c.peer.Load()
			if err := l.c.e.cfg.Tickets.put(peer, l.c.ServerFingerprint(), next, time.Now()); err != nil {
				l.c.log.Debug("the server's ticket was not kept", "error", err)
			}
		}
	}
	l.core.Control(wire.AppendFrame(nil, &wire.Frame{Type: wire.FrameTicket}), 0)
	return nil
}
