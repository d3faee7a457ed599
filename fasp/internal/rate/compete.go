package rate

import "time"

// compete is what a session does beside senders that fill the queue whatever the delay (loss-based TCP, and BBR, which keeps a queue of
// its own): it holds its place as a CUBIC (RFC 9438) would, since whoever keeps a small queue beside them is left nothing. Such
// senders are there if the queue stays while every session of this protocol drains.
type compete struct {
	on   bool
	high time.Duration // when the queue was last seen to be kept
	cubic
	hold                time.Duration // losses of what was sent before belong to the last reduction
	lost, acked, marked uint64
	top                 recent[time.Duration] // longest queue
	part                float64               // of packets lost, over the last cutPackets or a window
	empty               int                   // drains in a row that emptied the queue
}

const (
	emptyQueue = 6 * time.Millisecond // in a drain: nobody else fills it
	asMany     = 1.5                  // connections: a paced sender meets more of the losses of a full queue than one that sends in bursts
	fullCut    = 0.15                 // share of packets lost from which on a loss is answered in full; by less it is in proportion, since BBR, which does not answer loss, loses some all the time
	cutPackets = 200                  // over which that share is taken, at least
	topShare   = 0.7                  // of the longest queue; loss above it is the queue's, below it is random
)

// watch decides whether to compete. drained is the least queue while all were draining, negative if no drain has just ended.
func (a *Adaptive) watch(s *Sample, drained time.Duration) {
	k := &a.compete
	if s.Queue > 2*emptyQueue {
		k.high = s.Now
	}
	top := k.top.add(s.Now, s.Queue, 10*time.Second)
	if a.low || a.phase != steady {
		return
	}
	d := a.best.get()
	switch {
	case k.on && s.Now-k.high > 2*time.Second+4*a.rtt:
		// There is no queue to compete in, and no time to lose.
		k.on = false
		a.Restart(s.Now, a.r)
	case k.on && drained >= 0 && k.alone(drained, &a.drain):
		k.on = false
		a.hold, a.boost = s.Now, 1
	case !k.on && drained > min(2*emptyQueue, max(emptyQueue, a.drain.full/2)) && a.drain.quick == 0 && a.capacity > 0 && d < shared*a.capacity:
		k.on, k.empty = true, 0
		k.begin(s.Now, windowOf(max(d, a.capacity/4), a.rtt, a.set.Packet, 1))
		k.hold, k.lost, k.acked, k.marked = s.Now, s.Lost, s.Acked, s.Marked
	case k.on:
		k.learn(s, top, a.rtt, a.set.Packet)
	}
}

// alone tells whether nobody else fills the queue: a drain emptied it as fast as senders do that all drain, or two in a row emptied it in time. A
// CUBIC that has just given way may leave for a moment less than what a newcomer takes for none.
func (k *compete) alone(drained time.Duration, d *drain) bool {
	if drained > emptyQueue || d.soon > d.full/2 {
		k.empty = 0
		return false
	}
	k.empty++
	return k.empty >= 2 || d.soon <= emptyQueue
}

// learn moves the window. A mark of a queue is a loss that was spared.
func (k *compete) learn(s *Sample, top, rtt time.Duration, packet int) {
	lost := float64(s.Lost - k.lost)
	acked := float64(s.Acked-k.acked) / float64(packet)
	marked := s.Marked > k.marked
	k.lost, k.acked, k.marked = s.Lost, s.Acked, s.Marked
	if n := acked + lost/float64(packet); n > 0 {
		k.part += (lost/float64(packet)/n - k.part) * min(1, n/max(k.window, cutPackets))
	}
	full := lost > 0 && s.Queue >= max(emptyQueue, time.Duration(topShare*float64(top)))
	if (full || marked) && s.Sent >= k.hold {
		part := min(1, k.part/fullCut)
		if marked {
			part = 1 // BBR has no part in it
		}
		k.reduce(s.Now, 1-(1-cubicBeta)*part)
		k.turn, k.hold = turn(k.most*(1-cubicBeta)), s.Now
		return
	}
	k.cubic.grow(s.Now, acked, rtt)
}
