package fasp

import (
	"context"
	"crypto/hmac"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// dialing is a client's side of a handshake (docs/protocol.md section 4).
type dialing struct {
	e       *Endpoint
	h       *handshake
	addr    netip.AddrPort
	in      chan []byte
	session *sessionCache // nil without Config.Tickets
	ciphers []Cipher
	first   time.Duration // when the first flight went out
	retried bool
}

func (e *Endpoint) dial(ctx context.Context, addr netip.AddrPort) (*Conn, error) {
	cid, err := e.reserve()
	if err != nil {
		return nil, err
	}
	d, err := e.newDialing(ctx, addr, cid)
	if err != nil {
		e.unreserve(cid)
		return nil, err
	}
	c := newConn(e, true, cid, addr)
	if d.h.earlySecret != nil {
		if err = c.dialEarly(d); err == nil {
			return c, nil
		}
	} else if err = d.run(ctx, nil); err == nil {
		err = c.opened(d)
	}
	d.close()
	if err == nil {
		err = e.adopt(c)
	}
	if err != nil {
		e.unreserve(cid)
		return nil, err
	}
	return c, nil
}

// newDialing begins a handshake; close ends it.
func (e *Endpoint) newDialing(ctx context.Context, addr netip.AddrPort, cid wire.CID) (*dialing, error) {
	d := &dialing{e: e, addr: addr, in: make(chan []byte, 16), ciphers: e.cfg.Ciphers}
	if len(d.ciphers) == 0 {
		d.ciphers = []Cipher{AES128, AES256, AES192}
	}
	var prepare func(*tls.QUICConfig)
	features := e.features
	if e.cfg.Tickets != nil {
		d.session = e.cfg.Tickets.take(addr, time.Now(), e.accepts)
		prepare = d.session.prepare
		features |= wire.FeatureEarly
	}
	d.h = newHandshake(&e.cfg, true, randomUint64(), cid, prepare)
	e.mu.Lock()
	e.dials[d.h.hid] = d.in
	e.mu.Unlock()
	offer := make([]byte, len(d.ciphers))
	for i, c := range d.ciphers {
		offer[i] = byte(c)
	}
	// A session that begins early outlives the call of Dial.
	if err := d.h.start(context.WithoutCancel(ctx), e.params(offer, nil, features)); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// accepts tells whether the key of a ticket's server is still the one that is wanted.
func (e *Endpoint) accepts(fp Fingerprint) bool {
	return e.cfg.VerifyServer != nil && e.cfg.VerifyServer(fp) == nil
}

func (d *dialing) close() {
	d.e.mu.Lock()
	delete(d.e.dials, d.h.hid)
	d.e.mu.Unlock()
	_ = d.h.tls.Close() // says again why the handshake failed
}

// run does the handshake. c is the session if it begins early, else nil.
func (d *dialing) run(ctx context.Context, c *Conn) error {
	e, h := d.e, d.h
	var wake <-chan struct{}
	var inbox <-chan delivery
	if c != nil {
		wake, inbox = c.wake, c.inbox
		h.early = c.earlyBytes()
	}
	d.first = e.now()
	anew := func() *flightSender {
		return newFlight(h.flight(wire.MinDatagram, wire.MinDatagram), e.now(), e.cfg.HandshakeTimeout)
	}
	flight := anew()
	timer := time.NewTimer(0)
	defer timer.Stop()
	more := 3 // times that the flight may grow
	for !h.complete {
		select {
		case data := <-d.in:
			again, err := d.packet(data)
			if err != nil {
				if h.levels[1].hasTx {
					e.send([][]byte{h.close(CodeAuth, "handshake refused")}, d.addr)
				}
				return err
			}
			if again {
				flight = anew()
				timer.Reset(0)
			}
		case <-wake:
			if r := c.closeRequest(); r != nil {
				e.send([][]byte{h.close(r.code, r.reason)}, d.addr)
				return ErrClosed
			}
			if b := c.earlyBytes(); len(b) > len(h.early) && more > 0 {
				more--
				h.early = b
				flight = anew()
				timer.Reset(0)
			}
		case dl := <-inbox:
			c.keep(dl)
		case <-timer.C:
			now := e.now()
			if now-d.first >= e.cfg.HandshakeTimeout {
				return ErrHandshakeTimeout
			}
			if now >= flight.next {
				e.send(flight.take(now), d.addr)
			}
			timer.Reset(min(flight.next, d.first+e.cfg.HandshakeTimeout) - e.now())
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-e.closed:
			return ErrClosed
		}
	}
	return nil
}

// opened makes c the session of a complete handshake.
func (c *Conn) opened(d *dialing) error {
	h, now := d.h, c.e.now()
	if len(h.peer.Ciphers) != 1 {
		return errors.New("the server chose no cipher")
	}
	cipher, ok := pickCipher(h.peer.Ciphers, d.ciphers)
	if !ok {
		return errors.New("the server chose a cipher that was not offered")
	}
	if err := c.openWith(h); err != nil {
		return err
	}
	if err := c.begin(h, cipher, now-d.first); err != nil {
		return err
	}
	c.loop.finish = newFlight(h.flight(wire.MinDatagram, 0), now, c.e.cfg.HandshakeTimeout)
	c.loop.tickets.tls, c.loop.tickets.session = h.tls, d.session
	c.log.Debug("session opened", "rtt", now-d.first, "server", h.server, "early", c.loop.early)
	return nil
}

// packet handles a datagram of long packets; again says that the first flight has to go out anew, with a token.
func (d *dialing) packet(data []byte) (again bool, err error) {
	h := d.h
	hdr, head, _, err := wire.ParseLong(data, false)
	if err != nil {
		return false, nil
	}
	switch hdr.Type {
	case wire.VersionNegotiation:
		if h.heard {
			return false, nil
		}
		for _, v := range hdr.Versions {
			if v == wire.Version1 {
				return false, nil // it does not make sense, so it is not from the server
			}
		}
		return false, fmt.Errorf("fasp: the server speaks other protocol versions only: %x", hdr.Versions)
	case wire.Retry:
		if d.retried || h.heard || !hmac.Equal(hdr.Tag, retryTag(h.hid, data[:head])) {
			return false, nil
		}
		d.retried = true
		h.token = append([]byte(nil), hdr.Token...)
		return true, nil
	}
	for len(data) > 0 {
		if data, err = h.packet(data, nil); err != nil {
			return false, err
		}
	}
	return false, nil
}
