package vlink

import (
	"math"
	"time"

	"github.com/tradewind-io/tradewind/fasp"
)

// Session is a session whose rates stay within its share, whatever it is asked for. Its fields are guarded by Links.mu.
type Session struct {
	fasp.Session
	links  *Links
	member Member
	link   int // where that of the member is

	rates fasp.Rates // as asked for
	asked bool
	grant fasp.Rate // as asked for
	dirs  [2]direction

	received, packets, numbers uint64 // of the peer, when they were looked at last
	sent                       float64
}

// direction is what is known of a session in one direction.
type direction struct {
	meter meter
	want  float64   // bit/s, +Inf for all it can have
	floor float64   // bit/s
	share fasp.Rate // in force; 0 = no bound
}

// Leave ends the membership; the session goes on with the limits it has. Later calls do nothing.
func (s *Session) Leave() { s.links.leave(s) }

// SetRates implements fasp.Session.
func (s *Session) SetRates(r fasp.Rates) {
	l := s.links
	l.mu.Lock()
	if !s.asked {
		now := time.Since(l.began)
		s.dirs[out].meter.begin(now, s.Session.Stats().RTT)
		s.dirs[out].want = math.Inf(1)
	}
	s.rates, s.asked = r, true
	l.mu.Unlock()
	l.tick(false) // its weight may be another
	l.mu.Lock()
	s.Session.SetRates(s.within())
	l.mu.Unlock()
}

// SetGrant implements fasp.Session.
func (s *Session) SetGrant(r fasp.Rate) {
	l := s.links
	l.mu.Lock()
	s.grant = r
	l.mu.Unlock()
	l.tick(false)
	l.mu.Lock()
	s.Session.SetGrant(lower(r, s.dirs[in].share))
	l.mu.Unlock()
}

// Share returns what the session may send and be sent now, what it was asked for included; 0 is no bound.
func (s *Session) Share() Caps {
	s.links.mu.Lock()
	defer s.links.mu.Unlock()
	return Caps{Out: s.dirs[out].share, In: s.dirs[in].share}
}

// within cuts the rates to the share.
func (s *Session) within() fasp.Rates {
	r := s.rates
	r.Target = lower(r.Target, s.dirs[out].share)
	if r.Target != 0 {
		r.Min = min(r.Min, r.Target)
	}
	return r
}

// Weights of what a session sends, by its policy. That of high is what the rate law means by it: as much as two. Fixed asks for no more than others, but up to
// its target. Low yields; it is not left with nothing, because its peer would take the session for dead.
var weights = [...]float64{fasp.Fair: 1, fasp.High: 2, fasp.Low: 0.1, fasp.Fixed: 1}

// claim returns the session's weight, and the most it may be given.
func (s *Session) claim(dir int) (weight, most float64) {
	if dir == in {
		return 1, unbounded(s.grant)
	}
	weight = 1
	if int(s.rates.Policy) < len(weights) {
		weight = weights[s.rates.Policy]
	}
	return weight, unbounded(s.rates.Target)
}

// measure notes what the session has used until now.
func (s *Session) measure(now time.Duration) {
	st := s.Session.Stats()
	o, i := &s.dirs[out], &s.dirs[in]
	o.want = o.meter.want(now, float64(st.BytesSent), st.RTT, o.floor)
	if !s.asked {
		o.want = headroom*o.meter.peak + o.floor // reports, which are sent whatever the share is
	}
	// What is lost on its way was sent, too. A peer that says it has sent more than it can have gains nothing by that: it is what it is granted.
	if n := st.PacketsReceived - s.packets; n > 0 {
		lost := max(1, float64(st.PeerPackets-s.numbers)/float64(n))
		s.sent += float64(st.BytesReceived-s.received) * min(lost, mostLost)
		s.packets, s.numbers, s.received = st.PacketsReceived, st.PeerPackets, st.BytesReceived
	}
	i.want = i.meter.want(now, s.sent, st.RTT, i.floor)
	if s.asked {
		sends := o.meter.peak
		if o.share != 0 {
			sends = float64(o.share)
		}
		i.want = max(i.want, reports*sends+i.floor)
	}
}

// reports is what a peer may send to tell of what it receives, as a part of that, beside its floor (docs/protocol.md, section 8.1), so that a session that may send more is
// not taken for one whose peer wants all it can have.
const reports = 1. / 200

// mostLost is how many packets are taken to have been sent for one that arrives, at most.
const mostLost = 10

// give sets the session's share of a direction.
func (s *Session) give(now time.Duration, dir int, share float64) {
	d := &s.dirs[dir]
	d.meter.allot(now, share)
	r := fasp.Rate(0)
	if !math.IsInf(share, 1) {
		r = max(fasp.Rate(share), 1) // a bound never becomes "none"
	}
	// What changes by less than 0.4 % is not worth a report; the sum of all is off by as much at most.
	if r == d.share || r != 0 && d.share != 0 && max(r-d.share, d.share-r) <= d.share/256 {
		return
	}
	d.share = r
	switch {
	case dir == in:
		s.Session.SetGrant(lower(s.grant, r))
	case s.asked:
		s.Session.SetRates(s.within())
	}
}

// lower returns the smaller of two bounds of which 0 is none.
func lower(a, b fasp.Rate) fasp.Rate {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
