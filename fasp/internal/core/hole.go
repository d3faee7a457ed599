package core

import (
	"slices"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// hole watches whether packets of the size in use vanish while smaller ones arrive, as they do where a route changes to a path with a
// smaller MTU and nobody says so (docs/protocol.md section 13.2).
type hole struct {
	acked  int           // packets of that size, ever
	newest uint64        // the highest number of them acknowledged
	lost   int           // of them, declared lost since, with higher numbers
	rounds int           // reports that declared them lost
	since  time.Duration // when the first of them was declared lost
	pinged time.Duration // when a PING went last
	fell   uint64        // packet number of the last change to a smaller size

	// What it was before that loss, which says nothing of rate and parity if it was the size.
	rate                int64
	lossAcked, lossLost float64
}

// smaller returns the class to fall back to, if there is one.
func (c *Conn) smaller() (class uint8, ok bool) {
	switch {
	case c.sizes[c.class] > c.sizes[wire.ClassOrdinary]:
		return wire.ClassOrdinary, true
	case c.class == wire.ClassOrdinary && c.sizes[wire.ClassSmall] > 0:
		return wire.ClassSmall, true
	}
	return 0, false
}

// large tells whether a packet is one that the smaller size would not have allowed; at the smallest, a full one.
func (c *Conn) large(e *sent) bool {
	if e.kind != kindData && e.kind != kindParity || c.tooLarge(e) {
		return false
	}
	limit := c.fullPacket() - 1
	if class, ok := c.smaller(); ok {
		limit = c.packetOf(class)
	}
	return int(e.size) > limit
}

// tooLarge tells whether a packet is of a size that has been given up.
func (c *Conn) tooLarge(e *sent) bool {
	return (e.kind == kindData || e.kind == kindParity) && c.sizes[e.class] > c.sizes[c.class]
}

// packetOf is the IP bytes of a full data packet of a class.
func (c *Conn) packetOf(class uint8) int {
	return c.sizes[class] + wire.DataOverhead + c.cfg.IPOverhead
}

// passed notes an acknowledged packet.
func (c *Conn) passed(pn uint64, e *sent) {
	h := &c.hole
	if c.large(e) {
		h.acked++
		h.newest, h.lost, h.rounds = max(h.newest, pn), 0, 0
	}
}

// vanished notes a lost one.
func (c *Conn) vanished(now time.Duration, pn uint64, e *sent) {
	h := &c.hole
	if pn < h.newest || !c.large(e) {
		return
	}
	if h.lost++; h.lost == 1 {
		h.since, h.rate, h.lossAcked, h.lossLost = now, c.rateNow, c.lossAcked, c.lossLost
	}
}

// holeAfter is how many packets of a size have to vanish in a row, while smaller ones that were sent later arrive. At 30 % loss 12 do by
// chance once in two million times, 32 never; where none has passed yet fewer will do, since a smaller size costs little.
func (c *Conn) holeAfter() int {
	if _, ok := c.smaller(); ok && c.hole.acked == 0 {
		return 12
	}
	return 32
}

func (c *Conn) holeSuspected() bool { return c.hole.lost >= c.holeAfter()/2 }

// holeShown tells whether the size in use does not pass. A packet is lost when one sent later has arrived (section 8.2), so smaller ones
// do pass. One report is no proof, as after an outage a small packet may be the first to get through; and a full queue, too, may take small
// packets and drop large ones for a while. Ending the session takes more than sending smaller packets does.
func (c *Conn) holeShown(now time.Duration) bool {
	h := &c.hole
	if h.lost < c.holeAfter() {
		return false
	}
	rounds, wait := 3, time.Duration(0)
	_, ok := c.smaller()
	switch {
	case ok && h.acked == 0:
		wait = max(500*time.Millisecond, 2*c.RTT())
	case ok:
		wait = max(time.Second, 4*c.RTT())
	case h.acked > 0:
		rounds, wait = 8, 30*time.Second // in a crowd of many sessions on a slow link one may be without luck for long
	default:
		rounds, wait = 8, 4*time.Second // and from its beginning, but a path that takes nothing should be told of soon
	}
	return h.rounds >= rounds && now >= h.since+wait
}

// fall goes on with a smaller size, that of blocks which are under way included.
func (c *Conn) fall(now time.Duration, class uint8) {
	h := &c.hole
	if h.lost > 0 {
		c.lossAcked, c.lossLost = h.lossAcked, h.lossLost
		if !c.breaker.open {
			c.restart(now, float64(h.rate)/2)
		}
	}
	c.search.fell(now, c.class)
	c.resize(class)
	h.fell = c.led.next
	c.Stats.Falls++
	for _, b := range c.out.blocks {
		if b != nil && b.Symbol > c.sizes[class] {
			c.out.recut(b, class, c.sizes[class])
		}
	}
	c.tail.inPass, c.plan.stale, c.trains.left = false, true, 0
	c.applyRates(now)
}

// resize changes the size of new blocks.
func (c *Conn) resize(class uint8) {
	c.class = class
	c.hole = hole{pinged: c.hole.pinged, fell: c.hole.fell}
	c.law.SetPacket(c.fullPacket())
}

// Refused tells that the system would not send a datagram of that many bytes, because it does not fit the interface.
func (c *Conn) Refused(now time.Duration, datagram int) {
	c.search.refused(now, datagram-wire.DataOverhead, &c.sizes)
	for c.sizes[c.class] >= datagram-wire.DataOverhead {
		class, ok := c.smaller()
		if !ok {
			return
		}
		c.fall(now, class)
	}
}

// Datagram returns the size of full data packets, UDP payload bytes.
func (c *Conn) Datagram() int { return c.sizes[c.class] + wire.DataOverhead }

// LargestDatagram returns the largest size that there is, for probes of the search.
func (c *Conn) LargestDatagram() int { return slices.Max(c.sizes[:]) + wire.DataOverhead }
