package core

import (
	"fmt"
	"math"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/rate"
	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// Policy says how the rate is chosen.
type Policy = rate.Policy

// Policies.
const (
	Fair  = rate.Fair
	High  = rate.High
	Low   = rate.Low
	Fixed = rate.Fixed
)

// Rates is what the sender is asked to do; bit/s, 0 = not set.
type Rates struct {
	Policy      Policy
	Target, Min int64
}

// SetRates changes policy, target and minimum; effective at once.
func (c *Conn) SetRates(now time.Duration, r Rates) {
	old := c.rates
	c.rates = r
	if c.law == nil || old.Policy != r.Policy {
		if r.Policy == Fixed {
			c.law = &rate.Steady{}
		} else {
			set := rate.Settings{Policy: r.Policy, Packet: c.fullPacket(), RTT: c.RTT(), Now: now, Wall: c.cfg.Wall, Known: float64(c.cfg.KnownRate), Fresh: c.cfg.KnownFresh}
			if c.law != nil {
				set.Rate = min(c.law.Known(), float64(c.rateNow)) // 0 if nothing was sent yet: the law starts as usual
			}
			c.law = rate.NewAdaptive(set)
		}
	}
	c.applyRates(now)
}

// fullPacket is the IP bytes of a full data packet.
func (c *Conn) fullPacket() int { return c.sizes[c.class] + wire.DataOverhead + c.cfg.IPOverhead }

// applyRates sets the pacing rate from law, target, minimum and grant.
func (c *Conn) applyRates(now time.Duration) {
	if c.breaker.open {
		return
	}
	ceiling := int64(rate.Max)
	if c.rates.Target > 0 {
		ceiling = min(ceiling, c.rates.Target)
	}
	if c.grant > 0 {
		ceiling = min(ceiling, c.grant)
	}
	if c.drain > 0 {
		// Two limits, one rate (docs/protocol.md section 9): what storage takes away is content, the rate counts packets.
		wanted := float64(c.drain) * float64(c.fullPacket()) / float64(c.sizes[c.class]) / max(1-c.Loss(), 0.1)
		ceiling = min(ceiling, max(int64(wanted), rate.Min))
	}
	c.ceiling = ceiling
	c.law.SetCeiling(float64(ceiling))
	c.setRate(now, min(ceiling, max(int64(c.law.Rate()), c.rates.Min, rate.Min)))
}

func (c *Conn) setRate(now time.Duration, rate int64) {
	rate = max(rate, 1000)
	if rate == c.rateNow {
		return
	}
	// Time that was taken at the old rate and lies ahead shrinks or grows with the rate.
	if c.rateNow > 0 {
		most := longestDebt // a train that was sent at a much higher rate does not silence the session for long
		if c.breaker.open {
			most = never
		}
		c.pace.scale(now, c.rateNow, rate, most)
	}
	c.rateNow = rate
}

// Load says how much time the processors of a host have left.
type Load uint8

const (
	Idle    Load = iota // enough
	Busy                // little: packets go in longer turns, which take less of it
	Crowded             // none, and sessions wait for it: what they could not send meanwhile is made up for, too
)

// SetLoad tells of the load of this host.
func (c *Conn) SetLoad(l Load) { c.pace.load = l }

// Known returns what the path was seen to take lately, bit/s, 0 = nothing is known. A rate that was kept to, because target, grant or the
// peer's storage allowed no more, says only that the path takes that much, and is not told.
func (c *Conn) Known() int64 {
	k := c.law.Known()
	if k >= 0.9*float64(c.ceiling) {
		return 0
	}
	return int64(k)
}

// tickLaw lets the law do what is due.
func (c *Conn) tickLaw(now time.Duration) {
	if at := c.law.Next(); at >= 0 && now >= at {
		c.law.Tick(now)
		c.applyRates(now)
	}
}

// sampleRate tells the law of the latest report, and lets the loss estimate decay. e is the newest packet that it speaks of.
func (c *Conn) sampleRate(now time.Duration, e *sent) {
	if d := now - c.lossAt; d > 250*time.Millisecond {
		f := math.Exp(-float64(d) / float64(3*time.Second))
		c.lossAcked *= f
		c.lossLost *= f
		c.lossAt = now
	}
	c.noteBacklog(now)
	if e == nil {
		return
	}
	after := uint32(c.through()) - e.through
	c.sample = rate.Sample{
		Now: now, Sent: e.at, Arrived: c.arrival, Smooth: c.RTT(), Queue: c.queue,
		Through: c.through() - uint64(after), After: int64(after), Acked: c.ackedBytes, Lost: c.lostBytes,
		Missed: c.misses.upTo(e.at), Marked: c.ecn.counts.CE, Limited: c.blocked || c.idleSince != never && e.at < c.backlogAt,
	}
	c.law.OnSample(&c.sample)
	c.applyRates(now)
}

// noteBacklog keeps backlogAt: since when more lost symbols wait than the rate sends in a round trip. There is nothing new then, but the rate is
// used all the same.
func (c *Conn) noteBacklog(now time.Duration) {
	switch most := float64(c.rateNow) / 8 * c.RTT().Seconds(); {
	case float64(c.out.nLost*c.sizes[c.class]) <= most:
		c.backlogAt = never
	case c.backlogAt == never:
		c.backlogAt = now
	}
}

// Law describes the state of the rate law, for traces.
func (c *Conn) Law() string { return fmt.Sprint(c.law) }
