package fasp

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Tickets are what servers have handed out for the next session with them, which then begins a round trip sooner (docs/protocol.md section
// 4.7). A value is given to endpoints in Config; the zero value is ready, and it may be used by many endpoints and goroutines. Each
// ticket is used once. In JSON they can be kept for a program that starts again. That text is secret: whoever has it can read what was sent early with
// its tickets, and open sessions in the name of the server that gave them, to this client.
type Tickets struct {
	mu sync.Mutex
	m  map[netip.AddrPort][]ticket // newest last
	n  int
}

// ticket is one session to go on with. Its fields are those of the file.
type ticket struct {
	Server []byte    `json:"server"` // fingerprint of its key
	Ticket []byte    `json:"ticket"` // the server's
	State  []byte    `json:"state"`  // TLS secrets
	Sum    []byte    `json:"sum"`    // SHA-256 of the state: damage is found
	Got    time.Time `json:"got"`
}

const (
	maxTickets       = 1024 // in all
	maxTicketsServer = 8    // for sessions at the same time
	maxTicketState   = 8 << 10
	// ticketLife is how long a ticket is of use, at both sides.
	ticketLife = 24 * time.Hour
)

// take removes the newest ticket for a server and returns the session to go on with, without one if there is none or accept does not agree with the
// server's key.
func (t *Tickets) take(server netip.AddrPort, now time.Time, accept func(Fingerprint) bool) *sessionCache {
	t.mu.Lock()
	list := t.m[server]
	var k ticket
	for len(list) > 0 && k.Ticket == nil {
		last := list[len(list)-1]
		list = list[:len(list)-1]
		t.n--
		if age := now.Sub(last.Got); age >= 0 && age < ticketLife {
			k = last
		}
	}
	t.set(server, list)
	t.mu.Unlock()
	if k.Ticket == nil || !accept(Fingerprint(k.Server)) {
		return new(sessionCache) // of a server whose key is not that one any more
	}
	s, err := tls.ParseSessionState(k.State)
	if err != nil {
		return new(sessionCache) // another build's
	}
	cs, err := tls.NewResumptionState(k.Ticket, s)
	if err != nil {
		return new(sessionCache)
	}
	return &sessionCache{resume: cs, server: Fingerprint(k.Server)}
}

// set replaces the tickets of a server; the lock is held.
func (t *Tickets) set(server netip.AddrPort, list []ticket) {
	if len(list) == 0 {
		delete(t.m, server)
		return
	}
	t.m[server] = list
}

// put adds a ticket.
func (t *Tickets) put(server netip.AddrPort, fp Fingerprint, cs *tls.ClientSessionState, now time.Time) error {
	b, s, err := cs.ResumptionState()
	if err != nil {
		return err
	}
	state, err := s.Bytes()
	if err != nil {
		return err
	}
	if len(state) > maxTicketState {
		return errors.New("the TLS session is too large to be kept")
	}
	sum := sha256.Sum256(state)
	t.add(server, ticket{fp[:], slices.Clone(b), state, sum[:], now})
	return nil
}

func (t *Tickets) add(server netip.AddrPort, k ticket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = make(map[netip.AddrPort][]ticket)
	}
	list := append(t.m[server], k)
	t.n++
	if len(list) > maxTicketsServer {
		list = list[1:]
		t.n--
	}
	t.m[server] = list
	if t.n > maxTickets {
		t.dropOldest()
	}
}

func (t *Tickets) dropOldest() {
	var oldest netip.AddrPort
	for a, list := range t.m {
		if !oldest.IsValid() || list[0].Got.Before(t.m[oldest][0].Got) {
			oldest = a
		}
	}
	t.set(oldest, t.m[oldest][1:])
	t.n--
}

// MarshalJSON implements json.Marshaler.
func (t *Tickets) MarshalJSON() ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(t.m)
}

// UnmarshalJSON implements json.Unmarshaler. It adds to what there is. A ticket that is damaged fails it as a whole, and nothing is added; one that
// has expired is left out when it is to be used.
func (t *Tickets) UnmarshalJSON(b []byte) error {
	var m map[netip.AddrPort][]ticket
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("tickets: %w", err)
	}
	n := 0
	for a, list := range m {
		n += len(list)
		if !a.IsValid() || len(list) > maxTicketsServer || n > maxTickets {
			return errors.New("tickets: too many, or for no server")
		}
		for _, k := range list {
			sum := sha256.Sum256(k.State)
			year := k.Got.UTC().Year() // JSON writes four digits, in any zone
			if len(k.Server) != len(sum) || len(k.Ticket) == 0 || len(k.Ticket) > maxTicketState || len(k.State) > maxTicketState || string(k.Sum) != string(sum[:]) || year <= 0 || year >= 9999 {
				return errors.New("tickets: a damaged one")
			}
		}
	}
	for a, list := range m {
		for _, k := range list {
			k.Got = k.Got.UTC()
			t.add(a, k)
		}
	}
	return nil
}

// sessionCache gives TLS the one session to go on with, and takes what the server hands out. It is used by one goroutine.
type sessionCache struct {
	resume *tls.ClientSessionState // nil if there is none
	server Fingerprint             // whose that is
	next   *tls.ClientSessionState
}

// Get implements tls.ClientSessionCache.
func (s *sessionCache) Get(string) (*tls.ClientSessionState, bool) { return s.resume, s.resume != nil }

// Put implements tls.ClientSessionCache.
func (s *sessionCache) Put(_ string, cs *tls.ClientSessionState) { s.next = cs }

// prepare sets TLS up to use it.
func (s *sessionCache) prepare(q *tls.QUICConfig) {
	q.TLSConfig.SessionTicketsDisabled = false
	q.TLSConfig.ClientSessionCache = s
	// TLS asks for a name to look sessions up by. One that is an address is not sent.
	q.TLSConfig.ServerName = "::"
}
