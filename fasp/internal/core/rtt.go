package core

import "time"

// rttEstimator follows the round trip from report samples, the hold time already taken off (RFC 9002 section 5).
type rttEstimator struct {
	smoothed time.Duration // 0 = no sample yet
	min      windowMin
}

func (r *rttEstimator) sample(now, d time.Duration) {
	d = max(d, time.Microsecond)
	if r.smoothed == 0 {
		r.smoothed = d
	} else {
		r.smoothed += (d - r.smoothed) / 8
	}
	r.min.add(now, d)
}

// windowMin is the minimum over the last one to two windows.
type windowMin struct {
	window    time.Duration
	start     time.Duration
	cur, prev time.Duration
	any       bool
}

// baseWindow is for the least round trip: long, since others may keep a queue for long.
const baseWindow = 60 * time.Second

func (w *windowMin) add(now, v time.Duration) {
	switch {
	case !w.any:
		w.start, w.cur, w.prev, w.any = now, v, v, true
	case now-w.start > w.window:
		w.start, w.prev, w.cur = now, w.cur, v
	default:
		w.cur = min(w.cur, v)
	}
}

func (w *windowMin) get() time.Duration { return min(w.cur, w.prev) }
