package core

import (
	"math"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// Packet describes one packet to seal and send. The driver reuses one value for all calls of Next.
type Packet struct {
	PN   uint64
	Echo uint16
	Data bool
	// Data packets: payload is bytes Offset .. Offset+Len of Block.
	Block  *OutBlock
	Symbol uint16
	Last   bool
	Train  bool // sent right behind the one before, to be timed by the receiver
	Offset int
	Len    int
	// Parity packets, which are data packets, too: Symbol is the parity number, and the payload, of Len bytes, is parity symbol Row
	// of the block's Group (docs/protocol.md section 6).
	Parity bool
	Group  int
	Row    int
	// Frame packets: the frames, valid until the next call of Next, and where to.
	Frames []byte
	Path   int
	// ECT asks for ECT(0) in the IP header (section 8.6).
	ECT bool
}

// IPBytes returns the packet's size as rates count it, with the given IP overhead.
func (p *Packet) IPBytes(overhead int) int {
	if p.Data {
		return p.Len + wire.DataOverhead + overhead
	}
	return len(p.Frames) + wire.FrameOverhead + overhead
}

// room is the space for frames in one packet. Frames never need more than the least datagram, so that they pass wherever anything does.
const room = wire.MinDatagram - wire.FrameOverhead

// Next fills p with the packet to send now, or returns false if there is none.
func (c *Conn) Next(now time.Duration, p *Packet) bool {
	c.checkBreaker(now)
	c.tickLaw(now)
	at := c.pace.next
	if c.nextUnpaced(now, p) {
		// Of a low rate, such as the breaker's, reports of what the peer sends would take all.
		c.pace.next = min(c.pace.next, max(at, c.pace.turn+max(c.RTT(), breakerGap)))
		return true
	}
	if !c.pace.ready(now, c.packetTime()) && c.trains.left == 0 || c.led.next-c.led.base >= maxOutstanding {
		return false
	}
	if c.breaker.open {
		return c.nextProbe(now, p)
	}
	if c.msgOut.pending() {
		c.message(now, p, c.msgOut.take(room-20))
		return true
	}
	if b, sym := c.out.nextLost(); b != nil {
		c.Stats.Resent++
		c.beginTrain(now)
		c.plan.stale = true
		c.data(now, p, b, sym)
		return true
	}
	if b := c.out.nextNew(); b != nil {
		if c.nextSize(now, p) {
			return true
		}
		c.beginTrain(now)
		c.idleSince = never
		c.plan.stale, c.plan.spent = true, 0
		if b.next == 0 {
			c.out.unsent -= int64(b.Size)
		}
		b.next++
		c.data(now, p, b, b.next-1)
		return true
	}
	if c.idleSince == never {
		c.idleSince = now
	}
	return c.nextTail(now, p)
}

// nextUnpaced sends what must not wait for the pacer; it is little, and its bytes are charged to the pacer all the same.
func (c *Conn) nextUnpaced(now time.Duration, p *Packet) bool {
	if len(c.control) > 0 {
		k := c.control[0]
		c.control = c.control[1:]
		c.frames(now, p, k.frames, sent{})
		p.Path = k.path
		return true
	}
	if now >= c.reportDue() && c.seen.next > 0 {
		c.outBuf = c.buildReport(now, c.outBuf[:0], room)
		c.frames(now, p, c.outBuf, sent{})
		return true
	}
	if c.wantPing || now >= c.pingDue() {
		c.wantPing = false
		c.hole.pinged = now
		if now >= c.worked+c.silence {
			c.silence *= 2
		}
		c.outBuf = append(c.outBuf[:0], ping[:]...)
		c.frames(now, p, c.outBuf, sent{kind: kindPing})
		return true
	}
	if id, at, ok := c.msgOut.repeat(c.RTT(), c.packetTime(), c.earlyCopies()); ok && now >= at {
		c.message(now, p, id)
		return true
	}
	if now >= c.echoDue() {
		c.outBuf = append(c.outBuf[:0], wire.FramePadding)
		c.frames(now, p, c.outBuf, sent{})
		return true
	}
	return false
}

// ping is a PING with padding, so that its packet is longer than a RESET (docs/protocol.md section 5.5).
var ping = [16]byte{wire.FramePing}

// pingDue returns when a PING is needed: to keep the session alive, or to ask for credit.
func (c *Conn) pingDue() time.Duration {
	at := c.lastEliciting + c.cfg.Idle/3
	// A peer that falls silent in the midst of work may have gone and forgotten the session; it says so when asked (section 5.5).
	if c.silence < c.cfg.Idle/3 {
		at = min(at, max(c.worked+c.silence, c.lastEliciting+c.RTT()))
	}
	if c.blocked || c.elicitingOut > 0 && c.out.open == 0 && c.msgOut.unsettled() == 0 {
		at = min(at, max(c.lastEliciting, c.reportAt)+max(100*time.Millisecond, c.RTT()))
	}
	if c.holeSuspected() && !c.breaker.open {
		// What is small shows whether it is the size; a full queue, or an outage, would keep it back, too.
		at = min(at, c.hole.pinged+max(c.RTT()/2, 50*time.Millisecond))
	}
	return at
}

// echoDue returns when the peer should be told of its reports though there is nothing else to send.
func (c *Conn) echoDue() time.Duration {
	if c.echoSent >= c.lastReportIn {
		return never
	}
	return c.reportAt + min(25*time.Millisecond, max(time.Millisecond, c.RTT()/4))
}

// data describes a data packet and records it.
func (c *Conn) data(now time.Duration, p *Packet, b *OutBlock, sym int) {
	if b.nLost > 0 && b.lost.has(sym) {
		c.out.unmarkLost(b, sym) // a copy goes while the packet before it was found lost
	}
	off, n := b.symbolLen(sym)
	*p = Packet{Data: true, Block: b, Symbol: uint16(sym), Last: sym == b.symbols-1, Offset: off, Len: n}
	c.number(now, p, sent{kind: kindData, block: b.ID, sym: uint16(sym), class: b.Class})
	c.trainPacket(p)
	b.last[sym] = p.PN
	b.sentAgain(sym)
	if b.tx[sym] < 255 {
		b.tx[sym]++
	}
	c.Stats.DataOut++
}

// message describes a packet with one chunk of the message stream.
func (c *Conn) message(now time.Duration, p *Packet, id uint32) {
	k := c.msgOut.get(id)
	c.outBuf = wire.AppendFrame(c.outBuf[:0], &wire.Frame{Type: wire.FrameMessage, Offset: uint64(k.off), Data: c.msgOut.data(k)})
	c.frames(now, p, c.outBuf, sent{kind: kindMessage, block: id})
	c.msgOut.onSent(k, p.PN, now)
}

func (c *Conn) frames(now time.Duration, p *Packet, frames []byte, s sent) {
	*p = Packet{Frames: frames}
	c.number(now, p, s)
}

// number gives the packet its number and accounts for it.
func (c *Conn) number(now time.Duration, p *Packet, s sent) {
	if c.led.next >= c.nextSkip {
		c.led.push(sent{at: now, kind: kindSkipped, through: uint32(c.through())})
		if c.skipGap < 1024 {
			c.skipGap *= 2
		}
		c.nextSkip = c.led.next + c.skipGap/2 + c.rng.Uint64N(c.skipGap)
	}
	n := p.IPBytes(c.cfg.IPOverhead)
	if s.kind == kindProbe {
		c.probeBytes += uint64(n)
	} else if s.kind > kindSkipped && !c.breaker.open && c.ecn.mark() {
		p.ECT, s.ect = true, true
	}
	c.Stats.BytesOut += uint64(n)
	s.at, s.size, s.through = now, uint16(min(n, math.MaxUint16)), uint32(c.through())
	p.PN = c.led.push(s)
	p.Echo = uint16(c.lastReportIn)
	c.echoSent = c.lastReportIn
	c.pace.sent(now, airtime(n, c.rateNow))
	c.misses.note(now, c.pace.missed)
	c.limit.sent(now, p.PN, c.packetTime(), c.trains.left > 0)
	c.Stats.PacketsOut++
	if s.kind > kindSkipped {
		if c.elicitingOut == 0 {
			c.breaker.since = now
		}
		c.elicitingOut++
		c.lastEliciting = now
	}
}

// through is the IP bytes sent but for probes of the search, of which the path may throw away what it would not of others.
func (c *Conn) through() uint64 { return c.Stats.BytesOut - c.probeBytes }

// leastPass is between two passes over the tail. On a path that takes no time it is the peer that does, and reports come no faster for what is repeated.
const leastPass = time.Millisecond

// tail repeats unsettled symbols while the link would idle, where parity does not do better (section 8.3).
type tail struct {
	block  uint32
	sym    int
	passAt time.Duration // earliest time of the next pass
	inPass bool
	// With parity a pass takes the symbols from here on, and those of which nothing has been heard for long.
	newBlock uint32
	newSym   int
}

// tailWait is how long the queue must have been empty before the tail is repeated, unless Flush was called: a source
// that stalls for a moment is not at its end.
func (c *Conn) tailWait() time.Duration {
	if c.flush {
		return 0
	}
	return max(2*time.Millisecond, c.RTT()/16)
}

func (c *Conn) nextTail(now time.Duration, p *Packet) bool {
	t := &c.tail
	if c.out.open == 0 || c.idleSince == never || now < c.idleSince+c.tailWait() {
		t.inPass = false
		return false
	}
	if c.nextParity(now, p) {
		return true
	}
	if !t.inPass {
		if now < t.passAt {
			return false
		}
		t.inPass, t.block, t.sym = true, c.out.base, 0
		if c.plan.covers {
			// Parity makes up for losses. What is repeated only makes them show: one is found out by what arrives after it (section 8.2).
			t.newBlock, t.newSym = c.newestWanted(3)
			t.passAt = now + c.tailGap()
		} else {
			t.passAt = now + max(c.RTT()/time.Duration(c.tailCopies()), leastPass)
		}
	}
	for i := max(0, int(int32(t.block-c.out.base))); i < len(c.out.blocks); i++ {
		b := c.out.blocks[i]
		if b == nil {
			continue
		}
		if b.ID != t.block {
			t.block, t.sym = b.ID, 0
		}
		for ; t.sym < b.symbols; t.sym++ {
			if b.wanted(t.sym) && (!c.plan.covers || c.repeatable(now, b, t.sym)) {
				c.Stats.Tail++
				c.data(now, p, b, t.sym)
				t.sym++
				return true
			}
		}
		t.block, t.sym = b.ID+1, 0
	}
	t.inPass = false
	return false
}

// tailCopies is how many copies of each unsettled symbol an RTT may see.
func (c *Conn) tailCopies() int {
	n := 0
	for _, b := range c.out.blocks {
		if b != nil {
			n += b.symbols - b.nAcked
		}
	}
	p := min(max(c.Loss(), 0.01), 0.9)
	if c.rates.Policy == Low {
		return 1
	}
	return 1 + int(math.Ceil(math.Log(0.001/float64(max(n, 1)))/math.Log(p)))
}

// breaker is the circuit breaker of section 9.1.
type breaker struct {
	open  bool
	since time.Duration // when unsettled packets began to wait for a report
	next  time.Duration // of the next halving
	rate  int64         // before it opened
	small bool          // the next probe is a PING
}

// breakerGap is how long the breaker's full packets are apart at least, or a round trip if that is longer.
const breakerGap = 250 * time.Millisecond

func (c *Conn) breakerAt() time.Duration {
	if c.elicitingOut == 0 {
		return never
	}
	wait := max(3*c.RTT(), time.Second, 8*c.reportInterval())
	return max(c.reportAt, c.breaker.since) + wait
}

func (c *Conn) checkBreaker(now time.Duration) {
	b := &c.breaker
	if !b.open {
		if now < c.breakerAt() {
			return
		}
		b.open, b.rate, b.next = true, c.rateNow, now
		c.Stats.Breaker++
	}
	for now >= b.next {
		floor := airtimeRate(c.fullPacket(), max(c.RTT(), breakerGap))
		b.next = now + max(c.RTT(), 50*time.Millisecond)
		c.setRate(now, max(c.rateNow/2, min(floor, b.rate)))
	}
}

// airtimeRate is the rate at which n bytes take d.
func airtimeRate(n int, d time.Duration) int64 { return int64(float64(n) * 8e9 / float64(d)) }

// restart forgets what was learnt of the path, which may be another one now, and goes on at a rate.
func (c *Conn) restart(now time.Duration, r float64) {
	c.limit = burstLimit{watched: c.limit.watched[:0], from: c.led.next}
	c.pace.most, c.pace.try = 0, 0
	c.law.SetTrains(true)
	c.law.Restart(now, r)
}

// heardReport closes the breaker.
func (c *Conn) heardReport(now time.Duration) {
	c.breaker.since = now
	if c.breaker.open {
		c.breaker.open = false
		if c.ecn.state == ECNCapable {
			c.ecn.begin(c.led.next) // a path that drops what is marked looks like none at all
		}
		c.restart(now, float64(c.breaker.rate)/2)
		c.applyRates(now)
	}
}

// nextProbe sends, while the breaker is open, the oldest unsettled data and PING by turns, at the breaker's rate: small packets may pass
// where full ones do not.
func (c *Conn) nextProbe(now time.Duration, p *Packet) bool {
	c.breaker.small = !c.breaker.small
	b := c.out.oldest()
	if b != nil && c.breaker.small {
		for sym := range b.symbols {
			if !b.acked.has(sym) {
				if sym >= b.next {
					if b.next == 0 {
						c.out.unsent -= int64(b.Size)
					}
					b.next = sym + 1
				}
				c.data(now, p, b, sym)
				return true
			}
		}
	}
	c.outBuf = append(c.outBuf[:0], ping[:]...)
	c.frames(now, p, c.outBuf, sent{kind: kindPing})
	if b == nil {
		// Who waits for no data has no use for the rate: a side that only receives would ask thousands of times a second.
		c.pace.next = max(c.pace.next, now+max(c.RTT(), breakerGap))
	}
	return true
}

// Deadline returns when Next should be called again if nothing arrives before.
func (c *Conn) Deadline(now time.Duration) time.Duration {
	if len(c.control) > 0 || c.wantPing {
		return now
	}
	at := min(c.lastHeard+c.cfg.Idle, c.pingDue(), c.echoDue())
	if c.seen.next > 0 {
		at = min(at, c.reportDue())
	}
	if _, t, ok := c.msgOut.repeat(c.RTT(), c.packetTime(), c.earlyCopies()); ok {
		at = min(at, t)
	}
	if c.breaker.open {
		return min(at, c.breaker.next, max(c.paceAt(), now))
	}
	at = min(at, c.breakerAt())
	if t := c.law.Next(); t >= 0 {
		at = min(at, max(t, now))
	}
	if c.led.next-c.led.base >= maxOutstanding {
		return at
	}
	switch {
	case c.Paced():
		at = min(at, c.paceAt())
		if c.trains.left > 0 {
			at = now
		}
	case c.out.open > 0:
		t := c.paceAt()
		if c.idleSince != never {
			t = max(t, c.idleSince+c.tailWait())
		}
		if !c.tail.inPass && !(c.cfg.Parity && (c.plan.stale || c.plan.more)) {
			t = max(t, c.tail.passAt)
		}
		at = min(at, t)
	}
	return at
}

// packetTime is how long a full packet takes at the rate.
func (c *Conn) packetTime() time.Duration { return airtime(c.fullPacket(), c.rateNow) }

// paceAt is when the pacer lets something go.
func (c *Conn) paceAt() time.Duration { return c.pace.at(c.packetTime()) }

// Paced tells that there is something to send that waits for nothing but the pacer.
func (c *Conn) Paced() bool {
	return !c.breaker.open && (c.msgOut.pending() || c.out.nLost > 0 || c.out.nextNew() != nil)
}

// Check tells whether the session must end: ErrIdle, ErrMTU or nil.
func (c *Conn) Check(now time.Duration) error {
	if now >= c.lastHeard+c.cfg.Idle {
		return ErrIdle
	}
	if _, ok := c.smaller(); !ok && c.holeShown(now) {
		return ErrMTU
	}
	return nil
}
