package core

import (
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// A train is a few full packets sent right behind one another. The bottleneck stretches it to its own speed, whatever
// else it carries, since little comes between packets that arrive together; the receiver says how long it took (docs/protocol.md section 8.5).

const (
	maxTrain = 512
	// minDispersion is the shortest time of a train that says something: clocks and batches blur what is shorter.
	minDispersion = 50 * time.Microsecond
	// trainReports is how many reports carry a measurement, since some are lost.
	trainReports   = 4
	dispersionSize = 24 // bytes of the frame at most
)

// trainsOut are the trains of this side.
type trainsOut struct {
	left  int  // packets of the one being sent
	open  bool // no other data packet was sent behind the last one yet: the receiver would take the next one for a part of it
	sent  [4]trainOut
	count int
}

// trainOut is a train that was sent: the packets' numbers, and what they and those between them come to.
type trainOut struct {
	pns      []uint64
	through  []uint32
	measured int // packets of the longest measurement so far
	short    bool
}

// beginTrain starts a train if the law wants one and there is enough to send.
func (c *Conn) beginTrain(now time.Duration) {
	t := &c.trains
	if t.left > 0 || t.open {
		return
	}
	n := c.law.Train(now)
	if n < 2 || c.out.unsent+int64(c.out.nLost*c.sizes[c.class]) < int64(n*c.sizes[c.class]) {
		return
	}
	c.law.TrainSent(now)
	t.left, t.open = min(n, maxTrain), true
	k := &t.sent[t.count%len(t.sent)]
	t.count++
	k.pns, k.through, k.measured, k.short = k.pns[:0], k.through[:0], 0, false
}

// trainPacket marks a data packet that belongs to the train; any other ends it.
func (c *Conn) trainPacket(p *Packet) {
	t := &c.trains
	if t.left == 0 {
		t.open = false
		return
	}
	t.left--
	p.Train = true
	k := &t.sent[(t.count-1)%len(t.sent)]
	k.pns = append(k.pns, p.PN)
	k.through = append(k.through, uint32(c.through()))
}

// onDispersion learns how long a part of a train took.
func (c *Conn) onDispersion(now time.Duration, body []byte) error {
	m, err := wire.ParseDispersion(body)
	if err != nil {
		return protocolError("malformed dispersion")
	}
	for i := range c.trains.sent {
		k := &c.trains.sent[i]
		from, to := -1, -1
		for j, pn := range k.pns {
			switch pn {
			case m.First:
				from = j
			case m.First + m.Span:
				to = j
			}
		}
		if from < 0 || to <= from || to-from <= k.measured || to-from < len(k.pns)/2 {
			continue
		}
		took := time.Duration(m.Micros) * time.Microsecond
		if took < minDispersion {
			if !k.short {
				k.short = true
				c.law.OnShortTrain(now)
			}
			return nil
		}
		again := k.measured > 0
		k.measured = to - from
		c.law.OnCapacity(now, float64(airtimeRate(int(k.through[to]-k.through[from]), took)), again)
		c.applyRates(now)
	}
	return nil
}

// trainIn is the train that arrives.
type trainIn struct {
	first, last uint64
	begun, over time.Duration
	any, closed bool
	told        int
}

// arrived notes a data packet.
func (t *trainIn) arrived(now time.Duration, pn uint64, train bool) {
	switch {
	case !train:
		t.closed = t.closed || pn > t.last
	case !t.any || pn > t.last && t.closed || pn+maxTrain < t.first:
		*t = trainIn{first: pn, last: pn, begun: now, over: now, any: true}
	case pn > t.last:
		t.last, t.over, t.told = pn, now, 0
	}
}

// report appends a DISPERSION frame if there is something to tell.
func (t *trainIn) report(b []byte) []byte {
	if !t.any || t.last == t.first || t.told >= trainReports {
		return b
	}
	t.told++
	m := wire.Dispersion{First: t.first, Span: t.last - t.first, Micros: uint64((t.over - t.begun) / time.Microsecond)}
	return wire.AppendFrame(b, &wire.Frame{Type: wire.FrameDispersion, Data: m.Append(make([]byte, 0, dispersionSize))})
}
