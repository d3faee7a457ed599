package rate

import (
	"math"
	"time"
)

// guard tells congestive from random loss: random loss is there at lower rates too.
type guard struct {
	packet      int
	since       time.Duration
	acked, lost uint64 // at the beginning of the round
	any         bool
	least, prev float64 // least loss of a round, in this window and the one before
	window      time.Duration
	after       time.Duration // what was sent before this does not count
}

const guardWindow = 10 * time.Second

func newGuard(packet int) guard { return guard{packet: packet, least: 1, prev: 1} }

// base returns the loss that is there at any rate, 1 = not known.
func (g *guard) base() float64 {
	if b := min(g.least, g.prev); b < 1 {
		return b
	}
	return 0
}

// onSample tells whether the last round trip lost clearly more than was lost at lower rates.
func (g *guard) onSample(s *Sample) bool {
	if !g.any || s.Sent < g.after {
		g.any, g.since, g.acked, g.lost = true, s.Now, s.Acked, s.Lost
		return false
	}
	acked, lost := float64(s.Acked-g.acked), float64(s.Lost-g.lost)
	if s.Now-g.since < max(s.Smooth, 10*time.Millisecond) || acked+lost < float64(32*g.packet) {
		return false
	}
	n := (acked + lost) / float64(g.packet)
	p := lost / (acked + lost)
	g.since, g.acked, g.lost = s.Now, s.Acked, s.Lost
	base := min(g.least, g.prev)
	if s.Now-g.window > guardWindow {
		g.window, g.prev, g.least = s.Now, g.least, 1
	}
	// Smoothing keeps one lucky round from making random loss look congestive: a short round without loss does not mean that there is none.
	few := (p*n + 2) / (n + 4)
	g.least = min(g.least, few+2*math.Sqrt(few*(1-few)/n))
	if base == 1 {
		return p > 0.6
	}
	return p > base+0.05+4*math.Sqrt(base*(1-base)/n)
}

// lid is a rate above which packets were lost. It is lifted now and then, by more each time that nothing is lost.
type lid struct {
	rate float64 // 0 = none
	wait time.Duration
	next time.Duration // when it is lifted
	step float64
}

func (l *lid) set(now time.Duration, rate float64, loop time.Duration) {
	l.wait = min(max(2*l.wait, time.Second, 10*loop), 10*time.Second)
	l.rate, l.next, l.step = rate, now+l.wait, 0.05
}

// apply keeps r below the lid.
func (l *lid) apply(now time.Duration, r float64, loop time.Duration) float64 {
	if l.rate == 0 {
		return r
	}
	if now >= l.next {
		l.rate *= 1 + l.step
		l.step = min(2*l.step, 1)
		l.next = now + 2*loop
	}
	if r < l.rate/2 {
		*l = lid{} // the link is another now
		return r
	}
	return min(r, l.rate)
}
