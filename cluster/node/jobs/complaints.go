package jobs

import (
	"log/slog"
	"sync"
	"time"
)

// complaints keeps the log short while the same thing goes wrong again and again, such as every write to a disk that is full: the first time is logged, then one a minute, and when it is over.
type complaints struct {
	log     *slog.Logger
	running func() time.Duration

	mu  sync.Mutex // guards the rest
	bad map[string]*complaint
}

// complaint is one thing that goes wrong.
type complaint struct {
	next  time.Duration // when it is logged again
	quiet int           // how often it was not since
	times int
}

const complainEvery = time.Minute

// failed is told of each time that what went wrong.
func (c *complaints) failed(what string, err error, attrs ...any) {
	now := c.running()
	c.mu.Lock()
	x := c.bad[what]
	if x == nil {
		x = &complaint{next: now}
		if c.bad == nil {
			c.bad = make(map[string]*complaint)
		}
		c.bad[what] = x
	}
	x.times++
	say, quiet := now >= x.next, x.quiet
	if say {
		x.next, x.quiet = now+complainEvery, 0
	} else {
		x.quiet++
	}
	c.mu.Unlock()
	if say {
		c.log.Error(what, append(attrs, "err", err, "not_logged", quiet)...)
	}
}

// fine is told when it went well. While it goes well and wrong in turn that is not said each time either.
func (c *complaints) fine(what string) {
	c.mu.Lock()
	x := c.bad[what]
	if x != nil && c.running() < x.next {
		x = nil
	} else {
		delete(c.bad, what)
	}
	c.mu.Unlock()
	if x != nil {
		c.log.Info("goes well again: "+what, "times", x.times)
	}
}
