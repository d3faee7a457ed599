package vlink

import (
	"math"
	"time"
)

// What a session wants is judged by these. See the package.
const (
	ticks    = 8                      // over which use is measured, 200 ms
	greedy   = 0.9                    // of its share: who uses that wants more
	headroom = 1.25                   // times its use is what another wants
	hold     = 250 * time.Millisecond // of silence that does not count: a train of packets is made up for as long
	longHold = 800 * time.Millisecond
	train    = 12 * 12_000 // bits of ten packets and two more: the shortest train, which takes longer than that at a low rate
	fade     = 100 * time.Millisecond
	maxLag   = time.Second
)

// meter tells what a session wants of one direction from what it uses: a value that is given the time.
type meter struct {
	n     int // samples taken
	at    [ticks]time.Duration
	bytes [ticks]float64
	peak  float64 // use, fading, bit/s
	// A share that was raised counts only when there was time to use it. Shares, bit/s: the one that counts, and the next one.
	share, next float64
	nextAt      time.Duration
	eager       time.Duration // until when it has used all of its share
	wait        time.Duration // for how long it is taken to want all it can have after that
}

// begin tells that the session may have something to send from now on; lag is how long it takes to do so.
func (m *meter) begin(now, lag time.Duration) {
	m.eager, m.wait = now+ticks*Period, hold
	m.share, m.next = math.Inf(1), math.Inf(1) // the next share counts at once
}

// patience is how long a session with a share may be silent before that counts.
func patience(share float64) time.Duration {
	return time.Duration(max(float64(hold), min(float64(longHold), train/share*1e9)))
}

// allot tells of the session's share.
func (m *meter) allot(now time.Duration, share float64) {
	m.share, m.next = min(m.share, share), min(m.next, share)
	if share > m.next && m.next == m.share {
		m.next, m.nextAt = share, now
	}
}

// want returns what the session wants, bit/s, +Inf for all it can have. bytes are counted since any moment; lag is how long it takes until a new share shows in
// them, and floor is what it has at least.
func (m *meter) want(now time.Duration, bytes float64, lag time.Duration, floor float64) float64 {
	lag = min(lag, maxLag)
	if m.next > m.share && now-m.nextAt >= lag+ticks*Period {
		m.share = m.next
	}
	i := m.n % ticks
	use := 0.0
	if m.n > 0 {
		first := 0
		if m.n >= ticks {
			first = i
		}
		last := (m.n - 1) % ticks
		if span := now - m.at[first]; span > 0 {
			use = 8 * (bytes - m.bytes[first]) / span.Seconds()
		}
		m.peak = max(use, use+(m.peak-use)*math.Exp(-float64(now-m.at[last])/float64(fade)))
	}
	m.at[i], m.bytes[i] = now, bytes
	m.n++
	if m.n > ticks && use >= greedy*m.share {
		m.eager, m.wait = max(m.eager, now), patience(m.next)
	}
	m.wait = min(m.wait, patience(m.next)) // one that took its time to fill a small share is judged by what it does with a larger one as soon as it has it
	if now < m.eager+m.wait+lag {
		return math.Inf(1)
	}
	return headroom*m.peak + floor
}
