package core

import (
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// search looks for a larger size that passes, by probes: PINGs padded to that size (docs/protocol.md section 13.1).
type search struct {
	at     int // index in searchOrder of the size being tried; its length when the search is over
	misses int
	flying bool          // a probe is
	pn     uint64        // its number
	next   time.Duration // when the next probe may go
	again  time.Duration // when a search that is over begins again
}

// searchOrder are the classes to try: the largest that passes is the one wanted.
var searchOrder = [...]uint8{wire.ClassLargest, wire.ClassOf8752, wire.ClassOf3952, wire.ClassOf1952, wire.ClassOrdinary}

const (
	// searchMisses probes of a size have to be lost, each while a packet sent later arrives: at 30 % loss a size that passes is missed
	// once in 1,400 times, and is tried again after searchAgain.
	searchMisses = 6
	searchAgain  = 10 * time.Minute
	// searchGap is between two probes, so that a burst does not lose more than one.
	searchGap = 50 * time.Millisecond
	// searchAfter full packets must have passed at the size in use: the start of a session has better to do.
	searchAfter = 200
	// searchAirtime is the most that a packet of the size tried may take: four have to fit into a train of 2.5 ms (section 8.5). Where they
	// take longer there are so few packets that larger ones would only make queues longer and reports rarer.
	searchAirtime = 600 * time.Microsecond
	// largeAirtime is how long a packet above the ordinary size may take when the rate has become less.
	largeAirtime = 8 * searchAirtime
)

// fell begins to search anew below a size that was given up.
func (s *search) fell(now time.Duration, class uint8) {
	*s = search{next: now, again: now + searchAgain}
	for s.at < len(searchOrder) && searchOrder[s.at] != class {
		s.at++
	}
	s.at = min(s.at+1, len(searchOrder))
}

// refused skips the sizes that do not fit the interface; p is the payload of a data packet that did not.
func (s *search) refused(now time.Duration, p int, sizes *wire.Sizes) {
	for s.at < len(searchOrder) && sizes[searchOrder[s.at]] >= p {
		s.skip(now)
		s.flying = false
	}
}

// skip goes on to the next size.
func (s *search) skip(now time.Duration) {
	s.misses = 0
	if s.at++; s.at == len(searchOrder) {
		s.again = now + searchAgain
	}
}

// candidate returns the class to try next, if there is one.
func (c *Conn) candidate(now time.Duration) (class uint8, ok bool) {
	s := &c.search
	if s.at == len(searchOrder) && now >= s.again {
		s.at = 0
	}
	for ; s.at < len(searchOrder); s.skip(now) {
		if class := searchOrder[s.at]; c.sizes[class] > c.sizes[c.class] {
			return class, true
		}
	}
	return 0, false
}

// nextSize sends a probe if one is due.
func (c *Conn) nextSize(now time.Duration, p *Packet) bool {
	s := &c.search
	if c.cfg.Largest == 0 || s.flying || now < s.next || c.hole.acked < searchAfter || c.hole.lost > 0 || c.trains.left > 0 {
		return false
	}
	class, ok := c.candidate(now)
	if !ok || airtime(c.packetOf(class), c.rateNow) > searchAirtime {
		return false
	}
	n := c.sizes[class] + wire.DataOverhead - wire.FrameOverhead
	if cap(c.outBuf) < n {
		c.outBuf = make([]byte, n)
	}
	c.outBuf = c.outBuf[:n]
	clear(c.outBuf) // PADDING
	c.outBuf[0] = wire.FramePing
	c.frames(now, p, c.outBuf, sent{kind: kindProbe, class: class})
	s.flying, s.pn = true, p.PN
	c.Stats.Probes++
	return true
}

// retreat goes back to the ordinary size when the rate has become too low for a larger one. That is searched for again when the rate allows.
func (c *Conn) retreat(now time.Duration) {
	if c.sizes[c.class] > c.sizes[wire.ClassOrdinary] && airtime(c.fullPacket(), c.rateNow) > largeAirtime {
		c.fall(now, wire.ClassOrdinary)
		c.search = search{next: now + searchGap}
	}
}

// onProbeAcked goes on with the size of a probe that arrived.
func (c *Conn) onProbeAcked(now time.Duration, pn uint64, e *sent) {
	s := &c.search
	if pn == s.pn {
		s.flying = false
	}
	if c.sizes[e.class] <= c.sizes[c.class] || pn < c.hole.fell {
		return
	}
	c.resize(e.class)
	*s = search{at: len(searchOrder), again: now + searchAgain}
	c.applyRates(now)
}

// onProbeLost counts a probe that was lost.
func (c *Conn) onProbeLost(now time.Duration, pn uint64) {
	s := &c.search
	if !s.flying || pn != s.pn {
		return
	}
	s.flying, s.next = false, now+max(searchGap, c.RTT())
	if s.misses++; s.misses == searchMisses {
		s.skip(now)
	}
}
