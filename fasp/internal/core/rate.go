package core

import (
	"math"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// Policy says how the rate is chosen. The values are those of fasp.Policy.
type Policy uint8

// Policies.
const (
	Fair Policy = iota
	High
	Low
	Fixed
)

// Rates is what the sender is asked to do; bit/s, 0 = not set.
type Rates struct {
	Policy      Policy
	Target, Min int64
}

const (
	maxRate = 100e9 // bit/s; above any link this transport has been built for
	minRate = 64e3
)

// sample is what a rate law learns from reports, over about a quarter of a round trip or more.
type sample struct {
	now       time.Duration
	dt        time.Duration // time between the sending of the first and the last packet it covers
	rtt       time.Duration
	base      time.Duration // least RTT seen lately
	queue     time.Duration // one-way queueing delay
	acked     int64         // IP bytes
	lost      int64
	delivered int64 // bit/s at the receiver, 0 = not measured
	limited   bool  // the application or the receiver held the sender back
}

// law is a rate controller: a value that is told of reports and says the rate.
type law interface {
	onSample(s *sample)
	// rate returns bit/s before the ceiling.
	rate() int64
	// restart is called when reports come again after the breaker was open.
	restart(now time.Duration, rate int64)
}

// SetRates changes policy, target and minimum; effective at once.
func (c *Conn) SetRates(now time.Duration, r Rates) {
	old := c.rates
	c.rates = r
	if c.law == nil || old.Policy != r.Policy {
		switch r.Policy {
		case Fixed:
			c.law = &fixedLaw{}
		default:
			start := c.rateNow
			if c.law == nil {
				start = 0
			}
			c.law = newDelayLaw(r.Policy, start, c.RTT(), c.cfg.Symbol+wire.DataOverhead+c.cfg.IPOverhead)
		}
	}
	c.applyRates(now)
}

// applyRates sets the pacing rate from law, target, minimum and grant.
func (c *Conn) applyRates(now time.Duration) {
	if c.breaker.open {
		return
	}
	ceiling := int64(maxRate)
	if c.rates.Target > 0 {
		ceiling = min(ceiling, c.rates.Target)
	}
	if c.grant > 0 {
		ceiling = min(ceiling, c.grant)
	}
	if c.drain > 0 {
		// Two limits, one rate (docs/protocol.md section 9): what storage takes away is content, the rate counts packets.
		packet := int64(c.cfg.Symbol + wire.DataOverhead + c.cfg.IPOverhead)
		wanted := float64(c.drain) * float64(packet) / float64(c.cfg.Symbol) / max(1-c.Loss(), 0.1)
		ceiling = min(ceiling, max(int64(wanted), minRate))
	}
	if l, ok := c.law.(*fixedLaw); ok {
		l.target = ceiling
	}
	if l, ok := c.law.(*delayLaw); ok {
		l.ceiling = float64(ceiling)
	}
	c.setRate(now, min(ceiling, max(c.law.rate(), c.rates.Min, minRate)))
}

func (c *Conn) setRate(now time.Duration, rate int64) {
	rate = max(rate, 1000)
	if rate == c.rateNow {
		return
	}
	// Time that was taken at the old rate and lies ahead shrinks or grows with the rate.
	if ahead := c.pace.next - now; ahead > 0 && c.rateNow > 0 {
		c.pace.next = now + time.Duration(float64(ahead)*float64(c.rateNow)/float64(rate))
	}
	c.rateNow = rate
}

type sampleMark struct {
	sentAt, arrivedAt time.Duration
	acked, lost       uint64
	any               bool
}

// sampleRate tells the law of the latest report, and lets the loss estimate decay.
func (c *Conn) sampleRate(now time.Duration) {
	if d := now - c.lossAt; d > 250*time.Millisecond {
		f := math.Exp(-float64(d) / float64(3*time.Second))
		c.lossAcked *= f
		c.lossLost *= f
		c.lossAt = now
	}
	m := &c.lastSample
	if !m.any {
		*m = sampleMark{c.arrivalSent, c.arrival, c.ackedBytes, c.lostBytes, c.stamped}
		return
	}
	dt := c.arrivalSent - m.sentAt
	if dt < max(c.rtt.min.get()/4, time.Millisecond) {
		return
	}
	s := sample{
		now: now, dt: dt, rtt: c.RTT(), base: c.rtt.min.get(), queue: c.queue,
		acked: int64(c.ackedBytes - m.acked), lost: int64(c.lostBytes - m.lost),
		limited: c.blocked || c.idleSince != never,
	}
	if da := c.arrival - m.arrivedAt; da > 0 {
		s.delivered = airtimeRate(int(s.acked), da)
	}
	*m = sampleMark{c.arrivalSent, c.arrival, c.ackedBytes, c.lostBytes, true}
	c.law.onSample(&s)
	c.applyRates(now)
}

// fixedLaw keeps the target.
type fixedLaw struct{ target int64 }

func (l *fixedLaw) onSample(*sample)             {}
func (l *fixedLaw) rate() int64                  { return l.target }
func (l *fixedLaw) restart(time.Duration, int64) {}

// delayLaw is the first adaptive law (docs/decisions/0003-first-rate-law.md): doubling until a queue or congestive loss shows, then the rate
// form of FAST, with a guard that tells congestive from random loss by comparing with the loss seen at lower rates.
type delayLaw struct {
	r        float64 // bit/s
	weight   float64
	start    bool // still doubling
	ceiling  float64
	capacity float64
	hold     time.Duration // no change before
	lossBase float64       // least loss of a round in the last two windows
	lossPrev float64
	lossAt   time.Duration
	round    struct {
		since       time.Duration
		acked, lost int64
	}
	packet int
	low    bool
}

func newDelayLaw(p Policy, rate int64, rtt time.Duration, packet int) *delayLaw {
	l := &delayLaw{r: float64(rate), weight: 1, start: true, ceiling: maxRate, packet: packet, lossBase: 1, lossPrev: 1}
	switch p {
	case High:
		l.weight = 2
	case Low:
		l.weight, l.low = 0.25, true
	}
	if l.r == 0 {
		// Ten packets a round trip, as RFC 6928, but no less than a packet each 5 ms.
		l.r = float64(max(airtimeRate(10*packet, max(rtt, time.Millisecond)), airtimeRate(packet, 5*time.Millisecond)))
		l.r = min(l.r, 20e6)
	}
	return l
}

func (l *delayLaw) rate() int64 { return int64(l.r) }

func (l *delayLaw) restart(now time.Duration, rate int64) {
	l.r, l.start, l.hold = float64(rate), false, now
}

func (l *delayLaw) onSample(s *sample) {
	rtt := max(s.rtt, time.Millisecond)
	if s.limited {
		// The rate was not used: it says nothing about the path, except when it was too high all the same.
		if s.queue < 20*time.Millisecond {
			return
		}
	}
	if d := float64(s.delivered); d > l.capacity {
		l.capacity += (d - l.capacity) / 2
	} else {
		l.capacity += (d - l.capacity) / 64
	}
	congested := l.guard(s)
	target := 5 * time.Millisecond
	if l.low {
		target = 2 * time.Millisecond
	}
	// A few packets of queue are no congestion on a slow link.
	target += 3 * airtime(l.packet, int64(max(l.r, minRate)))
	if l.start {
		switch {
		case congested, s.queue > 2*target:
			l.start = false
			l.r = min(l.r, max(float64(s.delivered)*0.95, l.r/2))
			l.hold = s.now + rtt
		default:
			// On a path shorter than the reports are apart, doubling every round trip would outrun them.
			l.r *= math.Pow(2, min(1, float64(s.dt)/float64(max(rtt, 5*time.Millisecond))))
			l.r = min(l.r, 2*l.ceiling)
		}
		return
	}
	if congested {
		l.r = max(l.r/2, min(l.r*0.85, float64(s.delivered)))
		l.hold = s.now + rtt
		return
	}
	if s.now < l.hold {
		return
	}
	// docs/decisions/0003: R <- (1-g) R + g (R base/(base+q) + A w/(base+q)).
	g := 0.4 * min(1, float64(s.dt)/float64(rtt))
	base := float64(max(s.base, time.Millisecond))
	bq := base + float64(s.queue)
	own := l.weight * max(l.capacity, l.r/2) * float64(target)
	if s.queue < target/2 {
		// Over a long path with a small weight the law alone would need minutes to fill an empty link.
		own = max(own, 0.05*l.r*bq)
	}
	next := (1-g)*l.r + g*(l.r*base/bq+own/bq)
	step := math.Pow(2, min(1, float64(s.dt)/float64(rtt)))
	// A rate far above what may be sent at all would take as many round trips to come down when it has to.
	l.r = min(max(next, l.r/step), l.r*step, 2*l.ceiling)
}

// guard tells whether the last round trip lost clearly more than was lost at lower rates.
func (l *delayLaw) guard(s *sample) bool {
	r := &l.round
	r.acked += s.acked
	r.lost += s.lost
	if s.now-r.since < max(s.rtt, 10*time.Millisecond) || r.acked+r.lost < int64(32*l.packet) {
		return false
	}
	n := float64(r.acked+r.lost) / float64(l.packet)
	p := float64(r.lost) / float64(r.acked+r.lost)
	r.since, r.acked, r.lost = s.now, 0, 0
	base := min(l.lossBase, l.lossPrev)
	if s.now-l.lossAt > 10*time.Second {
		l.lossAt, l.lossPrev, l.lossBase = s.now, l.lossBase, 1
	}
	// Smoothing keeps one lucky round from making random loss look congestive.
	few := (p*n + 2) / (n + 4) // a short round without loss does not mean that there is none
	l.lossBase = min(l.lossBase, few+2*math.Sqrt(few*(1-few)/n))
	if base == 1 {
		return p > 0.5
	}
	return p > base+0.05+3*math.Sqrt(base*(1-base)/n)
}
