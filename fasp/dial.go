package fasp

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// dial runs the client's side of the handshake (docs/protocol.md section 4).
func (e *Endpoint) dial(ctx context.Context, addr netip.AddrPort) (*Conn, error) {
	cid, err := e.reserve()
	if err != nil {
		return nil, err
	}
	c, err := e.handshake(ctx, addr, cid)
	if err != nil {
		e.unreserve(cid)
		return nil, err
	}
	return c, nil
}

func (e *Endpoint) handshake(ctx context.Context, addr netip.AddrPort, cid wire.CID) (*Conn, error) {
	h := newHandshake(&e.cfg, true, randomUint64(), cid)
	defer h.tls.Close()
	in := make(chan []byte, 16)
	e.mu.Lock()
	e.dials[h.hid] = in
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.dials, h.hid)
		e.mu.Unlock()
	}()
	ciphers := e.cfg.Ciphers
	if len(ciphers) == 0 {
		ciphers = []Cipher{AES128, AES256, AES192}
	}
	offer := make([]byte, len(ciphers))
	for i, c := range ciphers {
		offer[i] = byte(c)
	}
	if err := h.start(ctx, e.params(offer, nil)); err != nil {
		return nil, err
	}
	first := e.now()
	flight := newFlight(h.flight(wire.MinDatagram, wire.MinDatagram), first, e.cfg.HandshakeTimeout)
	timer := time.NewTimer(0)
	defer timer.Stop()
	retried := false
	for !h.complete {
		select {
		case data := <-in:
			again, err := e.clientPacket(h, data, &retried)
			if err != nil {
				if h.levels[1].hasTx {
					e.send([][]byte{h.close(CodeAuth, "handshake refused")}, addr)
				}
				return nil, err
			}
			if again {
				flight = newFlight(h.flight(wire.MinDatagram, wire.MinDatagram), e.now(), e.cfg.HandshakeTimeout)
				timer.Reset(0)
			}
		case <-timer.C:
			now := e.now()
			if now-first >= e.cfg.HandshakeTimeout {
				return nil, ErrHandshakeTimeout
			}
			if now >= flight.next {
				e.send(flight.take(now), addr)
			}
			timer.Reset(min(flight.next, first+e.cfg.HandshakeTimeout) - e.now())
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-e.closed:
			return nil, ErrClosed
		}
	}
	now := e.now()
	if len(h.peer.Ciphers) != 1 {
		return nil, errors.New("the server chose no cipher")
	}
	cipher, ok := pickCipher(h.peer.Ciphers, ciphers)
	if !ok {
		return nil, errors.New("the server chose a cipher that was not offered")
	}
	c, err := newConn(e, h, cipher, addr, now-first)
	if err != nil {
		return nil, err
	}
	c.loop.finish = newFlight(h.flight(wire.MinDatagram, 0), now, e.cfg.HandshakeTimeout)
	if err := e.adopt(c); err != nil {
		return nil, err
	}
	c.log.Debug("session opened", "rtt", now-first, "server", c.server)
	return c, nil
}

// clientPacket handles a datagram of long packets; again says that the first flight has to go out anew, with a token.
func (e *Endpoint) clientPacket(h *handshake, data []byte, retried *bool) (again bool, err error) {
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
		if *retried || h.heard || !hmac.Equal(hdr.Tag, retryTag(h.hid, data[:head])) {
			return false, nil
		}
		*retried = true
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
