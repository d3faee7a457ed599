package core

import "time"

// misses remembers how much time the driver had missed when packets were sent (pacer.missed): a process that gets no processor for a while sends nothing, and what
// arrives then says nothing of the path.
type misses struct {
	ring  [64]miss
	n     int
	total time.Duration
}

type miss struct{ at, before, total time.Duration }

// note is called for each packet, with the total.
func (m *misses) note(now, total time.Duration) {
	if total == m.total {
		return
	}
	m.ring[m.n%len(m.ring)] = miss{now, m.total, total}
	m.n++
	m.total = total
}

// upTo returns the total when a packet was sent at that time. Of what is long ago it knows no more than the oldest.
func (m *misses) upTo(at time.Duration) time.Duration {
	total := m.total
	for i := m.n - 1; i >= max(0, m.n-len(m.ring)); i-- {
		k := &m.ring[i%len(m.ring)]
		if k.at <= at {
			break
		}
		total = k.before
	}
	return total
}
