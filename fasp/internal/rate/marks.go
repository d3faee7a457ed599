package rate

import (
	"math"
	"time"
)

// mark is a moment at the receiver: what had been sent up to the newest packet there.
type mark struct {
	arrived, sent time.Duration
	through       uint64
	acked         uint64
	now           time.Duration
	queue         time.Duration
	missed        time.Duration // see Sample
}

// silent is how long nothing came since k for the sole reason that the sender sent nothing. What it had sent before kept the bottleneck at work for a while.
func (m *mark) silent(k *mark) time.Duration {
	return max(0, min(m.missed-k.missed-k.queue, m.arrived-k.arrived))
}

// marks are those of the last reports, for rates over a while.
type marks struct {
	ring [128]mark
	next int
	n    int
}

func (m *marks) clear() { m.n = 0 }

func (m *marks) at(i int) *mark { return &m.ring[(m.next-1-i+2*len(m.ring))%len(m.ring)] } // 0 = newest

func (m *marks) add(k mark) {
	if m.n > 0 && k.arrived <= m.at(0).arrived {
		return
	}
	if m.n > 0 && m.n == len(m.ring) {
		// A long window of many reports: keep every other one.
		kept := make([]mark, 0, m.n/2)
		for i := m.n - 1; i >= 0; i -= 2 {
			kept = append(kept, *m.at(i))
		}
		copy(m.ring[:], kept)
		m.n, m.next = len(kept), len(kept)
	}
	m.ring[m.next%len(m.ring)] = k
	m.next = (m.next + 1) % len(m.ring)
	m.n = min(m.n+1, len(m.ring))
}

// rate returns how fast packets left the bottleneck over the last span or a little more, lost ones counted, and over what
// time, as far as marks of packets sent after since go; 0 = not enough is known. Time in which the sender missed to send does not count.
func (m *marks) rate(span, since time.Duration) (float64, time.Duration) {
	if m.n < 2 {
		return 0, 0
	}
	newest := m.at(0)
	var from *mark
	var d, silent time.Duration
	for i := 1; i < m.n && (from == nil || d < span); i++ {
		k := m.at(i)
		if k.sent < since {
			break
		}
		from = k
		silent += m.at(i - 1).silent(k)
		d = newest.arrived - k.arrived - silent
	}
	if d <= 0 {
		return 0, 0
	}
	return float64(newest.through-from.through) * 8 / d.Seconds(), d
}

// queue returns the least queue of the last window: a receiver that got no processor makes queues look longer, never shorter.
func (m *marks) queue(now, window time.Duration) time.Duration {
	q := m.at(0).queue
	for i := 1; i < m.n && now-m.at(i).now <= window; i++ {
		q = min(q, m.at(i).queue)
	}
	return q
}

// ahead returns the bits of this session that will wait at the bottleneck when what is on its way has come there, if it takes d bit/s: what
// waited when a packet came, and what was sent behind it beyond what leaves meanwhile. Each report of the last window gives a value; the
// least counts, for the same reason.
func (m *marks) ahead(s *Sample, d float64, window, since time.Duration) float64 {
	least := math.Inf(1)
	total := s.Through + uint64(s.After)
	for i := 0; i < m.n; i++ {
		k := m.at(i)
		if i > 0 && (s.Now-k.now > window || k.sent < since) {
			break
		}
		least = min(least, d*k.queue.Seconds()+float64(total-k.through)*8-d*(s.Now-k.sent).Seconds())
	}
	return max(0, least)
}

// acked returns how fast bytes arrived over the last span or a little more, bit/s, likewise.
func (m *marks) acked(span time.Duration) float64 {
	if m.n < 2 {
		return 0
	}
	newest := m.at(0)
	from := newest
	var d, silent time.Duration
	for i := 1; i < m.n && d < span; i++ {
		from = m.at(i)
		silent += m.at(i - 1).silent(from)
		d = newest.arrived - from.arrived - silent
	}
	if d <= 0 {
		return 0
	}
	return float64(newest.acked-from.acked) * 8 / d.Seconds()
}

// recent is the highest value of the last one to two windows.
type recent[T float64 | time.Duration] struct {
	since     time.Duration
	cur, prev T
}

// add notes a value and returns the highest.
func (r *recent[T]) add(now time.Duration, v T, window time.Duration) T {
	if now-r.since > window {
		r.since, r.prev, r.cur = now, r.cur, 0
	}
	r.cur = max(r.cur, v)
	return r.get()
}

func (r *recent[T]) get() T { return max(r.cur, r.prev) }
