package core

import "time"

// pacer spaces packets so that the average is the rate (section 9). It keeps the moment when the next packet may go.
//
// Packets leave in turns, because a wake and a system call for each would cost more than the packet: a turn begins when it is due as a whole.
// A driver that comes late finds more due than that. What is older than slack goes at once, for its timer may be coarse; else the
// turn is no longer for it, and the next one comes sooner, after half of the turn's time, so that the two are not one burst.
//
// Where the path takes short bursts only (burstLimit) there are turns at any rate, no longer than that, and all debt that is made up for at all is made up
// for by turns that come sooner. A driver that wakes too seldom for them would fall behind for ever: what has become older than that goes at once, up to as much again.
// So the limit costs no rate, and a stall that is no longer than that debt is no burst.
type pacer struct {
	next   time.Duration
	turn   time.Duration // when a packet last might go
	left   time.Duration // what may still go in this turn, in time at the rate
	rest   time.Duration // when the next turn may begin
	maxLag time.Duration // older debt is not made up for
	load   Load
	waits  bool          // the driver was told to come again later
	missed time.Duration // that it came too late, beyond what is made up for, ever
	most   int           // packets of a turn, as the path was seen to take them; 0 = no limit
	try    int           // packets of one turn in tryEach, 0 = most
	turns  int
}

const (
	// quantum is what a turn takes at the rate, or two packets where that is more: some 4,000 turns a second at most.
	quantum = 250 * time.Microsecond
	slack   = 2 * time.Millisecond
	// busyQuantum is that of sessions whose host has hardly a processor left: what a wake costs is then taken from all of them.
	busyQuantum = 2 * time.Millisecond
	// crowdedLag is the debt that sessions make up for which share what processors there are: they wait for one for so long, and what they do not send meanwhile
	// would look like what the path takes.
	crowdedLag = 100 * time.Millisecond
	// tight is the time of a packet below which there are no turns: a driver hardly sleeps, sends what has become due meanwhile, and waiting would only
	// make that more.
	tight = 20 * time.Microsecond
)

// packets tells whether packets go as they are due, not in turns.
func (p *pacer) packets(air time.Duration) bool { return air < tight && p.load == Idle && p.most == 0 }

// limit returns how many packets the next turn may have, 0 = no limit.
func (p *pacer) limit() int {
	if p.try > 0 && p.turns%tryEach == 0 {
		return p.try
	}
	return p.most
}

// perTurn returns what a turn may send, and what it waits for, in time at the rate, where a full packet takes air and the path takes limit packets at once.
func (p *pacer) perTurn(air time.Duration, limit int) (most, wait time.Duration) {
	if p.load >= Busy {
		most = max(busyQuantum/air, 2) * air
	} else {
		most = max(quantum/air, 2) * air
	}
	if limit > 0 {
		most = min(most, max(tight/air, time.Duration(limit))*air) // no more than 50,000 turns a second, as those of single packets
	}
	if p.load < Busy && air >= 2*quantum {
		return most, air // few turns anyway: the second packet is for lateness
	}
	return most, most
}

// lag returns how much debt is made up for, and how much of it by turns that come sooner.
func (p *pacer) lag() (most, spaced time.Duration) {
	most = max(p.maxLag, 2*quantum)
	if p.load == Crowded {
		most = max(most, crowdedLag)
	}
	if p.most > 0 {
		return 2 * most, most
	}
	return most, slack
}

// at returns when the next turn begins, where a full packet takes air.
func (p *pacer) at(air time.Duration) time.Duration {
	if p.rest == 0 || p.packets(air) {
		return p.next // nothing was sent yet, and what comes first is worth no wait
	}
	_, wait := p.perTurn(air, p.limit())
	_, spaced := p.lag()
	return max(p.next+wait-air, min(p.rest, p.next+spaced))
}

// ready tells whether a packet may go: one more of this turn, or the first of the next.
func (p *pacer) ready(now, air time.Duration) bool {
	if now == p.turn && p.left >= air || p.packets(air) {
		p.turn = now
		return p.came(now, p.next)
	}
	if !p.came(now, p.at(air)) {
		return false
	}
	p.turn, p.rest = now, now
	p.left, _ = p.perTurn(air, p.limit())
	p.turns++
	return true
}

// came tells whether it is time, where something may go from at on, and notes how much is missed. A driver that is at work all the time, and does not keep up, misses
// nothing: it sends as much as its host can.
func (p *pacer) came(now, at time.Duration) bool {
	if now < at {
		p.waits = true
		return false
	}
	p.missed += p.lost(now)
	p.waits = false
	return true
}

// lost is what is missed if a packet goes now.
func (p *pacer) lost(now time.Duration) time.Duration {
	if !p.waits {
		return 0
	}
	lag, _ := p.lag()
	return max(0, now-lag-p.next)
}

// sent takes the time of a packet.
func (p *pacer) sent(now, air time.Duration) {
	p.missed += p.lost(now)
	lag, _ := p.lag()
	p.next = max(p.next, now-lag) + air // what a turn has waited for is no debt
	if now == p.turn {
		p.left -= air
		p.rest += air / 2
	}
}

// scale makes what lies ahead longer or shorter, when the rate changes; a fall makes it no longer than most.
func (p *pacer) scale(now time.Duration, old, rate int64, most time.Duration) {
	for _, at := range [...]*time.Duration{&p.next, &p.rest} {
		if ahead := *at - now; ahead > 0 {
			scaled := time.Duration(float64(ahead) * float64(old) / float64(rate))
			*at = now + min(scaled, max(ahead, most))
		}
	}
}

// longestDebt is as much as a train may take of the rate.
const longestDebt = 250 * time.Millisecond

// airtime returns how long n bytes take at rate bit/s.
func airtime(n int, rate int64) time.Duration {
	return max(time.Duration(float64(n)*8e9/float64(rate)), 1)
}
