package rate

import "time"

// aqm is what a session knows of a queue that marks packets (ECN, RFC 3168; docs/protocol.md section 9). A mark says that the queue is as long as it
// should be, or has been for a while. It stands for a loss, of a queue that is short; so the answer is that of RFC 8511.
type aqm struct {
	told    uint64        // marks of which the law knows
	fresh   bool          // the latest sample brought some
	hold    time.Duration // marks of what was sent before belong to the last answer
	less    float64       // how much less than usual is kept queued, 0..1
	at      time.Duration // of the latest sample, since which it regained
	resume  float64       // the rate to come back to, once the queue is empty, 0 = by the law
	last    time.Duration // when a mark came last
	sharing bool          // the window below holds
	window  cubic
	acked   uint64
}

const (
	markBeta  = 0.8  // of the rate, RFC 8511
	markQueue = 0.7  // of the own queue, where nobody else could have made it
	leastOwn  = 0.25 // of what weight 1 keeps: less is not measurable
	moreOwn   = 0.02 // a second
	// Who takes so much of the capacity made the queue itself.
	aloneShare = 0.9
	// A queue from which no mark came for so long does not mark, or nobody else fills it.
	markMemory = 10 * time.Second
)

// share is how much of the usual queue is kept.
func (q *aqm) share() float64 { return 1 - q.less }

// onSample takes note of marks, whatever the law does with the sample.
func (q *aqm) onSample(s *Sample, rate float64, packet int, weight float64) {
	q.fresh = s.Marked > q.told && s.Sent >= q.hold
	if s.Marked > q.told {
		q.told, q.last = s.Marked, s.Now
	}
	if d := s.Now - q.at; q.less > 0 && d > 0 {
		q.less = max(0, q.less-moreOwn*d.Seconds())
	}
	q.at = s.Now
	if s.Now-q.last > markMemory {
		q.sharing = false
	}
	// As RFC 9438 section 4.2: a window that does not limit does not grow.
	if q.sharing && rate >= 0.95*q.window.rate(s.Smooth, packet, weight) {
		q.window.grow(s.Now, float64(s.Acked-q.acked)/float64(packet), s.Smooth)
	}
	q.acked = s.Acked
}

// most is the rate that a CUBIC in this place would have, as long as there may be one.
func (q *aqm) most(s *Sample, packet int, weight float64) float64 {
	if !q.sharing {
		return Max
	}
	return q.window.rate(s.Smooth, packet, weight)
}

// marked answers marks, once a loop; it returns true if it has.
func (a *Adaptive) marked(s *Sample) bool {
	q := &a.aqm
	if !q.fresh {
		if q.resume > 0 && a.phase == steady && s.Sent >= a.hold {
			a.r = max(a.r, q.resume*nextShare)
			q.resume, a.hold = 0, s.Now
		}
		return false
	}
	q.fresh = false
	if a.phase != steady {
		d, _ := a.marks.rate(a.loop()/2, 0)
		if d == 0 || a.trainsOut > 0 && s.Sent < a.trainSent+a.airtime(a.trainLen)+2*a.gap {
			return false // a train is longer than such a queue should be
		}
		a.settle(s, d)
		q.hold = s.Now + a.gap
		return true
	}
	// A report speaks of what was sent before its newest packet, too.
	q.hold, a.hold, a.boost = s.Now+a.loop()/2, s.Now, 1
	// Low keeps as little as can be measured already.
	if best, least := a.best.get(), min(leastOwn/a.weight, 1); a.capacity > 0 && best >= aloneShare*a.capacity && (a.low || q.share() > 1.1*least) {
		q.less = max(q.less, 1-max(q.share()*markQueue, least))
		q.resume = max(q.resume, best)
		a.lid.set(s.Now, q.resume, a.loop())
		a.r = max(a.r*markBeta, Min)
		return true
	}
	if !q.sharing || a.r < q.most(s, a.set.Packet, a.weight) {
		q.window.begin(s.Now, windowOf(a.r, s.Smooth, a.set.Packet, a.weight))
		q.sharing, q.resume = true, 0
	}
	q.window.reduce(s.Now, markBeta)
	a.r = max(q.most(s, a.set.Packet, a.weight), Min)
	return true
}
