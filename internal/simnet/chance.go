package simnet

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"time"
)

// chance draws events of a fixed probability from a sequence of its own.
type chance struct {
	rng   rand.PCG
	limit uint64 // probability in units of 2^-64
	sure  bool   // probability 1, which limit cannot express
}

// newChance gives each impairment of a link its own sequence: which tells them apart.
func newChance(seed, which uint64) chance {
	var c chance
	// PCG streams of neighbouring seeds are related in their first values; the golden ratio multiple spreads them.
	c.rng.Seed(seed, (which+1)*0x9e3779b97f4a7c15)
	return c
}

func (c *chance) set(p float64) {
	c.sure = p >= 1
	c.limit = 0
	if p > 0 && p < 1 {
		c.limit = uint64(math.Ldexp(p, 64))
	}
}

// hit reports whether the event happens this time. A probability of 0 or 1 draws nothing.
func (c *chance) hit() bool {
	return c.sure || c.limit != 0 && c.rng.Uint64() < c.limit
}

// uniform returns a duration in [0, d).
func (c *chance) uniform(d time.Duration) time.Duration {
	hi, _ := bits.Mul64(c.rng.Uint64(), uint64(d))
	return time.Duration(hi)
}

// exponential returns an exponentially distributed duration of the given mean.
func (c *chance) exponential(mean time.Duration) time.Duration {
	u := (float64(c.rng.Uint64()>>11) + 0.5) * 0x1p-53 // in (0, 1)
	return time.Duration(-math.Log(u) * float64(mean))
}

// bursts is the two-state process of Burst. Time must not go back; where it does, the state of the latest time holds.
type bursts struct {
	cfg    Burst
	rng    chance
	bad    bool
	change time.Duration // when the state changes next
}

func (b *bursts) set(now time.Duration, cfg Burst) {
	if b.cfg == cfg {
		return
	}
	b.cfg = cfg
	if cfg.on() {
		b.enter(now)
	}
}

// enter draws the state at time t from the long-run shares.
func (b *bursts) enter(t time.Duration) {
	share := float64(b.cfg.Mean) / (float64(b.cfg.Mean) + float64(b.cfg.Gap))
	b.bad = float64(b.rng.rng.Uint64()>>11)*0x1p-53 < share
	b.change = t + b.length()
}

func (b *bursts) length() time.Duration {
	mean := b.cfg.Gap
	if b.bad {
		mean = b.cfg.Mean
	}
	return b.rng.exponential(mean) + 1 // at least 1 ns, so that advancing ends
}

// lost reports whether time t lies in a bad period.
func (b *bursts) lost(t time.Duration) bool {
	if !b.cfg.on() {
		return false
	}
	// After a long silence the process has forgotten its state; stepping through it would only cost time.
	if t-b.change > 100*(b.cfg.Mean+b.cfg.Gap) {
		b.enter(t)
	}
	for t >= b.change {
		b.bad = !b.bad
		b.change += b.length()
	}
	return b.bad
}
