package fasp

import "time"

// busyMeter tells which share of its time a goroutine works.
type busyMeter struct {
	begin, idle time.Duration
	last        float64
}

const busyWindow = time.Second

// idled notes that the goroutine waited for d.
func (m *busyMeter) idled(d time.Duration) { m.idle += d }

// share returns what it was in the last whole second.
func (m *busyMeter) share(now time.Duration) float64 {
	if dt := now - m.begin; dt >= busyWindow {
		m.last = min(max(0, 1-float64(m.idle)/float64(dt)), 1)
		m.begin, m.idle = now, 0
	}
	return m.last
}
