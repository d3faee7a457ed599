package fasp

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// issuer hands out tickets and knows which of them have been used for early data (docs/protocol.md section 4.7). Its key is that of one
// process, so no other node ever accepts one of them.
type issuer struct {
	key  [32]byte
	used strikes
}

func newIssuer() issuer {
	var i issuer
	rand.Read(i.key[:])
	return i
}

// prepare sets TLS up to hand out tickets and to accept them.
func (i *issuer) prepare(e *Endpoint, q *tls.QUICConfig) {
	q.EnableSessionEvents = true
	q.TLSConfig.SessionTicketsDisabled = false
	q.TLSConfig.SetSessionTicketKeys([][32]byte{i.key})
	// The age of tickets does not depend on a clock that somebody sets.
	q.TLSConfig.Time = func() time.Time { return e.epoch.Add(e.now()) }
}

// addressToken is what a ticket says of the session in which it was handed out.
type addressToken struct {
	number uint64        // of the ticket, counted by its issuer
	at     time.Duration // on the endpoint's clock
	rtt    time.Duration
	host   netip.Addr
}

// addressTokenID begins an address token, so that it is not taken for something else.
const addressTokenID = "tw1"

func (a addressToken) append(b []byte) []byte {
	b = append(b, addressTokenID...)
	for _, v := range [...]uint64{a.number, uint64(a.at), uint64(a.rtt)} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	ip := a.host.As16()
	return append(b, ip[:]...)
}

func parseAddressToken(b []byte) (a addressToken, ok bool) {
	if len(b) != len(addressTokenID)+24+16 || string(b[:len(addressTokenID)]) != addressTokenID {
		return a, false
	}
	b = b[len(addressTokenID):]
	a.number = binary.BigEndian.Uint64(b)
	a.at = time.Duration(binary.BigEndian.Uint64(b[8:]))
	a.rtt = time.Duration(binary.BigEndian.Uint64(b[16:]))
	a.host = netip.AddrFrom16([16]byte(b[24:])).Unmap()
	return a, a.at >= 0 && a.rtt >= 0
}

// strikes remembers which tickets have been used: a bit for each of the last strikeWindow that were handed out. Older ones count as used, so that
// it neither grows nor forgets.
type strikes struct {
	next uint64 // number of the next ticket
	bits []uint64
}

const strikeWindow = 1 << 20

// issue returns the number for a new ticket.
func (s *strikes) issue() uint64 {
	if s.bits == nil {
		s.bits = make([]uint64, strikeWindow/64)
	}
	n := s.next
	s.next++
	s.bits[n%strikeWindow/64] &^= 1 << (n % 64)
	return n
}

func (s *strikes) fresh(n uint64) bool {
	return n < s.next && s.next-n <= strikeWindow && s.bits[n%strikeWindow/64]&(1<<(n%64)) == 0
}

// strike marks a ticket as used; it must be fresh.
func (s *strikes) strike(n uint64) { s.bits[n%strikeWindow/64] |= 1 << (n % 64) }

// decide says whether early data may come with a ticket that TLS has opened. If not, the handshake goes on without.
func (g *greeter) decide(k greetKey, h *halfOpen, s *tls.SessionState) {
	ok := s.EarlyData && h.peer.Features&wire.FeatureEarly != 0 && g.acceptable(g.e.now(), k, h, s.Extra)
	if !ok && s.EarlyData {
		g.e.greeter.refused.Add(1)
	}
	s.EarlyData = ok
}

func (g *greeter) acceptable(now time.Duration, k greetKey, h *halfOpen, extra [][]byte) bool {
	i := slices.IndexFunc(extra, func(b []byte) bool { _, ok := parseAddressToken(b); return ok })
	if i < 0 {
		return false
	}
	h.address, _ = parseAddressToken(extra[i])
	age := now - h.address.at
	return age >= 0 && age < ticketLife && h.address.host == k.from.Addr() && g.early.used.fresh(h.address.number)
}

// receiveEarly begins the session of a client whose early data was accepted, and gives it what came.
func (g *greeter) receiveEarly(now time.Duration, k greetKey, h *halfOpen) {
	if !h.levels[2].hasRx {
		return
	}
	if h.conn == nil {
		// Nothing that anybody sends from now on with this ticket is early data again.
		g.early.used.strike(h.address.number)
		if h.conn = g.begin(k, h, h.address.rtt); h.conn == nil {
			h.tls.Close()
			g.forget(k)
			return
		}
		g.e.greeter.early.Add(1)
	}
	if len(h.pieces) > 0 {
		h.conn.receiveEarly(h.pieces)
		h.pieces = nil
	}
}

// ticket returns a ticket for the client's next session, nil if it gets none.
func (g *greeter) ticket(now time.Duration, k greetKey, h *halfOpen, rtt time.Duration) []byte {
	if !g.e.cfg.EarlyData || h.peer.Features&wire.FeatureEarly == 0 {
		return nil
	}
	a := addressToken{number: g.early.used.issue(), at: now, rtt: rtt, host: k.from.Addr()}
	h.handshake.ticket = nil
	err := h.tls.SendSessionTicket(tls.QUICSessionTicketOptions{EarlyData: true, Extra: [][]byte{a.append(nil)}})
	if err == nil {
		err = h.events(nil)
	}
	if b := h.handshake.ticket; err == nil && len(b) > 0 && len(b) <= wire.MaxTicket {
		g.e.greeter.tickets.Add(1)
		return b
	}
	g.e.cfg.Logger.Warn("no ticket was made", "peer", k.from, "error", err)
	return nil
}
