package vlab

import "time"

// Control is a congestion control that a TCP can have.
type Control uint8

// Congestion controls.
const (
	Cubic Control = iota + 1 // RFC 9438
	BBR                      // version 1, draft-cardwell-iccrg-bbr-congestion-control-00
)

func (c Control) String() string {
	if c == BBR {
		return "bbr"
	}
	return "cubic"
}

// TCPOptions set up a TCP.
type TCPOptions struct {
	Seed    uint64
	Extra   time.Duration // added to the round trip of this connection alone
	ECN     bool          // of RFC 3168: CE is taken as a loss; BBR version 1 does not mind it
	HyStart bool          // CUBIC leaves slow start when the round trip grows (RFC 9406)
}

// TCP is a model of a bulk TCP connection without end. It is kinder than a real one where that is simpler: packets are
// numbered anew when their bytes are sent again, so that no acknowledgement is ambiguous, acknowledgements tell of more
// ranges than SACK has room for, and the receive window never limits.
type TCP struct {
	Started   time.Duration
	FirstData time.Duration // when the first packet arrived
	// What the sender has done, in packets.
	Sent, Resent, Lost, Timeouts uint64
	// What the receiver got for nothing, in packets, and sent back, in IP bytes.
	Duplicates, BytesBack uint64

	segments segmentSet
	sender   tcpSender
}

const (
	tcpPacket  = 1500 // IP bytes of a full packet
	tcpPayload = 1448 // of that, with timestamps
	tcpAckSize = 76   // of an acknowledgement with timestamps and three SACK blocks
	tcpRanges  = 16   // that an acknowledgement tells of
	tcpGap     = 3    // a packet is lost when one numbered so much higher has arrived

	delayedAck    = 25 * time.Millisecond
	minRTO        = 200 * time.Millisecond
	maxRTO        = 60 * time.Second
	initialWindow = 10 // packets
)

// AddTCP begins a connection, now. Its handshake is taken as done: it knows a round trip.
func (w *World) AddTCP(control Control, o TCPOptions) *TCP {
	t := &TCP{Started: w.Now}
	s := &t.sender
	*s = tcpSender{t: t, sent: make([]tcpSent, 64), srtt: w.delay + o.Extra + w.Queue(), mark: w.Now, deliveredAt: w.Now, pace: w.Now}
	s.rttvar, s.minRTT = s.srtt/2, s.srtt
	if o.ECN {
		s.ecn = 2
	}
	if control == BBR {
		s.cc = newBBR(w.Now, s.srtt, o.Seed)
	} else {
		s.cc = newCubic(o.HyStart)
	}
	w.Add(s, &tcpReceiver{t: t}, o.Extra)
	return t
}

// Goodput returns new bytes that have arrived at the receiver.
func (t *TCP) Goodput() int64 { return t.segments.n * tcpPayload }

// Window returns the congestion window in packets.
func (t *TCP) Window() float64 { return t.sender.cc.window() }

// congestion is what makes one TCP differ from another. Windows are in packets, rates in packets/s.
type congestion interface {
	onAck(e *tcpEvent)
	onTimeout(now time.Duration, inFlight int)
	window() float64
	pacing() float64 // 0 = whenever the window allows
}

// tcpEvent is what an acknowledgement told.
type tcpEvent struct {
	now           time.Duration
	acked, lost   int
	cut           bool // a packet was lost that had been sent after the last such event
	cutting       bool // nothing sent after the last cut has been acknowledged
	recovering    bool // nothing sent after the last loss was found has been acknowledged
	newest, next  uint64
	before, after int           // packets in flight
	rtt           time.Duration // of the newest packet, 0 if that was known
	srtt          time.Duration
	delivered     uint64  // packets so far
	then          uint64  // the same when the newest packet was sent
	rate          float64 // of delivery, packets/s, 0 = not measured
}

// tcpSent is a packet sent.
type tcpSent struct {
	at          time.Duration
	delivered   uint64 // packets delivered when it was sent, when the last of those was, and when that had been sent
	deliveredAt time.Duration
	firstAt     time.Duration
	seq         uint32
	state       uint8
}

const (
	tcpInFlight = iota
	tcpAcked
	tcpLost
)

type tcpAck struct {
	ranges [][2]uint64 // from lowest to highest
	ce     uint64      // packets that came with CE so far; a real TCP says so with less, until the sender has answered
}

// tcpSender is the sending Host.
type tcpSender struct {
	t          *TCP
	cc         congestion
	base, next uint64    // packet numbers: nothing below base is in flight
	sent       []tcpSent // ring, by packet number
	nextSeq    uint32
	again      []uint32 // segments to send again
	inFlight   int
	newest     uint64 // the highest number acknowledged, +1
	newestSent time.Duration
	ecn        uint8  // field of packets sent
	ce         uint64 // packets that were marked
	cutEnd     uint64 // one reduction for all that was sent before
	recoverEnd uint64

	delivered            uint64
	deliveredAt, firstAt time.Duration

	srtt, rttvar, minRTT time.Duration
	mark                 time.Duration // the timers run from here
	probed               bool
	backoff              int
	pace                 time.Duration
}

func (s *tcpSender) packet(pn uint64) *tcpSent { return &s.sent[pn&uint64(len(s.sent)-1)] }

// Wake implements Host.
func (s *tcpSender) Wake(now time.Duration, out func(p Packet)) time.Duration {
	if s.inFlight > 0 && now >= s.timer() {
		s.onTimer(now, out)
	}
	window, rate := s.cc.window(), s.cc.pacing()
	for float64(s.inFlight) < window {
		if rate > 0 {
			// Bursts of about a millisecond, as the draft's send quantum, keep the number of wake-ups bearable.
			if now < s.pace {
				return min(s.pace, s.timer())
			}
			burst := max(1, min(int(rate/1000), 64<<10/tcpPacket))
			s.pace = max(s.pace, now-time.Millisecond) + time.Duration(float64(burst)/rate*1e9)
			for range burst {
				if float64(s.inFlight) < window {
					s.transmit(now, out)
				}
			}
			continue
		}
		s.transmit(now, out)
	}
	return s.timer()
}

func (s *tcpSender) transmit(now time.Duration, out func(p Packet)) {
	if s.inFlight == 0 {
		s.mark, s.firstAt, s.deliveredAt = now, now, now
	}
	seq := s.nextSeq
	if len(s.again) > 0 {
		seq, s.again = s.again[0], s.again[1:]
		s.t.Resent++
	} else {
		s.nextSeq++
	}
	if s.next-s.base == uint64(len(s.sent)) {
		grown := make([]tcpSent, 2*len(s.sent))
		for pn := s.base; pn < s.next; pn++ {
			grown[pn&uint64(len(grown)-1)] = *s.packet(pn)
		}
		s.sent = grown
	}
	*s.packet(s.next) = tcpSent{at: now, seq: seq, delivered: s.delivered, deliveredAt: s.deliveredAt, firstAt: s.firstAt}
	out(Packet{pn: s.next, block: seq, data: true, size: tcpPacket, ecn: s.ecn})
	s.next++
	s.inFlight++
	s.t.Sent++
}

// timer returns when the sender acts though nothing has come: first a probe (RFC 8985 section 7), then the time-out.
func (s *tcpSender) timer() time.Duration {
	if s.inFlight == 0 {
		return 1<<63 - 1
	}
	rto := min(s.srtt+max(minRTO, 4*s.rttvar), maxRTO)
	if !s.probed {
		return s.mark + min(2*s.srtt+delayedAck, rto)
	}
	return s.mark + min(rto<<s.backoff, maxRTO)
}

func (s *tcpSender) onTimer(now time.Duration, out func(p Packet)) {
	if !s.probed {
		s.probed = true
		s.transmit(now, out)
		return
	}
	s.t.Timeouts++
	s.backoff = min(s.backoff+1, 8)
	s.mark = now
	for pn := s.base; pn < s.next; pn++ {
		s.lose(pn)
	}
	s.base = s.next
	s.cutEnd, s.recoverEnd = s.next, s.next
	s.cc.onTimeout(now, s.inFlight)
	s.pace = now
}

// lose takes a packet out of flight, if it is, and has its segment sent again.
func (s *tcpSender) lose(pn uint64) bool {
	p := s.packet(pn)
	if p.state != tcpInFlight {
		return false
	}
	p.state = tcpLost
	s.again = append(s.again, p.seq)
	s.inFlight--
	s.t.Lost++
	return true
}

// Receive implements Host.
func (s *tcpSender) Receive(now time.Duration, q *Packet) {
	e := tcpEvent{now: now, before: s.inFlight}
	var last *tcpSent
	for _, r := range q.ack.ranges {
		for pn := max(r[0], s.base); pn <= r[1]; pn++ {
			p := s.packet(pn)
			if p.state != tcpInFlight {
				continue
			}
			p.state = tcpAcked
			s.inFlight--
			e.acked++
			last = p
		}
		s.newest = max(s.newest, r[1]+1)
	}
	if e.acked == 0 {
		return
	}
	s.delivered += uint64(e.acked)
	s.deliveredAt = now
	s.measure(&e, last)
	s.newestSent = max(s.newestSent, last.at)
	s.mark, s.probed, s.backoff = now, false, 0
	s.findLost(&e)
	if q.ack.ce > s.ce {
		s.ce = q.ack.ce
		if s.newest > s.cutEnd {
			e.cut, s.cutEnd = true, s.next
		}
	}
	e.newest, e.next, e.after = s.newest-1, s.next, s.inFlight
	e.cutting, e.recovering = s.newest <= s.cutEnd, s.newest <= s.recoverEnd
	e.srtt, e.delivered = s.srtt, s.delivered
	s.cc.onAck(&e)
}

// measure takes the round trip and the rate of delivery (draft-cheng-iccrg-delivery-rate-estimation) of the newest packet.
func (s *tcpSender) measure(e *tcpEvent, p *tcpSent) {
	e.rtt = e.now - p.at
	d := max(e.rtt-s.srtt, s.srtt-e.rtt)
	s.rttvar += (d - s.rttvar) / 4
	s.srtt += (e.rtt - s.srtt) / 8
	s.minRTT = min(s.minRTT, e.rtt)
	e.then = p.delivered
	// Neither what a burst of sending nor what a burst of acknowledgements seems to show is a rate.
	over := max(p.at-p.firstAt, e.now-p.deliveredAt)
	s.firstAt = p.at
	if over >= s.minRTT {
		e.rate = float64(s.delivered-p.delivered) / over.Seconds()
	}
}

// findLost finds what was overtaken by enough packets, or by one that was sent clearly later (RFC 8985).
func (s *tcpSender) findLost(e *tcpEvent) {
	for pn := s.base; pn < s.newest; pn++ {
		p := s.packet(pn)
		if p.state == tcpInFlight && (s.newest-1-pn >= tcpGap || p.at+s.minRTT/4 <= s.newestSent) && s.lose(pn) {
			e.lost++
			e.cut = e.cut || pn >= s.cutEnd
		}
	}
	if e.cut {
		s.cutEnd = s.next
	}
	if e.lost > 0 {
		s.recoverEnd = s.next
	}
	for s.base < s.next && s.packet(s.base).state != tcpInFlight {
		s.base++
	}
}

// tcpReceiver is the receiving Host.
type tcpReceiver struct {
	t       *TCP
	ranges  [][2]uint64 // of packet numbers, from lowest to highest
	ce      uint64
	waiting int // packets not acknowledged
	due     time.Duration
}

// Receive implements Host.
func (r *tcpReceiver) Receive(now time.Duration, q *Packet) {
	if r.t.FirstData == 0 {
		r.t.FirstData = now
	}
	if !r.t.segments.add(q.block) {
		r.t.Duplicates++
	}
	r.waiting++
	if q.ecn == 3 {
		r.ce++
	}
	switch n := len(r.ranges); {
	case n > 0 && q.pn == r.ranges[n-1][1]+1:
		r.ranges[n-1][1]++
	case n == 0 || q.pn > r.ranges[n-1][1]:
		if n == tcpRanges {
			r.ranges = r.ranges[:copy(r.ranges, r.ranges[1:])]
		}
		r.ranges = append(r.ranges, [2]uint64{q.pn, q.pn})
		r.due = now // a hole is told of at once
	default:
		r.due = now // one that was overtaken: the model needs no acknowledgement of it, only its bytes
	}
	switch {
	case r.waiting >= 2:
		r.due = now
	case r.waiting == 1 && r.due != now:
		r.due = now + delayedAck
	}
}

// Wake implements Host.
func (r *tcpReceiver) Wake(now time.Duration, out func(p Packet)) time.Duration {
	if r.waiting == 0 {
		return 1<<63 - 1
	}
	if now < r.due {
		return r.due
	}
	r.waiting = 0
	r.t.BytesBack += tcpAckSize
	out(Packet{ack: &tcpAck{append([][2]uint64(nil), r.ranges...), r.ce}, size: tcpAckSize})
	return 1<<63 - 1
}

// segmentSet knows which segments have arrived.
type segmentSet struct {
	base uint32 // of bits; all below have arrived
	bits []uint64
	n    int64 // distinct segments
}

// add tells whether the segment is new.
func (s *segmentSet) add(seq uint32) bool {
	if seq < s.base {
		return false
	}
	i := int(seq-s.base) / 64
	for len(s.bits) <= i {
		s.bits = append(s.bits, 0)
	}
	bit := uint64(1) << ((seq - s.base) % 64)
	if s.bits[i]&bit != 0 {
		return false
	}
	s.bits[i] |= bit
	s.n++
	for len(s.bits) > 0 && s.bits[0] == 1<<64-1 {
		s.bits = s.bits[1:]
		s.base += 64
	}
	return true
}
