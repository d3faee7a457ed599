package fasp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// resetsPerSecond bounds the answers to packets of unknown sessions (docs/protocol.md section 5.5).
const resetsPerSecond = 100

// resetToken is what proves that the server with this identity has forgotten the session that a client had from an address under a CID,
// even after a restart. Without the address anybody could collect the tokens of all CIDs and end sessions with them later.
func (id *Identity) resetToken(cid wire.CID, client netip.AddrPort) []byte {
	m := hmac.New(sha256.New, id.reset)
	m.Write(binary.BigEndian.AppendUint64(nil, uint64(cid)))
	m.Write([]byte(client.String()))
	return m.Sum(nil)[:wire.ResetTokenLen]
}

// reset answers a packet of n bytes: it tells a peer that its session is not known here. It is called by the reading goroutine only.
func (e *Endpoint) reset(cid wire.CID, from netip.AddrPort, n int) {
	if e.cfg.Identity == nil || n < 13+wire.CIDLen+wire.ResetTokenLen+1 {
		return // a RESET is to be shorter than what it answers
	}
	e.mu.RLock()
	reserved := e.slots[cid.Slot()]
	e.mu.RUnlock()
	if reserved {
		return // a handshake that is about to become a session
	}
	now := e.now()
	if now-e.resetAt >= time.Second {
		e.resetAt, e.resetIn = now, 0
	}
	if e.resetIn >= resetsPerSecond {
		return
	}
	e.resetIn++
	e.resets.Add(1)
	e.send([][]byte{wire.AppendReset(nil, cid, e.cfg.Identity.resetToken(cid, from))}, from)
}

// wasReset ends the session whose server says that it has forgotten it.
func (e *Endpoint) wasReset(data []byte) {
	h, _, _, err := wire.ParseLong(data, false)
	if err != nil || h.Type != wire.Reset {
		e.dropped.Add(1)
		return
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, c := range e.conns {
		if c.client && c.loop.peerCID == h.CID && len(c.reset) > 0 && hmac.Equal(c.reset, h.Token) {
			c.mu.Lock()
			c.forgotten = true
			c.mu.Unlock()
			c.kick()
			return
		}
	}
	e.dropped.Add(1)
}
