package rate

import (
	"math"
	"time"
)

// even makes sessions of long round trips that have more than their share let go of it. The law does that with a time constant of 1.5 loop^2 / queue, 2.5 s at 100 ms
// but a minute at 500 ms. Yet the queue, once it is steady, tells the share: every session keeps the same queue of its own, so it is
// own / queue. The others take at once what one leaves.
type even struct {
	queue float64 // smoothed over a loop, seconds
	at    time.Duration
	next  time.Duration
}

const (
	evenSlow  = 2 * time.Second // time constant of the law from which on steps are taken, and the least time between them
	evenLoops = 4               // the same in loops
	evenNear  = 0.3             // how far from its mean the queue may be to count as steady
	evenPart  = 0.5             // of the way to the share
	evenClear = 1.25            // who has that much more than its share lets go of it
)

// step returns the rate to go to, or 0.
func (e *even) step(now, queue, loop time.Duration, d, own float64) float64 {
	q := queue.Seconds()
	if e.at == 0 || now-e.at > loop {
		e.queue = q
		e.next = now + max(evenSlow, evenLoops*loop)
	}
	e.queue += (q - e.queue) * (1 - math.Exp(-float64(now-e.at)/float64(loop)))
	e.at = now
	if now < e.next || e.queue <= 0 || math.Abs(q-e.queue) > evenNear*e.queue || 1.5*loop.Seconds()*loop.Seconds() < evenSlow.Seconds()*e.queue {
		return 0
	}
	e.next = now + max(evenSlow, evenLoops*loop)
	if share := own / e.queue; share < d/evenClear {
		return d + evenPart*(max(share, d/2)-d)
	}
	return 0
}
