package core

import "time"

// pacer spaces packets so that the average is the rate (section 9). It keeps the moment when the next packet
// may go; being late is made up for, up to maxLag.
type pacer struct {
	next   time.Duration
	turn   time.Duration // when a packet last might go
	maxLag time.Duration
}

func (p *pacer) ready(now time.Duration) bool { return p.next <= now }

// sent takes the time of n IP bytes at rate bit/s.
func (p *pacer) sent(now time.Duration, n int, rate int64) {
	if p.next < now-p.maxLag {
		p.next = now - p.maxLag
	}
	p.next += airtime(n, rate)
}

// airtime returns how long n bytes take at rate bit/s.
func airtime(n int, rate int64) time.Duration {
	return time.Duration(float64(n) * 8e9 / float64(rate))
}
