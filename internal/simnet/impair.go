package simnet

import (
	"math"
	"time"
)

// Impair describes one direction of a path. The zero value is an ideal wire: no delay, no limit, no loss. Probabilities
// below 0 count as 0, above 1 as 1.
type Impair struct {
	// Rate of the bottleneck in bit/s, counting the IP bytes that the caller of Send gives; 0 or less is infinite.
	Rate float64

	// Queue is the size of the drop-tail queue as time at Rate; 0 means 100 ms, negative means no room beyond the
	// packet on the wire. QueueBytes, where positive, is the size in bytes and overrides Queue. A packet is accepted
	// when the bytes accepted and not yet on the wire, those left of the packet in transmission included, and its own
	// fit; an idle bottleneck accepts any packet. An infinite Rate has no queue.
	Queue      time.Duration
	QueueBytes int64

	// Delay is the one-way propagation delay.
	Delay time.Duration

	// Jitter adds a uniform delay in [0, Jitter) to each packet. Order is kept, which a later packet pays with waiting
	// for the earlier one, unless Reorder is set.
	Jitter  time.Duration
	Reorder bool

	// Loss is the probability of random loss after the bottleneck, LossBefore of that before it.
	Loss       float64
	LossBefore float64

	// Burst loses everything during bursts after the bottleneck, BurstBefore before it.
	Burst       Burst
	BurstBefore Burst

	// ReorderProb is the probability that a packet is held back for ReorderBy while those behind it pass.
	ReorderProb float64
	ReorderBy   time.Duration

	// DupProb is the probability that a packet arrives twice, the copy right behind the original. Copies are made
	// after the bottleneck and use none of its rate.
	DupProb float64

	// MTU is the largest packet in IP bytes; larger ones vanish. 0 is no limit.
	MTU int

	// Cuts and Down say when the link is cut. A packet sent meanwhile is lost; what is already queued or under way
	// still arrives. Down is called with the time of each Send, must be pure and fast, and may be nil.
	Cuts []Window
	Down func(now time.Duration) bool
}

// Burst is time-based burst loss after Gilbert and Elliott: good and bad periods of exponentially distributed length
// alternate, and in a bad one everything is lost. The zero value is no burst; both fields must be positive to have any.
// The long-run share of lost time is Mean/(Mean+Gap).
type Burst struct {
	Mean time.Duration // mean length of a bad period
	Gap  time.Duration // mean length of a good period
}

func (b Burst) on() bool { return b.Mean > 0 && b.Gap > 0 }

// Window is a period of link outage, From inclusive, To exclusive, on the clock given to Send.
type Window struct{ From, To time.Duration }

// defaultQueue is the depth of the bottleneck queue where Impair says nothing.
const defaultQueue = 100 * time.Millisecond

// nsPerByte returns the transmission time of one byte in ns, 0 for an infinite rate.
func (c *Impair) nsPerByte() float64 {
	if !(c.Rate > 0) || math.IsInf(c.Rate, 1) {
		return 0
	}
	return 8e9 / c.Rate
}

// queueLimit returns the queue size in bytes; it has no meaning for an infinite rate.
func (c *Impair) queueLimit() float64 {
	switch {
	case c.QueueBytes > 0:
		return float64(c.QueueBytes)
	case c.Queue == 0:
		return math.Floor(c.Rate / 8 * defaultQueue.Seconds())
	case c.Queue < 0:
		return 0
	}
	return math.Floor(c.Rate / 8 * c.Queue.Seconds())
}

func (c *Impair) isDown(now time.Duration) bool {
	for _, w := range c.Cuts {
		if now >= w.From && now < w.To {
			return true
		}
	}
	return c.Down != nil && c.Down(now)
}
