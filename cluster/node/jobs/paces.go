package jobs

import (
	"sync"
	"time"

	"github.com/tradewind-io/tradewind/cluster/api"
)

// paces is the bandwidth of a Manager, for several goroutines.
type paces struct {
	now func() time.Time

	mu sync.Mutex // guards b
	b  *bandwidth
}

func (p *paces) note(id paceID, key string, made, bytes int64, ended bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.b.note(p.now(), id, key, made, bytes, ended)
}

func (p *paces) forget(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.b.forget(key)
}

func (p *paces) drop(job string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.b.drop(job)
}

// show tells of the time from start on, or up to now if start is the zero time.
func (p *paces) show(start time.Time, duration time.Duration, may func(key string, made int64) bool) api.Bandwidth {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if start.IsZero() {
		start = now.Add(-duration)
	}
	return p.b.show(now, start, duration, may)
}
