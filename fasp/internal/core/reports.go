package core

import (
	"math"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/fifo"
	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// stretch is a run of packet numbers whose fate is reported together, until a report that carried it is echoed.
type stretch struct {
	lo, hi  uint64 // hi exclusive
	sent    int    // how many reports carried it since it was new
	first   uint64 // number of the first of up to 64 reports that reports is about
	reports uint64 // bit i: report first+i carried it
	lastAt  time.Duration
	settled bool
	// quiet means that all of it arrived and none of it asked for a report: it is spoken of once, or two sides that only report would
	// keep one another going. What is missing may have asked.
	quiet bool
}

// reportEach is how many packets a report stands for, if that takes longer than its usual interval: of 80 to 90 bytes for 22 packets of
// 1,500 the way back carries 0.28 %. Below 10 Mbit/s, where that takes longer than slowReports, the interval grows with the root of the time of
// a packet only, since a rate law that hears that late lets the queue swing. maxInterval bounds it.
const (
	reportEach  = 22
	slowReports = 26 * time.Millisecond
	maxInterval = 250 * time.Millisecond
)

const (
	maxStretch  = 2048 // several fit into a report even as bitmaps: one that only an empty report had room for would wait for ever behind newer ones
	lateStretch = 1024 // for packets that arrive when their stretch has been forgotten; a power of two
	maxAttempts = 20   // then the peer is silent or gone, and repeating is left to reports that something elicits
)

// track records an arrival for the reports.
func (c *Conn) track(pn uint64) {
	late := pn < c.reportedTo
	c.seen.add(pn)
	if !late {
		return
	}
	for i := len(c.stretches) - 1; i >= 0; i-- {
		if s := &c.stretches[i]; pn >= s.lo && pn < s.hi {
			s.sent, s.reports, s.settled, s.quiet = 0, 0, false, false
			c.reportWanted = true
			return
		}
	}
	// Forgotten because a report about it was echoed: speak of it again, and of those around it, so that a peer that fills
	// old gaps one by one does not make a stretch of each.
	s := stretch{lo: max(pn&^(lateStretch-1), c.seen.floor()), hi: min(pn|(lateStretch-1)+1, c.reportedTo)}
	i := 0
	for i < len(c.stretches) && c.stretches[i].hi <= pn {
		s.lo = max(s.lo, c.stretches[i].hi)
		i++
	}
	if i < len(c.stretches) {
		s.hi = min(s.hi, c.stretches[i].lo)
	}
	c.stretches = fifo.Push(c.stretches, stretch{})
	copy(c.stretches[i+1:], c.stretches[i:])
	c.stretches[i] = s
	c.reportWanted = true
}

// repeats is k of section 8.1.
func (c *Conn) repeats() int {
	p := min(max(c.reportLoss, 1e-6), 0.9)
	return min(8, max(1, int(math.Ceil(math.Log(0.001)/math.Log(p)))))
}

// receiverRTT is the round trip as the receiver of data knows it.
func (c *Conn) receiverRTT() time.Duration {
	if c.echoRTT.smoothed != 0 {
		return c.echoRTT.smoothed
	}
	return c.RTT()
}

// reportInterval is the least time between two reports (section 8.1).
func (c *Conn) reportInterval() time.Duration {
	if c.crowded {
		return time.Millisecond
	}
	d := min(10*time.Millisecond, max(time.Millisecond, c.receiverRTT()/4))
	if c.packetGap > 0 && c.eliciting < reportEach { // with so many, their time is over, whatever it was before
		many := reportEach * c.packetGap
		if many > slowReports {
			many = time.Duration(math.Sqrt(float64(slowReports) * float64(many)))
		}
		d = max(d, min(many, maxInterval))
	}
	return d
}

// reportDue returns when a report should go.
func (c *Conn) reportDue() time.Duration {
	due := never
	if c.reportWanted {
		due = c.lastReport + c.reportInterval()
		if c.eliciting > 0 && c.eliciting < reportEach {
			// A message should not wait for many packets more, nor a packet after which none comes: when three should have come and did not,
			// none is on its way.
			at := c.lastElicited + max(time.Millisecond, 3*c.packetGap)
			if c.urgent {
				at = min(at, c.firstEliciting+max(time.Millisecond, c.reportInterval()/4))
			}
			due = min(due, max(c.lastReport+min(10*time.Millisecond, c.receiverRTT()/4), at))
		}
	}
	wait := c.receiverRTT() * 5 / 4
	soon, k := c.lastReport+c.reportInterval(), c.repeats()
	for i := range c.stretches {
		s := &c.stretches[i]
		if s.settled || s.sent >= maxAttempts {
			continue
		}
		at := s.lastAt + wait
		if s.sent < k {
			at = soon
		}
		due = min(due, at)
		if due <= c.lastReport {
			break
		}
	}
	return due
}

// buildReport writes the REPORT frame that is due, at most room bytes long.
func (c *Conn) buildReport(now time.Duration, b []byte, room int) []byte {
	// A pause before the first packet says nothing of the pace at which they come.
	if c.eliciting > 1 || c.eliciting == 1 && c.firstEliciting-c.lastReport < maxInterval {
		since := c.lastReport
		if c.eliciting > 1 {
			since = max(since, c.firstEliciting)
		}
		gap := min((now-since)/time.Duration(c.eliciting), maxInterval/reportEach)
		if c.packetGap == 0 || c.eliciting >= reportEach && gap < c.packetGap {
			c.packetGap = gap
		}
		c.packetGap += (gap - c.packetGap) / 4
	}
	// A peer may jump ahead by any number; what the window has forgotten by that is not spoken of.
	for lo := max(c.reportedTo, c.seen.floor()); lo < c.seen.next; {
		hi := min(c.seen.next, lo+maxStretch)
		c.stretches = append(c.stretches, stretch{lo: lo, hi: hi, quiet: c.eliciting == 0 && c.seen.all(lo, hi)})
		lo = hi
	}
	c.reportedTo = c.seen.next
	c.reportNo++
	r := wire.Report{
		Number:  c.reportNo,
		Highest: c.seen.next - 1,
		Hold:    uint64((now - c.highestAt) / time.Microsecond),
		Stamp:   uint32(c.highestAt / time.Microsecond),
		Credit:  c.creditGiven,
		Extents: c.extentsGiven,
		Grant:   uint64(c.grantGiven),
		Drain:   uint64(c.drainGiven),
		Spans:   c.spans[:0],
	}
	k := c.repeats()
	wait := c.receiverRTT() * 5 / 4
	room -= 64 + dispersionSize + ecnSize // the fixed fields, and what may follow or precede
	// New stretches have precedence over repetitions.
	chosen := c.chosen[:0]
	for range c.stretches {
		chosen = append(chosen, false)
	}
	more, crowded := false, false
	for pass := range 2 {
		n := 0
		for i := len(c.stretches) - 1; i >= 0; i-- {
			s := &c.stretches[i]
			isNew := s.sent == 0
			if s.settled || isNew != (pass == 0) || !isNew && s.sent >= k && now-s.lastAt < wait {
				continue
			}
			size := int(s.hi-s.lo)/8 + 8
			if size > room || n == wire.MaxSpans/2 {
				more, crowded = more || isNew, crowded || s.sent < maxAttempts
				continue
			}
			room -= size
			n++
			chosen[i] = true
		}
	}
	c.chosen = chosen
	buf := c.spanBuf[:0]
	for i := len(c.stretches) - 1; i >= 0; i-- {
		if !chosen[i] {
			continue
		}
		hi := c.stretches[i].hi
		lo := hi
		for ; i >= 0 && chosen[i] && c.stretches[i].hi == lo && hi-c.stretches[i].lo <= wire.MaxSpanLen; i-- {
			c.stretches[i].carried(r.Number, now)
			lo = c.stretches[i].lo
		}
		i++
		if f := c.seen.floor(); lo < f {
			lo = min(f, hi-1) // what the window has forgotten is not spoken of
		}
		var s wire.Span
		s, buf = wire.MakeSpan(buf, lo, hi-lo, func(j uint64) bool { return c.seen.has(lo + j) })
		r.Spans = append(r.Spans, s)
	}
	c.spanBuf, c.spans = buf, r.Spans
	c.trimStretches()
	c.creditReported = c.creditGiven
	c.reportWanted, c.crowded = more, crowded
	c.eliciting, c.urgent = 0, false
	c.lastReport = now
	c.sentReports[r.Number%uint64(len(c.sentReports))] = now
	c.Stats.ReportsOut++
	// Capacity and marks go first: a sender that knows them takes the train for what it is, and not its queue for a full link, and marks with the
	// report that tells of their packets.
	b = c.ecn.frame(c.train.report(b), r.Number, c.echoed)
	return wire.AppendFrame(b, &wire.Frame{Type: wire.FrameReport, Report: r})
}

// LastReport returns a REPORT frame to go with a CLOSE, or nil if nothing has arrived.
func (c *Conn) LastReport(now time.Duration) []byte {
	if c.seen.next == 0 {
		return nil
	}
	return c.buildReport(now, nil, room-wire.MaxReason-16)
}

func (s *stretch) carried(report uint64, now time.Duration) {
	if s.reports == 0 || report-s.first >= 64 {
		s.first, s.reports = report, 0
	}
	s.reports |= 1 << (report - s.first)
	s.sent++
	s.lastAt = now
	s.settled = s.settled || s.quiet
}

func (c *Conn) trimStretches() {
	n := 0
	floor := c.seen.floor()
	for n < len(c.stretches) && (c.stretches[n].settled || c.stretches[n].hi <= floor) {
		n++
	}
	c.stretches = c.stretches[n:]
	if len(c.stretches) > 0 && c.seen.next-c.stretches[0].lo > c.seen.size()/2 {
		c.seen.grow()
	}
}

// onEcho learns from the header of a packet which of our reports arrived.
func (c *Conn) onEcho(now time.Duration, low uint16) {
	n := wire.ExpandEcho(c.reportNo, low)
	if n == 0 || n <= c.echoed {
		return
	}
	for range min(n-c.echoed-1, 64) {
		c.reportLoss += (1 - c.reportLoss) / 32
	}
	c.reportLoss -= c.reportLoss / 32
	c.echoed = n
	if c.reportNo-n < uint64(len(c.sentReports)) {
		c.echoRTT.sample(now, now-c.sentReports[n%uint64(len(c.sentReports))])
	}
	for i := range c.stretches {
		s := &c.stretches[i]
		if d := n - s.first; s.reports != 0 && n >= s.first && d < 64 && s.reports&(1<<d) != 0 {
			s.settled = true
		}
	}
	c.trimStretches()
}

// onReport learns the fate of our packets (section 8.2).
func (c *Conn) onReport(now time.Duration, r *wire.Report) error {
	if r.Highest >= c.led.next {
		return protocolError("report of a packet that was never sent")
	}
	if e := c.led.at(r.Highest); e != nil && e.kind == kindSkipped {
		return protocolError("report of a packet that was left out on purpose")
	}
	c.Stats.ReportsIn++
	c.credit = max(c.credit, r.Credit)
	c.extents = max(c.extents, r.Extents)
	newest := r.Number > c.lastReportIn
	if newest {
		c.lastReportIn = r.Number
		c.reportAt = now
		if c.grant != int64(r.Grant) {
			c.grant = int64(min(r.Grant, 1<<50))
			c.applyRates(now)
		}
		if c.drain != int64(r.Drain) {
			c.drain = int64(min(r.Drain, 1<<50))
			c.applyRates(now)
		}
	}
	c.heardReport(now)
	first := r.Highest >= c.highestReported
	if first {
		c.highestReported = r.Highest + 1
	}
	// The spans run down; what was received has to be known before what is missing can be judged, and the sample for the
	// controller needs the fate of all.
	for i := range r.Spans {
		if err := c.onSpan(now, &r.Spans[i], newest); err != nil {
			return err
		}
	}
	var newestSent *sent
	if first {
		if newestSent = c.led.at(r.Highest); newestSent != nil {
			c.rttSample(now, newestSent, r)
		}
	}
	large := c.hole.lost
	c.findLost(now)
	if c.hole.lost > large {
		c.hole.rounds++
	}
	if class, ok := c.smaller(); ok && c.holeShown(now) {
		c.fall(now, class)
	}
	if newest {
		c.ecn.validate(now, c.led.next)
	}
	c.sampleRate(now, newestSent)
	c.retreat(now)
	c.plan.stale = true
	keep := now - 5*c.RTT()/2 - 200*time.Millisecond
	c.limit.settle(now, c.queue, c.packetTime(), keep, &c.led)
	c.pace.most, c.pace.try = c.limit.most, c.limit.try
	c.law.SetTrains(!c.limit.proven)
	c.led.trim(keep)
	return nil
}

func (c *Conn) onSpan(now time.Duration, s *wire.Span, newest bool) error {
	var bad error
	if s.Low+s.Len <= c.led.base {
		return nil
	}
	s.Runs(func(lo, n uint64, received bool) bool {
		hi := lo + n
		lo = max(lo, c.led.base)
		for pn := lo; pn < hi; pn++ {
			e := c.led.at(pn)
			if e == nil {
				return pn < c.led.next
			}
			switch {
			case received && e.state != acked:
				if e.kind == kindSkipped {
					bad = protocolError("report of a packet that was left out on purpose")
					return false
				}
				c.onAcked(now, pn, e)
			case !received && newest && e.state == flight:
				e.state = suspect
				if e.kind >= kindData {
					c.suspects = append(c.suspects, pn)
				}
			}
		}
		return true
	})
	return bad
}

func (c *Conn) rttSample(now time.Duration, e *sent, r *wire.Report) {
	hold := time.Duration(min(r.Hold, 1e9)) * time.Microsecond
	// What timers wait for is an answer, with the time that this side takes to look at it. What queues on the path are judged by is without it.
	if d := now - e.at - hold; d > 0 {
		c.rtt.sample(now, d)
	}
	path := max(c.arrivalOf(now)-e.at-hold, 0)
	if path > 0 {
		c.pathRTT.add(now, path)
	}
	if !c.stamped {
		c.stamped = true
		c.stamp = int64(r.Stamp)
	} else {
		c.stamp += int64(int32(r.Stamp - uint32(c.stamp)))
	}
	c.arrival = time.Duration(c.stamp) * time.Microsecond
	c.queue = c.delays.queue(now, c.arrival-e.at, path, c.pathRTT.get())
}

func (c *Conn) onAcked(now time.Duration, pn uint64, e *sent) {
	was := e.state
	e.state = acked
	if was == lost {
		c.Stats.Spurious++
		// The newest packet known to have arrived overtook this one by that much.
		c.reorder = min(max(c.reorder, (c.newestAckedAt-e.at)*9/8), max(c.RTT(), 50*time.Millisecond))
	}
	if e.ect {
		c.ecn.onAcked(pn)
	}
	if e.at > c.newestAckedAt || pn > c.newestAcked {
		c.newestAcked, c.newestAckedAt = max(pn, c.newestAcked), max(e.at, c.newestAckedAt)
	}
	if e.kind == kindNone {
		return
	}
	c.elicitingOut--
	if was == lost {
		c.elicitingOut++
	}
	if e.kind == kindProbe {
		c.onProbeAcked(now, pn, e)
		return
	}
	c.ackedBytes += uint64(e.size)
	c.lossAcked++
	c.passed(pn, e)
	switch e.kind {
	case kindMessage:
		c.msgOut.onAcked(e.block)
	case kindData:
		b := c.out.get(e.block)
		if b == nil || b.Class != e.class || b.acked.has(int(e.sym)) {
			return
		}
		sym := int(e.sym)
		b.acked.set(sym)
		b.nAcked++
		if b.lost.has(sym) {
			c.out.unmarkLost(b, sym)
		}
		if c.settledBy(b, b.ackData(sym)) {
			c.settle(b)
		}
	case kindParity:
		c.onParityAcked(e, was)
	}
}

// findLost declares suspects lost by the rule of section 8.2.
func (c *Conn) findLost(now time.Duration) {
	allowance := max(c.reorder, c.rtt.min.get()/64)
	keep := c.suspects[:0]
	for _, pn := range c.suspects {
		e := c.led.at(pn)
		if e == nil || e.state != suspect {
			continue
		}
		if c.newestAcked < pn+3 || c.newestAckedAt < e.at+allowance {
			keep = append(keep, pn)
			continue
		}
		e.state = lost
		c.elicitingOut--
		if e.kind == kindProbe {
			c.onProbeLost(now, pn)
			continue
		}
		if c.tooLarge(e) {
			continue // a loss that says nothing of the path but what is known
		}
		c.vanished(now, pn, e)
		c.lostBytes += uint64(e.size)
		c.lossLost++
		c.Stats.Lost++
		if e.ect {
			c.ecn.onLost(pn)
		}
		c.burst.note(&c.led, pn)
		switch e.kind {
		case kindMessage:
			c.msgOut.onLost(e.block, pn)
		case kindData:
			if b := c.out.get(e.block); b != nil && b.Class == e.class && !b.acked.has(int(e.sym)) && b.last[e.sym] == pn {
				c.onDataLost(b, int(e.sym))
			}
		case kindParity:
			c.onParityLost(e)
		}
	}
	c.suspects = keep
}
