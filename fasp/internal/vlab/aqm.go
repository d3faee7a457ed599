package vlab

import (
	"math"
	"time"
)

// AQM is what a bottleneck does beyond dropping when it is full.
type AQM interface {
	// Signal tells whether the packet that comes now, and will wait that long, is to be marked, or dropped if its sender does not understand marks.
	Signal(now, wait time.Duration) bool
}

// Step signals to every packet that waits longer than the threshold.
type Step time.Duration

// Signal implements AQM.
func (s Step) Signal(_, wait time.Duration) bool { return wait > time.Duration(s) }

// CoDel is the queue of RFC 8289, whose names it has. The queue is first in, first out, so when a packet comes it is known when it will leave,
// and that is what the algorithm, which judges packets as they leave, is told.
type CoDel struct {
	Target, Interval time.Duration // 0 = 5 ms and 100 ms

	above, next time.Duration // first above, drop next
	count, last int
	dropping    bool
}

// Signal implements AQM.
func (c *CoDel) Signal(now, wait time.Duration) bool {
	target, interval := c.Target, c.Interval
	if target == 0 {
		target, interval = 5*time.Millisecond, 100*time.Millisecond
	}
	now += wait
	law := func(t time.Duration) time.Duration {
		return t + time.Duration(float64(interval)/math.Sqrt(float64(c.count)))
	}
	may := false
	switch {
	case wait < target:
		c.above = 0
	case c.above == 0:
		c.above = now + interval
	default:
		may = now >= c.above
	}
	switch {
	case !may:
		c.dropping = false
	case c.dropping && now >= c.next:
		c.count++
		c.next = law(c.next)
		return true
	case !c.dropping:
		c.dropping = true
		delta := c.count - c.last
		c.count = 1
		if delta > 1 && now-c.next < 16*interval {
			c.count = delta
		}
		c.next = law(now)
		c.last = c.count
		return true
	}
	return false
}

// PathECN is what a path does with marks, the bottleneck apart.
type PathECN uint8

// Paths.
const (
	Passes   PathECN = iota
	Bleaches         // clears the field
	Remarks          // makes ECT(1) of ECT(0)
	DropsECT         // drops what has it
	AllCE            // says CE of all that has it
)

// field passes a packet's ECN field on, or tells that the packet is dropped.
func (p PathECN) field(ecn uint8) (uint8, bool) {
	switch {
	case ecn == 0:
	case p == Bleaches:
		return 0, true
	case p == Remarks:
		return 1, true
	case p == DropsECT:
		return 0, false
	case p == AllCE:
		return 3, true
	}
	return ecn, true
}
