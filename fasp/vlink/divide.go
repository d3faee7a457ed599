package vlink

import "math"

// division divides the caps of one direction: a value without clock or lock. Rates are bit/s; +Inf is no bound.
//
// Sessions stand in order of link, those of a link in order of key, so that both are spans of one slice.
type division struct {
	host        float64
	links, keys []span
	flows       []flow

	parts, linkParts []part // room for work
}

// span is a vlink, or a key with a cap: a bound on flows[from:to]. The spans of links cover all flows; only those have a weight.
type span struct {
	from, to    int
	cap, weight float64
	used        float64 // of cap
}

// flow is a session in one direction.
type flow struct {
	weight float64 // above 0
	want   float64 // what it would use
	most   float64 // what it may be given beyond that, at least want
	share  float64 // the result
}

// part is somebody among whom a limit is divided.
type part struct{ weight, give float64 }

// divide sets every flow's share.
func (d *division) divide() {
	for i := range d.links {
		d.links[i].used = 0
	}
	for i := range d.keys {
		d.keys[i].used = 0
	}
	d.parts = d.parts[:0]
	for i := range d.flows {
		f := &d.flows[i]
		f.share = 0
		d.parts = append(d.parts, part{f.weight, f.want})
	}
	left := d.fill(d.host)
	// What is left is handed out beyond what they want: who finds use for it then need not ask first.
	for i := range d.flows {
		f := &d.flows[i]
		d.parts[i].give = 0
		if !math.IsInf(f.share, 1) {
			d.parts[i].give = f.most - f.share
		}
	}
	d.fill(left)
}

// fill gives the parts up to give more, within what is left of every cap; it returns what is left of the host's.
//
// To cut from the leaves up, each time to a level of give by weight, comes to the same as to raise one level for all until caps are full: a part is held by the
// lowest of the levels above it either way.
func (d *division) fill(host float64) (left float64) {
	for i := range d.keys {
		k := &d.keys[i]
		clip(d.parts[k.from:k.to], less(k.cap, k.used))
	}
	d.linkParts = d.linkParts[:0]
	for i := range d.links {
		l := &d.links[i]
		clip(d.parts[l.from:l.to], less(l.cap, l.used))
		d.linkParts = append(d.linkParts, part{l.weight, sum(d.parts[l.from:l.to])})
	}
	clip(d.linkParts, host)
	for i := range d.links {
		l := &d.links[i]
		clip(d.parts[l.from:l.to], d.linkParts[i].give)
		l.used += sum(d.parts[l.from:l.to])
	}
	for i := range d.keys {
		k := &d.keys[i]
		k.used += sum(d.parts[k.from:k.to])
	}
	for i := range d.flows {
		d.flows[i].share += d.parts[i].give
	}
	return less(host, sum(d.linkParts))
}

// clip cuts the parts to a level, give by weight, at which they come to the limit, if they want more than that.
func clip(parts []part, limit float64) {
	if sum(parts) <= limit {
		return
	}
	// Each round finds more parts that are content below the level, and raises it by what they leave.
	level := -1.0
	for {
		rest, weight := max(limit, 0), 0.0
		for _, p := range parts {
			if p.give <= level*p.weight {
				rest -= p.give
			} else {
				weight += p.weight
			}
		}
		next := max(rest, 0) / weight // +Inf, or not a number, where all are content, which rounding can bring about
		if !(next > level) || weight == 0 {
			break
		}
		level = next
	}
	for i := range parts {
		parts[i].give = min(parts[i].give, level*parts[i].weight)
	}
}

// less returns what is left of a cap.
func less(limit, used float64) float64 {
	if math.IsInf(limit, 1) {
		return limit // all of it, even if as much is used
	}
	return max(limit-used, 0)
}

func sum(parts []part) (s float64) {
	for _, p := range parts {
		s += p.give
	}
	return s
}
