package core

import "time"

// burstLimit learns from the path how many packets may go at once (docs/protocol.md section 9). A policer, or a switch with little memory, takes a
// few packets in a row and loses the rest of every turn, though the average is below what it allows.
//
// Of each burst it compares the losses of the second half with those of the first. Losses that do not depend on the place are as often more
// in the one as in the other, however they cluster, so a burst in which they differ is a toss of a coin; a cumulative sum of the log likelihood of "nine
// of ten have more in the second half" finds out when it is not. The zero value has no limit.
//
//	none -> limited, on trial -> limited -> (larger sizes tried, one after another) -> none
//	        limited, on trial -> none, if it was no help
type burstLimit struct {
	most int // packets of a turn, 0 = no limit
	try  int // of a turn now and then, to see whether the path takes more again; 0 = nothing is tried

	current  burst   // being sent
	train    bool    // which has packets of a train, and is not watched
	watched  []burst // whose packets' fate is not known yet, oldest first
	from     uint64  // what was sent before this number was sent under another limit
	ordinary halves
	tried    halves // of bursts above the limit, up to what is tried

	proven  bool          // the limit has been found to help
	kept    int           // the last one of which that is true, 0 = none
	before  float64       // share lost under that
	without float64       // and before there was a limit
	wait    time.Duration // between two tries
	next    time.Duration // when the next may begin
	deaf    time.Duration // until then no limit is set or lowered, since the last one was no help
}

// burst is what was sent at one time.
type burst struct {
	first, last uint64 // packet numbers
	at          time.Duration
	n           int // packets
}

// halves is what is known of bursts of one kind.
type halves struct {
	score         float64
	bursts        int
	packets, lost int
	size, begin   float64 // averages of the bursts that lost more in their second half: packets, and place of the first that was lost
}

const (
	// leastBurst is the shortest burst that says something, and two packets the least limit: of two at a bottleneck that takes half of the rate the second is
	// always the one that is lost, whatever the distance between them.
	leastBurst = 3
	fewest     = 2
	// burstMost is the longest burst that is tried; then there is no limit.
	burstMost = 64
	// moreBehind and moreAhead are ln(0.9/0.5) and ln(0.1/0.5). Where losses do not depend on the place the sum comes to burstAlarm, ln 1e9, at most once in
	// 1e9 bursts whose halves differ; a policer brings it there in 36.
	moreBehind, moreAhead = 0.588, -1.609
	burstAlarm            = 20.7
	// watchedMost bounds the bursts that are watched at a time; others are let pass.
	watchedMost = 128
	// helpBursts and helpPackets have to be known before a limit is judged.
	helpBursts, helpPackets = 64, 512
	// tryEach is of how many turns one is larger: less than 4 % are lost in a try, which no rate law answers.
	tryEach   = 16
	tryBursts = 64
	tryWait   = 5 * time.Second
	tryLonger = 5 * time.Minute
	// standing is a queue in which something waits beside the burst. Where it is full the end of a burst is lost, too, and smaller ones are no help.
	standing = 2 * time.Millisecond
)

// sent notes a packet. Other is a packet that says nothing of bursts: one of a train, which is to be longer than any limit.
func (l *burstLimit) sent(now time.Duration, pn uint64, air time.Duration, other bool) {
	b := &l.current
	if b.n > 0 && now-b.at < max(air/2, 1) {
		b.last, b.at = pn, now
		b.n++
		l.train = l.train || other
		return
	}
	least := leastBurst
	if l.most > 0 {
		least = 1
	}
	if b.n >= least && !l.train && b.first >= l.from && len(l.watched) < watchedMost {
		l.watched = append(l.watched, *b)
	}
	*b, l.train = burst{first: pn, last: pn, at: now, n: 1}, other
}

// settle learns from the bursts of which all is known. Queue is how long the newest packet that arrived waited, air the time of a packet at the
// rate. Of what was sent before keep nothing is awaited any more.
func (l *burstLimit) settle(now, queue, air, keep time.Duration, led *ledger) {
	done := 0
	for _, b := range l.watched {
		o, known := b.outcome(led)
		if !known && b.at >= keep {
			break
		}
		done++
		if known && b.first >= l.from && queue <= standing+time.Duration(b.n)*air {
			l.learn(now, &b, &o, led.next)
		}
	}
	l.watched = append(l.watched[:0], l.watched[done:]...)
	switch {
	case l.proven && l.try == 0 && now >= l.next:
		l.try, l.tried, l.next = 2*l.most, halves{}, now
	case l.try > 0 && l.tried.bursts == 0 && now >= l.next+max(l.wait, tryWait):
		l.lift(led.next) // nothing was as long as the try: at this rate the session's own turns are no longer than the limit
	}
}

// lift ends the limit.
func (l *burstLimit) lift(next uint64) {
	l.set(0, next)
	l.keep(0)
}

// outcome is what became of a burst.
type outcome struct {
	ahead, behind int // lost in the first and the second half; a packet in the middle belongs to neither
	lost          int
	begin         int // place of the first lost
}

// outcome tells what became of a burst, if all of it is known.
func (b *burst) outcome(led *ledger) (o outcome, known bool) {
	place := 0
	for pn := b.first; pn <= b.last; pn++ {
		e := led.at(pn)
		if e != nil && e.kind == kindSkipped {
			continue
		}
		// What the ledger has forgotten had arrived: it keeps what is lost for longer than a burst is watched.
		if e != nil && e.kind > kindSkipped {
			if e.state == flight || e.state == suspect {
				return o, false
			}
			if e.state == lost {
				if o.lost == 0 {
					o.begin = place
				}
				o.lost++
				switch {
				case place < b.n/2:
					o.ahead++
				case place >= b.n-b.n/2:
					o.behind++
				}
			}
		}
		place++
	}
	return o, true
}

// add takes in what became of a burst.
func (h *halves) add(b *burst, o *outcome) {
	if h.score == 0 {
		h.size, h.begin = 0, 0
	}
	h.bursts++
	h.packets += b.n
	h.lost += o.lost
	switch {
	case b.n < leastBurst || o.ahead == o.behind:
	case o.ahead > o.behind:
		h.score = max(0, h.score+moreAhead)
	default:
		h.score += moreBehind
		if h.size == 0 {
			h.size, h.begin = float64(b.n), float64(o.begin)
		}
		h.size += (float64(b.n) - h.size) / 8
		h.begin += (float64(o.begin) - h.begin) / 8
	}
}

// learn draws the conclusions from a burst; next is the number of the next packet.
func (l *burstLimit) learn(now time.Duration, b *burst, o *outcome, next uint64) {
	if l.try > 0 && b.n > l.most && b.n <= l.try {
		l.tried.add(b, o)
		l.judgeTry(now, next)
		return
	}
	if now < l.deaf {
		return
	}
	h := &l.ordinary
	h.add(b, o)
	switch {
	case h.score >= burstAlarm && l.proven && h.size > 1.5*float64(l.most) && !h.better(l.without):
		l.kept = 0 // this host wakes too late for the limit, which shows only once it is behind: bursts are longer
		l.back(now, next)
	case h.score >= burstAlarm && (l.most == 0 || l.most > fewest):
		l.lower(now, next)
	case l.most == l.kept:
		if h.score == 0 {
			*h = halves{}
		}
	case h.bursts >= helpBursts && h.packets >= helpPackets && (h.score < burstAlarm/2 || l.most == fewest):
		l.judge(now, next)
	}
}

// lower sets the limit to where losses begin, or to half of what it was.
func (l *burstLimit) lower(now time.Duration, next uint64) {
	h := &l.ordinary
	if l.most == l.kept {
		l.before = h.share()
	}
	if l.most == 0 {
		l.without = l.before
	}
	most := int(min(h.size/2, h.begin+0.5))
	if l.most > 0 {
		most = min(most, l.most/2)
	}
	l.wait = max(l.wait, tryWait)
	l.set(max(most, fewest), next)
	l.proven, l.next = false, now+l.wait
}

// set begins anew with a limit.
func (l *burstLimit) set(most int, next uint64) {
	l.most, l.try, l.from = most, 0, next
	l.ordinary, l.tried = halves{}, halves{}
}

// share is what was lost.
func (h *halves) share() float64 { return float64(h.lost) / float64(h.packets) }

// better tells whether half of the losses have gone away, or a tenth more arrives.
func (h *halves) better(before float64) bool {
	return h.share() <= before/2 || 1-h.share() >= 1.1*(1-before)
}

// judge keeps a limit that is of help. Where one is not, more is sent than the path takes, or this host wakes too late to send less at once.
func (l *burstLimit) judge(now time.Duration, next uint64) {
	if !l.ordinary.better(l.before) {
		l.back(now, next)
		return
	}
	l.keep(l.most)
	l.next = now + l.wait
}

// back returns to what was before a limit that is no help.
func (l *burstLimit) back(now time.Duration, next uint64) {
	l.set(l.kept, next)
	l.keep(l.kept)
	l.deaf, l.next = now+l.wait, now+l.wait
	l.wait = min(2*l.wait, tryLonger)
}

// keep goes on with a limit, or none, that does as well as any.
func (l *burstLimit) keep(most int) {
	l.kept, l.proven, l.ordinary = most, most > 0, halves{}
}

// judgeTry ends a try: it is the limit from then on, or the next comes later.
func (l *burstLimit) judgeTry(now time.Duration, next uint64) {
	h := &l.tried
	switch {
	case h.score >= burstAlarm:
		l.wait = min(2*l.wait, tryLonger)
		l.try, l.next = 0, now+l.wait
	case h.bursts < tryBursts || h.score > 0:
	case l.try >= burstMost:
		l.lift(next)
		l.wait = 0
	default:
		l.set(l.try, next)
		l.keep(l.most) // and the next size at once: the path may have become another
	}
}
