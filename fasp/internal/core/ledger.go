package core

import "time"

// The kinds of packet a ledger entry stands for.
const (
	kindNone    = iota // nothing that needs settling: reports, echoes
	kindSkipped        // never sent, to catch receivers that lie (section 8.4)
	kindData
	kindMessage
	kindPing   // elicits a report, is not repeated
	kindParity // sym is the parity number; never sent again under another packet number
	kindProbe  // a PING as large as packets of that class would be
)

// States of a ledger entry.
//
//	flight -> suspect -> lost -> (late) acked
//	flight -> acked
const (
	flight = iota
	suspect
	lost
	acked
)

// sent is what the sender knows of one packet number.
type sent struct {
	at      time.Duration
	block   uint32 // data: block; message: chunk number
	through uint32 // IP bytes of the session up to this packet, probes of the search left out, modulo 2^32
	sym     uint16
	size    uint16 // IP bytes, at most 65,535
	kind    uint8
	state   uint8
	ect     bool  // sent with ECT(0)
	class   uint8 // data, parity, probe: size class
}

// ledger maps packet numbers to what they carried, from the oldest unsettled one up (section 8.2).
type ledger struct {
	ring []sent // length a power of two
	base uint64
	next uint64
}

func newLedger() ledger { return ledger{ring: make([]sent, 1024)} }

func (l *ledger) at(pn uint64) *sent {
	if pn < l.base || pn >= l.next {
		return nil
	}
	return &l.ring[pn&uint64(len(l.ring)-1)]
}

func (l *ledger) push(s sent) uint64 {
	if l.next-l.base == uint64(len(l.ring)) {
		old := l.ring
		l.ring = make([]sent, 2*len(old))
		for pn := l.base; pn < l.next; pn++ {
			l.ring[pn&uint64(len(l.ring)-1)] = old[pn&uint64(len(old)-1)]
		}
	}
	pn := l.next
	l.ring[pn&uint64(len(l.ring)-1)] = s
	l.next++
	return pn
}

// trim forgets settled entries at the low end. Lost ones stay until keep, so that a late arrival is noticed.
func (l *ledger) trim(keep time.Duration) {
	for l.base < l.next {
		e := &l.ring[l.base&uint64(len(l.ring)-1)]
		switch {
		case e.state == acked, e.state == lost && e.at < keep, e.at < keep && e.kind <= kindSkipped:
			l.base++
		default:
			return
		}
	}
}
