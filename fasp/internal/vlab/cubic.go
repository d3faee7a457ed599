package vlab

import (
	"math"
	"time"
)

const (
	cubicC     = 0.4 // segments/s^3 (RFC 9438 section 5)
	cubicBeta  = 0.7
	cubicAlpha = 3 * (1 - cubicBeta) / (1 + cubicBeta)
)

// cubic is the congestion control of RFC 9438; the names are its.
type cubic struct {
	cwnd, ssthresh float64
	wMax, wEst, k  float64
	prior          float64 // cwnd before the last reduction
	epoch          time.Duration
	growing        bool // an epoch of congestion avoidance has begun
	hystart        *hystart
}

func newCubic(withHyStart bool) *cubic {
	c := &cubic{cwnd: initialWindow, ssthresh: math.Inf(1)}
	if withHyStart {
		c.hystart = newHyStart()
	}
	return c
}

func (c *cubic) window() float64 { return c.cwnd }
func (c *cubic) pacing() float64 { return 0 }

func (c *cubic) onAck(e *tcpEvent) {
	switch {
	case e.cut:
		c.reduce()
		c.cwnd = c.ssthresh
	case e.cutting:
	case c.cwnd < c.ssthresh:
		grow := float64(e.acked)
		if c.hystart != nil {
			grow *= c.hystart.onAck(e)
			if c.hystart.done {
				c.ssthresh = c.cwnd
			}
		}
		c.cwnd += grow
	default:
		c.avoid(e)
	}
}

// avoid is congestion avoidance, sections 4.2 to 4.4.
func (c *cubic) avoid(e *tcpEvent) {
	if !c.growing {
		c.growing, c.epoch, c.wEst = true, e.now, c.cwnd
		c.wMax = max(c.wMax, c.cwnd)
		c.k = math.Cbrt((c.wMax - c.cwnd) / cubicC)
	}
	w := func(t time.Duration) float64 {
		d := t.Seconds() - c.k
		return cubicC*d*d*d + c.wMax
	}
	t := e.now - c.epoch
	alpha := cubicAlpha
	if c.wEst >= c.prior {
		alpha = 1
	}
	c.wEst += alpha * float64(e.acked) / c.cwnd
	if w(t) < c.wEst {
		c.cwnd = max(c.cwnd, c.wEst)
		return
	}
	target := min(max(w(t+e.srtt), c.cwnd), 1.5*c.cwnd)
	c.cwnd += (target - c.cwnd) / c.cwnd * float64(e.acked)
}

// reduce is the multiplicative decrease with fast convergence, sections 4.6 and 4.7.
func (c *cubic) reduce() {
	c.growing, c.prior = false, c.cwnd
	if c.cwnd < c.wMax {
		c.wMax = c.cwnd * (1 + cubicBeta) / 2
	} else {
		c.wMax = c.cwnd
	}
	c.ssthresh = max(c.cwnd*cubicBeta, 2)
}

func (c *cubic) onTimeout(time.Duration, int) {
	c.reduce()
	c.cwnd = 1
}

// hystart is HyStart++ (RFC 9406): slow start ends when the round trip has grown for several rounds.
type hystart struct {
	end           uint64 // of the round, by packet number
	last, current time.Duration
	samples       int
	slow          int           // rounds of conservative slow start so far, 0 = not in it
	base          time.Duration // round trip when that began
	done          bool
}

func newHyStart() *hystart { return &hystart{last: math.MaxInt64, current: math.MaxInt64} }

// onAck returns what part of an acknowledged packet the window may grow by.
func (h *hystart) onAck(e *tcpEvent) float64 {
	h.current = min(h.current, e.rtt)
	h.samples++
	if h.samples >= 8 && h.current != math.MaxInt64 && h.last != math.MaxInt64 {
		threshold := min(max(h.last/8, 4*time.Millisecond), 16*time.Millisecond)
		switch {
		case h.slow == 0 && h.current >= h.last+threshold:
			h.slow, h.base = 1, h.current
		case h.slow > 0 && h.current < h.base:
			h.slow = 0
		}
	}
	if e.newest >= h.end {
		if h.slow > 0 {
			h.slow++
			h.done = h.slow > 5
		}
		h.end, h.last, h.current, h.samples = e.next, h.current, math.MaxInt64, 0
	}
	if h.slow > 0 {
		return 0.25
	}
	return 1
}
