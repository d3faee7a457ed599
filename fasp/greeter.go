package fasp

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// greeting is a datagram of long packets from a client.
type greeting struct {
	data []byte
	from netip.AddrPort
}

// greeter runs the server's side of all handshakes in a goroutine of its own, so that a flood of them does not
// hold up running sessions. What it holds is bounded by Config.MaxHalfOpen.
type greeter struct {
	e      *Endpoint
	open   map[greetKey]*halfOpen
	shares map[netip.Prefix]int // half-open handshakes by source network
	token  cipher.AEAD
	early  issuer
	next   time.Duration // of the next tick
	// recent remembers finished handshakes for a while: their clients may not know yet that the server has their Finished.
	recent map[greetKey]recentConn
}

type greeterStats struct {
	greetings, retries, early, refused, tickets atomic.Uint64
	halfOpen                                    atomic.Int64
}

type greetKey struct {
	hid  uint64
	from netip.AddrPort
}

type recentConn struct {
	cid   wire.CID // not the Conn: it may have ended long since, and is large
	until time.Duration
}

// halfOpen is one handshake in progress.
type halfOpen struct {
	*handshake
	proved   bool // the address is known to be the client's
	received int
	sent     int
	cipher   Cipher
	flight   *flightSender
	born     time.Duration
	flightAt time.Duration // when our flight was first ready
	address  addressToken  // of the ticket by which early data was accepted
	conn     *Conn         // the session, if early data was accepted: it is not confirmed yet
}

const (
	tokenLife  = 30 * time.Second
	recentLife = 20 * time.Second
)

func newGreeter(e *Endpoint) *greeter {
	key := make([]byte, 32)
	rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return &greeter{e: e, open: map[greetKey]*halfOpen{}, shares: map[netip.Prefix]int{}, token: aead, early: newIssuer(), recent: map[greetKey]recentConn{}}
}

func (g *greeter) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	defer func() {
		for _, h := range g.open {
			h.tls.Close()
		}
	}()
	for {
		now := g.e.now()
		if now >= g.next {
			g.next = g.tick(now)
		}
		timer.Reset(max(0, g.next-now))
		select {
		case m := <-g.e.greet:
			g.e.greeter.greetings.Add(1)
			g.packet(g.e.now(), m)
		case <-timer.C:
		case <-g.e.closed:
			return
		}
	}
}

// tick sends flights that are due, forgets what has expired and returns when to be called again.
func (g *greeter) tick(now time.Duration) time.Duration {
	next := now + time.Hour
	for k, h := range g.open {
		end := h.born + g.e.cfg.HandshakeTimeout
		if now >= end {
			g.drop(k, h)
			continue
		}
		next = min(next, end)
		if h.flight == nil {
			continue
		}
		if now >= h.flight.next {
			g.sendFlight(now, k, h)
		}
		next = min(next, h.flight.next)
	}
	for k, r := range g.recent {
		if now >= r.until {
			delete(g.recent, k)
		} else {
			next = min(next, r.until)
		}
	}
	g.e.greeter.halfOpen.Store(int64(len(g.open)))
	return next
}

// sendFlight sends a copy of the flight if the address may be sent that much.
func (g *greeter) sendFlight(now time.Duration, k greetKey, h *halfOpen) {
	d := h.flight.take(now)
	n := 0
	for _, b := range d {
		n += len(b)
	}
	if !h.proved && h.sent+n > 3*h.received {
		return
	}
	h.sent += n
	g.e.send(d, k.from)
}

func (g *greeter) drop(k greetKey, h *halfOpen) {
	h.tls.Close()
	if h.conn != nil {
		h.conn.expire()
	} else {
		g.e.unreserve(h.cid)
	}
	g.forget(k)
}

func (g *greeter) forget(k greetKey) {
	delete(g.open, k)
	p := sourcePrefix(k.from)
	if g.shares[p]--; g.shares[p] <= 0 {
		delete(g.shares, p)
	}
}

// sourcePrefix is the network whose handshakes share a part of the pool (docs/protocol.md section 4.3).
func sourcePrefix(a netip.AddrPort) netip.Prefix {
	bits := 24
	if a.Addr().Is6() {
		bits = 48
	}
	p, _ := a.Addr().Prefix(bits)
	return p
}

func (g *greeter) packet(now time.Duration, m greeting) {
	hdr, _, _, err := wire.ParseLong(m.data, true)
	if err != nil {
		g.e.dropped.Add(1)
		return
	}
	if hdr.Version != wire.Version1 {
		if hdr.Type == wire.Initial && len(m.data) >= wire.MinDatagram {
			g.e.send([][]byte{wire.AppendVersions(nil, hdr.HID, []uint32{wire.Version1})}, m.from)
		}
		return
	}
	k := greetKey{hdr.HID, m.from}
	if r, ok := g.recent[k]; ok {
		g.e.mu.RLock()
		c := g.e.conns[r.cid.Slot()]
		g.e.mu.RUnlock()
		if c != nil && c.cid == r.cid {
			c.hasFinished(nil)
		}
		return
	}
	h := g.open[k]
	if h == nil {
		if hdr.Type != wire.Initial || len(m.data) < wire.MinDatagram {
			g.e.dropped.Add(1)
			return
		}
		if h = g.admit(now, k, &hdr); h == nil {
			return
		}
	}
	h.received += len(m.data)
	for data := m.data; len(data) > 0; {
		hadHandshake := h.levels[1].inEnd
		data, err = h.handshake.packet(data, func(p wire.Params) ([]byte, error) { return g.answer(k, h, p) })
		if err != nil {
			g.e.cfg.Logger.Debug("handshake failed", "peer", m.from, "error", err)
			if _, closed := errors.AsType[*PeerError](err); !closed {
				g.e.send([][]byte{h.close(CodeProtocol, "handshake failed: "+err.Error())}, m.from)
			}
			g.drop(k, h)
			return
		}
		if h.levels[1].inEnd > hadHandshake || h.levels[2].hasRx {
			h.proved = true
		}
	}
	if h.complete {
		g.finish(now, k, h)
		return
	}
	if h.flight == nil && len(h.levels[1].out) > 0 {
		h.flight = newFlight(h.handshake.flight(wire.MinDatagram, 0), now, g.e.cfg.HandshakeTimeout)
		h.flightAt = now
		g.sendFlight(now, k, h)
		g.next = now
	}
	g.receiveEarly(now, k, h)
}

// admit makes room for a new handshake, or answers with a retry and returns nil.
func (g *greeter) admit(now time.Duration, k greetKey, hdr *wire.Long) *halfOpen {
	proved := g.checkToken(now, k, hdr.Token)
	prefix := sourcePrefix(k.from)
	limit := g.e.cfg.MaxHalfOpen
	crowded := len(g.open) >= limit/2 || g.shares[prefix] >= max(8, limit/16)
	if !proved && crowded {
		g.e.greeter.retries.Add(1)
		b := wire.AppendRetry(nil, wire.Version1, k.hid, g.makeToken(now, k))
		g.e.send([][]byte{append(b, retryTag(k.hid, b)...)}, k.from)
		return nil
	}
	if len(g.open) >= limit {
		g.e.dropped.Add(1)
		return nil
	}
	cid, err := g.e.reserve()
	if err != nil {
		g.e.dropped.Add(1)
		return nil
	}
	h := &halfOpen{proved: proved, born: now}
	var prepare func(*tls.QUICConfig)
	if g.e.cfg.EarlyData {
		prepare = func(q *tls.QUICConfig) { g.early.prepare(g.e, q) }
	}
	h.handshake = newHandshake(&g.e.cfg, false, k.hid, cid, prepare)
	if g.e.cfg.EarlyData {
		h.resume = func(s *tls.SessionState) { g.decide(k, h, s) }
	}
	if err := h.start(context.Background(), nil); err != nil {
		g.e.unreserve(cid)
		return nil
	}
	g.open[k] = h
	g.next = min(g.next, now+g.e.cfg.HandshakeTimeout)
	g.shares[prefix]++
	g.e.greeter.halfOpen.Store(int64(len(g.open)))
	return h
}

// answer picks the cipher and makes our transport parameters.
func (g *greeter) answer(k greetKey, h *halfOpen, p wire.Params) ([]byte, error) {
	c, ok := pickCipher(p.Ciphers, g.e.cfg.Ciphers)
	if !ok {
		return nil, errors.New("no cipher in common")
	}
	h.cipher = c
	features := g.e.features
	if g.e.cfg.EarlyData {
		features |= wire.FeatureEarly
	}
	return g.e.params([]byte{byte(c)}, g.e.cfg.Identity.resetToken(h.cid, k.from), features), nil
}

// finish turns a complete handshake into a session, or confirms the one that there is.
func (g *greeter) finish(now time.Duration, k greetKey, h *halfOpen) {
	defer h.tls.Close()
	g.forget(k)
	c := h.conn
	rtt := now - h.flightAt
	if c == nil {
		if c = g.begin(k, h, rtt); c == nil {
			return
		}
	}
	c.hasFinished(g.ticket(now, k, h, rtt)) // the client repeats its Finished until it hears from the session
	g.recent[k] = recentConn{c.cid, now + recentLife}
	g.next = min(g.next, now+recentLife)
}

// begin starts the session of a handshake and hands it to the layer above. It returns nil if that cannot be.
func (g *greeter) begin(k greetKey, h *halfOpen, rtt time.Duration) *Conn {
	c := newConn(g.e, false, h.cid, k.from)
	err := c.begin(h.handshake, h.cipher, rtt)
	if err == nil {
		if len(g.e.accepted) == cap(g.e.accepted) {
			err = errFull
		} else {
			err = g.e.adopt(c)
		}
	}
	if errors.Is(err, errFull) {
		// The client has all it needs and takes the session for open, so the session itself has to say that it is not.
		c.closing = &closeRequest{CodeBusy, "the server has no room for another session"}
		if g.e.start(c, g.e.most()+g.e.cfg.MaxHalfOpen) == nil {
			g.e.cfg.Logger.Warn("session refused", "peer", k.from, "error", err)
			return c
		}
	}
	if err != nil {
		g.e.unreserve(h.cid)
		g.e.cfg.Logger.Warn("session refused", "peer", k.from, "error", err)
		g.e.send([][]byte{h.close(CodeInternal, "the server cannot open the session")}, k.from)
		return nil
	}
	c.log.Debug("session accepted", "rtt", rtt, "early", c.loop.early)
	g.e.accepted <- c
	return c
}

// makeToken seals time, address and handshake id (docs/protocol.md section 4.3).
func (g *greeter) makeToken(now time.Duration, k greetKey) []byte {
	nonce := make([]byte, g.token.NonceSize())
	rand.Read(nonce)
	return g.token.Seal(nonce, nonce, binary.BigEndian.AppendUint64(nil, uint64(now)), tokenData(k))
}

func tokenData(k greetKey) []byte {
	return binary.BigEndian.AppendUint64([]byte(k.from.String()), k.hid)
}

func (g *greeter) checkToken(now time.Duration, k greetKey, token []byte) bool {
	n := g.token.NonceSize()
	if len(token) < n {
		return false
	}
	b, err := g.token.Open(nil, token[:n], token[n:], tokenData(k))
	if err != nil || len(b) != 8 {
		return false
	}
	age := now - time.Duration(binary.BigEndian.Uint64(b))
	return age >= 0 && age <= tokenLife
}
