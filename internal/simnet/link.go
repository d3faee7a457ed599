package simnet

import (
	"math"
	"time"
)

// Link is one direction of a path in virtual time. P is whatever the caller sends: a descriptor, a buffer or an index;
// it is copied, never looked into. A Link is not safe for concurrent use and, like any value with a queue, must not be
// copied after first use. Time is a duration since any origin and should not go back; a step back is treated as no time
// having passed in the bottleneck.
//
// In steady state no call allocates. Memory is bounded by the packets under way: with an infinite Rate only the caller
// bounds those.
type Link[P any] struct {
	cfg       Impair
	byteTime  float64 // ns per byte, 0 = infinite rate
	limit     float64 // queue size in bytes
	busyUntil time.Duration
	busyFrac  float64 // ns beyond busyUntil, in [0, 1): keeps the rate exact over any number of packets

	ordered    ring[P]    // arrivals in order of sending
	overtaken  minHeap[P] // arrivals out of order
	lastAt     time.Duration
	seq        uint64
	stats      Stats
	lossBefore chance
	loss       chance
	jitter     chance
	reorder    chance
	dup        chance

	burst, burstBefore bursts
}

// NewLink returns a link that behaves as cfg says, with all randomness derived from seed.
func NewLink[P any](cfg Impair, seed uint64) *Link[P] {
	l := &Link[P]{
		lossBefore: newChance(seed, 0),
		loss:       newChance(seed, 1),
		jitter:     newChance(seed, 2),
		reorder:    newChance(seed, 3),
		dup:        newChance(seed, 4),
	}
	l.burst.rng = newChance(seed, 5)
	l.burstBefore.rng = newChance(seed, 6)
	l.Set(0, cfg)
	return l
}

// Send hands a packet of ipBytes IP bytes to the link and returns how many copies will arrive: 0 when it was lost, 2
// when it was duplicated. An owner of buffers counts references by it; others ignore it.
func (l *Link[P]) Send(now time.Duration, p P, ipBytes int) (copies int) {
	l.stats.Sent++
	l.stats.SentBytes += int64(ipBytes)
	switch {
	case l.cfg.isDown(now):
		l.stats.LostCut++
		return 0
	case l.cfg.MTU > 0 && ipBytes > l.cfg.MTU:
		l.stats.LostMTU++
		return 0
	case l.lossBefore.hit():
		l.stats.LostRandomBefore++
		return 0
	case l.burstBefore.lost(now):
		l.stats.LostBurstBefore++
		return 0
	}
	depart, ok := l.transmit(now, ipBytes)
	switch {
	case !ok:
		l.stats.LostQueue++
		return 0
	case l.loss.hit():
		l.stats.LostRandom++
		return 0
	case l.burst.lost(depart):
		l.stats.LostBurst++
		return 0
	}
	return l.launch(item[P]{depart: depart, size: ipBytes, p: p})
}

// Next returns when the earliest packet under way arrives. ok is false when there is none. The time may lie in the past
// when packets have arrived that nobody has taken.
func (l *Link[P]) Next() (at time.Duration, ok bool) {
	switch {
	case l.ordered.n == 0 && len(l.overtaken) == 0:
		return 0, false
	case l.ordered.n == 0:
		return l.overtaken[0].at, true
	case len(l.overtaken) == 0:
		return l.ordered.at(0).at, true
	}
	return min(l.ordered.at(0).at, l.overtaken[0].at), true
}

// Recv takes one packet that has arrived by now, in order of arrival. ok is false when there is none.
func (l *Link[P]) Recv(now time.Duration) (p P, ok bool) {
	p, _, ok = l.RecvAt(now)
	return p, ok
}

// RecvAt is Recv that also returns when the packet arrived, which a caller that comes late wants to know.
func (l *Link[P]) RecvAt(now time.Duration) (p P, at time.Duration, ok bool) {
	var it item[P]
	fromHeap := len(l.overtaken) > 0 && (l.ordered.n == 0 || l.overtaken[0].before(l.ordered.at(0)))
	switch {
	case fromHeap && l.overtaken[0].at <= now:
		it = l.overtaken.pop()
	case !fromHeap && l.ordered.n > 0 && l.ordered.at(0).at <= now:
		it = l.ordered.pop()
	default:
		return p, 0, false
	}
	l.stats.InFlight--
	l.stats.Delivered++
	l.stats.DeliveredBytes += int64(it.size)
	return it.p, it.at, true
}

// Stats returns a copy of the counters.
func (l *Link[P]) Stats() Stats { return l.stats }

// Backlog returns the bytes in the bottleneck queue, what is left of the packet in transmission included.
func (l *Link[P]) Backlog(now time.Duration) int64 {
	if l.byteTime == 0 {
		return 0
	}
	return int64(math.Ceil(l.backlogTime(now)/l.byteTime - byteError))
}

// Set changes the link while it runs. Packets still queued are sent at the new rate and see the new delay; those that
// have left the bottleneck are not touched. None is dropped, even where the new queue is smaller, and order is kept: a
// shorter delay takes effect behind the packets that are under way, unless Reorder is set.
func (l *Link[P]) Set(now time.Duration, cfg Impair) {
	oldByteTime, oldDelay := l.byteTime, l.cfg.Delay
	backlog := l.backlogTime(now)
	cfg.Delay, cfg.Jitter, cfg.ReorderBy = max(0, cfg.Delay), max(0, cfg.Jitter), max(0, cfg.ReorderBy)
	l.cfg = cfg
	l.byteTime = cfg.nsPerByte()
	l.limit = cfg.queueLimit()
	l.lossBefore.set(cfg.LossBefore)
	l.loss.set(cfg.Loss)
	l.reorder.set(cfg.ReorderProb)
	l.dup.set(cfg.DupProb)
	l.burst.set(now, cfg.Burst)
	l.burstBefore.set(now, cfg.BurstBefore)

	if backlog <= 0 || l.byteTime == oldByteTime && cfg.Delay == oldDelay {
		return
	}
	ratio := l.byteTime / oldByteTime // a backlog exists, so the old rate was finite
	l.setBusy(now, backlog*ratio)
	l.reschedule(now, ratio, cfg.Delay-oldDelay)
}

// SetRate changes the rate alone; see Set.
func (l *Link[P]) SetRate(now time.Duration, bitsPerSecond float64) {
	cfg := l.cfg
	cfg.Rate = bitsPerSecond
	l.Set(now, cfg)
}

// byteError absorbs rounding where bytes are computed from time; real packets differ by whole bytes.
const byteError = 1e-3

// fracError is the same for parts of a nanosecond.
const fracError = 1e-3

// maxBacklog bounds the time a queue may take, so that a rate near zero cannot overflow the clock.
const maxBacklog = float64(1 << 60)

func (l *Link[P]) backlogTime(now time.Duration) float64 {
	if l.busyUntil < now {
		return 0
	}
	return float64(l.busyUntil-now) + l.busyFrac
}

func (l *Link[P]) setBusy(now time.Duration, ns float64) {
	whole := math.Floor(min(ns, maxBacklog))
	l.busyUntil = now + time.Duration(whole)
	l.busyFrac = min(ns, maxBacklog) - whole
}

// transmit passes a packet through queue and bottleneck and returns when its last byte has left.
func (l *Link[P]) transmit(now time.Duration, ipBytes int) (depart time.Duration, ok bool) {
	if l.byteTime == 0 {
		l.stats.Forwarded++
		l.stats.ForwardedBytes += int64(ipBytes)
		return now, true
	}
	backlog := l.backlogTime(now)
	queued := float64(ipBytes)
	if backlog > 0 {
		if queued += backlog / l.byteTime; queued > l.limit+byteError {
			return 0, false
		}
	}
	// The sum is kept as whole and fraction: adding to a large float would lose part of a nanosecond each time.
	ns := min(float64(ipBytes)*l.byteTime, maxBacklog)
	if backlog == 0 {
		l.busyUntil, l.busyFrac = now, 0
	}
	whole := math.Floor(ns + l.busyFrac)
	l.busyUntil += time.Duration(whole)
	l.busyFrac += ns - whole
	l.stats.MaxQueueBytes = max(l.stats.MaxQueueBytes, int64(queued+0.5))
	l.stats.Forwarded++
	l.stats.ForwardedBytes += int64(ipBytes)
	depart = l.busyUntil
	if l.busyFrac > fracError {
		depart++ // not before its last bit has left
	}
	return depart, true
}

// launch puts a packet that has passed the bottleneck under way and returns the number of copies.
func (l *Link[P]) launch(it item[P]) (copies int) {
	it.at = it.depart + l.cfg.Delay
	if l.cfg.Jitter > 0 {
		it.at += l.jitter.uniform(l.cfg.Jitter)
	}
	// The ring holds whatever keeps its order; only packets that overtake or are overtaken pay for the heap.
	inOrder := true
	switch {
	case l.reorder.hit():
		it.at += l.cfg.ReorderBy
		inOrder = false
		l.stats.HeldBack++
	case it.at < l.lastAt && l.cfg.Reorder:
		inOrder = false
	default:
		it.at = max(it.at, l.lastAt)
		l.lastAt = it.at
	}
	copies = 1
	if l.dup.hit() {
		copies = 2
		l.stats.Duplicated++
	}
	for range copies {
		it.seq = l.seq
		l.seq++
		if inOrder {
			l.ordered.push(it)
		} else {
			l.overtaken.push(it)
		}
	}
	l.stats.InFlight += int64(copies)
	return copies
}

// reschedule moves the packets that have not left the bottleneck: their remaining time in the queue is scaled and their
// delay changed.
func (l *Link[P]) reschedule(now time.Duration, ratio float64, delay time.Duration) {
	move := func(it *item[P]) {
		if it.depart <= now {
			return
		}
		depart := now + time.Duration(min(float64(it.depart-now)*ratio, maxBacklog))
		it.at = max(it.at-it.depart+delay, 0) + depart
		it.depart = depart
	}
	var last time.Duration
	for i := range l.ordered.n {
		it := l.ordered.at(i)
		move(it)
		it.at = max(it.at, last)
		last = it.at
	}
	if l.ordered.n > 0 {
		l.lastAt = last
	}
	for i := range l.overtaken {
		move(&l.overtaken[i])
	}
	l.overtaken.fix()
}
