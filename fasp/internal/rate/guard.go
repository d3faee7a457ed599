package rate

import (
	"math"
	"time"
)

// guard tells congestive from random loss: random loss is there at lower rates too, and a burst that loses everything for a while is over
// before most reports of a round trip could tell of it.
type guard struct {
	packet      int
	since       time.Duration
	acked, lost uint64 // at the beginning of the round
	any         bool
	least, prev float64 // least loss of a round, in this window and the one before
	window      time.Duration
	after       time.Duration // what was sent before this does not count

	// Samples of this round, those of them that lost, and the counts at the last one.
	samples, lossy      int
	lastAcked, lastLost uint64
	low                 bool // this round is at a low rate: it says how much is lost anyway, and nothing else
}

const (
	guardWindow = 10 * time.Second
	guardRound  = 50 * time.Millisecond // at least: the luckiest of thousands of short rounds would pass for the path
)

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
		g.any = true
		g.begin(s)
		return false
	}
	base := min(g.least, g.prev)
	if n, l := float64(s.Acked-g.lastAcked+s.Lost-g.lastLost), float64(s.Lost-g.lastLost); n > 0 {
		g.samples++
		usual := base
		if base == 1 {
			usual = 0.3 // not known yet
		}
		if l > n*(usual+0.02) {
			g.lossy++
		}
	}
	g.lastAcked, g.lastLost = s.Acked, s.Lost
	acked, lost := float64(s.Acked-g.acked), float64(s.Lost-g.lost)
	if g.low {
		return false
	}
	if s.Now-g.since < max(s.Smooth, guardRound) || acked+lost < float64(32*g.packet) || g.samples < 5 {
		return false
	}
	n := (acked + lost) / float64(g.packet)
	p, upper := g.round(s.Acked, s.Lost)
	most := g.lossy*2 >= g.samples
	g.begin(s)
	if s.Now-g.window > guardWindow {
		g.window, g.prev, g.least = s.Now, g.least, 1
	}
	g.least = min(g.least, upper)
	if base == 1 {
		return most && p > 0.6
	}
	return most && p > base+0.05+4*math.Sqrt(base*(1-base)/n)
}

// lowRate tells that packets sent at a low rate are reported now, or, when that is over, takes their loss for what is lost at any rate.
func (g *guard) lowRate(s *Sample, on bool) {
	if on == g.low {
		return
	}
	// The sample that ends it tells of packets of the other rate, too.
	if g.low = on; !on && g.lastAcked+g.lastLost > g.acked+g.lost {
		_, upper := g.round(g.lastAcked, g.lastLost)
		g.least = min(g.least, upper)
	}
	g.begin(s)
}

// round returns the loss of the round up to these counts, and an upper estimate of it: a short round without loss does not mean that there is none.
func (g *guard) round(nowAcked, nowLost uint64) (p, upper float64) {
	acked, lost := float64(nowAcked-g.acked), float64(nowLost-g.lost)
	n := (acked + lost) / float64(g.packet)
	p = lost / max(acked+lost, 1)
	few := (p*n + 2) / (n + 4)
	return p, few + 2*math.Sqrt(few*(1-few)/max(n, 1))
}

// exceeds tells whether the loss of the round so far is more than is lost at any rate.
func (g *guard) exceeds(s *Sample) bool {
	base := min(g.least, g.prev)
	n := float64(s.Acked-g.acked+s.Lost-g.lost) / float64(g.packet)
	p, _ := g.round(s.Acked, s.Lost)
	return base < 1 && n >= 32 && p > base+0.05+4*math.Sqrt(base*(1-base)/n)
}

// mistaken takes the loss of the round so far for what is lost at any rate.
func (g *guard) mistaken(s *Sample) {
	_, upper := g.round(s.Acked, s.Lost)
	g.least, g.prev, g.window = max(upper, g.base()), 1, s.Now
	g.begin(s)
}

// cut is a rate that was lowered for loss, until it is known whether less is lost now. If what arrives has become less in the same
// proportion, it was not the rate that lost it (marginal delivery).
type cut struct {
	at            time.Duration // 0 = none is being judged
	from, arrived float64
}

// begin starts a round.
func (g *guard) begin(s *Sample) {
	g.since, g.acked, g.lost = s.Now, s.Acked, s.Lost
	g.samples, g.lossy, g.lastAcked, g.lastLost = 0, 0, s.Acked, s.Lost
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
