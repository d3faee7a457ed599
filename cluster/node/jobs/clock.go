package jobs

import (
	"sync"
	"time"
)

// clock tells a time that goes on with the running time and never back: while the clock on the wall is set back it stays ahead of it, and where that is set forward it follows. What waits for
// such a time therefore never waits longer than it was meant to.
type clock struct {
	mu   sync.Mutex // guards what follows
	last time.Time
	at   time.Duration // running time of last
}

// now returns the time, given that on the wall and the running one.
func (c *clock) now(wall time.Time, running time.Duration) time.Time {
	wall = wall.Round(0) // without the monotonic reading, which would make comparisons blind to steps
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.last.Add(max(running-c.at, 0)) // whoever read it earlier may come later
	if c.last.IsZero() || t.Before(wall) {
		t = wall
	}
	c.last, c.at = t, max(running, c.at)
	return t
}
