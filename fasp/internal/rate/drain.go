package rate

import "time"

// drain lowers the rate for a moment, so that the queue becomes empty and all sessions see the least round trip. Sessions of different
// hosts know nothing of one another, but their clocks agree well enough: all drain when an ordinary clock reads a
// multiple of drainEvery, as seen by their receivers.
type drain struct {
	at      time.Duration // of the next
	until   time.Duration
	on      bool
	resumed time.Duration // packets sent before this tell nothing of the rate
	queue   time.Duration // the largest seen in the last round trips
	seen    time.Duration
	begun   time.Duration
	full    time.Duration // queue at the beginning of the last drain
	soon    time.Duration // least queue of what was sent in it up to the time in which senders that all drain empty that
	least   time.Duration // queue of what was sent in the last drain and right after it
	watched bool
	done    bool // there was one before
	quick   int  // drains in a row that did not empty the queue, at most maxQuick
}

// plan sets the time of the next drain.
func (d *drain) plan(now, wall, rtt time.Duration) {
	every := drainEvery
	if d.quick > 0 {
		every = quickDrain
	}
	t := now + wall + rtt/2 + every/20
	d.at = t - t%every + every - wall - rtt/2
}

// again plans the next drain sooner if the last one did not empty the queue: sessions that came when it was long took it for a part of
// the path, and drained too little; each drain shows them more of it. If a few do not help, the queue is somebody else's.
func (d *drain) again(now, drained, wall, rtt time.Duration, competing bool) {
	switch {
	case drained <= emptyQueue:
		d.quick = 0
	case !competing && d.quick < maxQuick:
		d.quick++
		d.plan(now, wall, rtt)
	default:
		d.quick = 0
	}
}

// onSample returns the least queue of a drain that has been reported of, or a negative time.
func (d *drain) onSample(s *Sample) (drained time.Duration) {
	if s.Queue > d.queue || s.Now-d.seen > 2*s.Smooth+50*time.Millisecond {
		d.queue, d.seen = s.Queue, s.Now
	}
	switch {
	case !d.watched || s.Sent < d.begun:
	case d.on || s.Sent < d.resumed+20*time.Millisecond:
		d.least = min(d.least, s.Queue)
		if s.Sent < d.begun+time.Duration(float64(d.full)/(1-drainShare))+drainSlack {
			d.soon = min(d.soon, s.Queue)
		}
	default:
		d.watched = false
		return d.least
	}
	return -1
}

// Next implements Controller.
func (a *Adaptive) Next() time.Duration {
	if a.drain.on {
		return a.drain.until
	}
	return a.drain.at
}

// Tick implements Controller.
func (a *Adaptive) Tick(now time.Duration) {
	d := &a.drain
	switch {
	case d.on && now >= d.until:
		d.on = false
		d.resumed = now
		a.hold = max(a.hold, now)
		d.plan(now, a.set.Wall, a.rtt)
	case !d.on && now >= d.at:
		if a.marks.n == 0 || now > d.at+time.Second {
			d.plan(now, a.set.Wall, a.rtt)
			return
		}
		d.on, d.begun, d.watched = true, now, true
		d.full, d.soon, d.least = a.queue, time.Hour, time.Hour
		rest := drainRest
		switch {
		case a.set.Fresh && (a.phase != steady || a.near):
			// Nobody else was here a short while ago, and it is too early to tell.
		case a.capacity == 0 || a.best.get() < shared*a.capacity:
			rest = drainBusy
			if !d.done {
				rest = drainFirst
			}
		}
		d.done = true
		d.until = now + time.Duration(float64(min(d.queue, 200*time.Millisecond))/(1-drainShare)) + rest
	}
}
