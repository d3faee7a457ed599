package core

import "time"

// delays finds how long packets wait on their way there. Clocks of both ends need not agree, nor run equally fast: the one-way
// delay is compared with the round trip, which knows no clock but ours. Their difference is the clocks' offset less the way
// back; its highest value of the last seconds is that of an empty way back, and follows the skew of the clocks.
type delays struct {
	back windowMin // least of RTT - one-way delay
}

// backWindow is short enough for a skew of 200 ppm to matter little (2 ms), and long enough to see the way back empty.
const backWindow = 5 * time.Second

// queue returns how long a packet waited: owd is its one-way delay by both clocks, rtt its round trip, base the least round trip.
func (d *delays) queue(now, owd, rtt, base time.Duration) time.Duration {
	d.back.add(now, rtt-owd)
	return max(0, owd+d.back.get()-base)
}
