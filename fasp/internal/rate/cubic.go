package rate

import (
	"math"
	"time"
)

// cubic is the window of a CUBIC (RFC 9438), in packets, for what has to hold its own beside one.
type cubic struct {
	window, most, reno float64
	epoch              time.Duration // of the last reduction
	turn               float64       // seconds until the window is what it was before
}

// turn is how long it takes to regain so many packets, in seconds.
func turn(packets float64) float64 { return math.Cbrt(max(packets, 0) / cubicC) }

const (
	cubicC    = 0.4
	cubicBeta = 0.7
)

// begin makes window the size reached without a reduction.
func (c *cubic) begin(now time.Duration, window float64) {
	*c = cubic{window: window, most: window, reno: window, epoch: now, turn: turn(window * (1 - cubicBeta))}
}

// reduce answers congestion.
func (c *cubic) reduce(now time.Duration, beta float64) {
	c.most = c.window
	c.window = max(c.window*beta, 2)
	c.reno, c.epoch, c.turn = c.window, now, turn(c.most-c.window)
}

// grow takes the packets acknowledged since the last call.
func (c *cubic) grow(now time.Duration, acked float64, rtt time.Duration) {
	t := (now - c.epoch).Seconds() + rtt.Seconds()
	c.reno += 3 * (1 - cubicBeta) / (1 + cubicBeta) * acked / max(c.window, 1)
	target := cubicC*math.Pow(t-c.turn, 3) + c.most
	// Half as fast again as arrives is the most, as in RFC 9438 section 4.4.
	c.window = min(max(target, c.reno, c.window), c.window+acked/2)
}

// scale turns the packets into such of another size, of which there are f as many.
func (c *cubic) scale(f float64) { c.window, c.most, c.reno = c.window*f, c.most*f, c.reno*f }

// rate returns what n such windows stand for, bit/s.
func (c *cubic) rate(rtt time.Duration, packet int, n float64) float64 {
	return n * c.window * float64(8*packet) / rtt.Seconds()
}

// windowOf returns the window of each of n connections that send at r bit/s together.
func windowOf(r float64, rtt time.Duration, packet int, n float64) float64 {
	return r * rtt.Seconds() / float64(8*packet) / n
}
