package fasp

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// candidate is the Path of control packets that go to an address not yet proved.
const candidate = 1

// pathState follows the peer's address (docs/protocol.md section 10). Only the server side does: a client's server stays where it is.
type pathState struct {
	candidate netip.AddrPort
	challenge uint64
	until     time.Duration // give up then; 0 = nothing is being challenged
	next      time.Duration // of the next copy
	received  int           // bytes from the candidate
	sent      int           // bytes to it
}

func (p *pathState) deadline() time.Duration {
	if p.until == 0 {
		return 1<<63 - 1
	}
	return p.next
}

// heard notes where an authentic packet of n bytes came from.
func (p *pathState) heard(l *connLoop, now time.Duration, from netip.AddrPort, newest bool, n int) {
	if l.c.client || from == *l.c.peer.Load() {
		return
	}
	if p.until != 0 && from == p.candidate {
		p.received += n
		return
	}
	if !newest {
		return
	}
	*p = pathState{candidate: from, challenge: randomUint64(), until: now + 3*time.Second, next: now, received: n}
}

// turn sends the challenge when it is due and allowed.
func (p *pathState) turn(l *connLoop, now time.Duration) {
	if p.until == 0 || now < p.next {
		return
	}
	if now >= p.until {
		p.until = 0
		return
	}
	const size = 9 + wire.FrameOverhead
	if p.sent+size <= 3*p.received {
		p.sent += size
		l.core.Control(pathFrame(wire.FramePathChallenge, p.challenge), candidate)
	}
	p.next = now + max(50*time.Millisecond, l.core.RTT()/4)
}

// challenged answers on the path that the challenge came by.
func (p *pathState) challenged(l *connLoop, from netip.AddrPort, data []byte) {
	if from == *l.c.peer.Load() {
		l.core.Control(pathFrame(wire.FramePathResponse, binary.BigEndian.Uint64(data)), 0)
	}
}

// answered makes the candidate the peer's address.
func (p *pathState) answered(l *connLoop, from netip.AddrPort, data []byte) {
	if p.until == 0 || from != p.candidate || binary.BigEndian.Uint64(data) != p.challenge {
		return
	}
	p.until = 0
	l.c.peer.Store(&from)
	l.core.PathChanged()
	l.c.log.Info("peer moved", "to", from)
}

func pathFrame(typ byte, v uint64) []byte {
	return wire.AppendFrame(nil, &wire.Frame{Type: typ, Data: binary.BigEndian.AppendUint64(nil, v)})
}
