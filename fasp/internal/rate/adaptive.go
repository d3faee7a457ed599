package rate

import (
	"fmt"
	"math"
	"time"
)

// Constants of the law; docs/decisions/0006-rate-law.md says where they come from.
const (
	ownQueue   = 3 * time.Millisecond // how much of the bottleneck's time a session of weight 1 keeps queued
	bendQueue  = 12 * time.Millisecond
	growth     = 0.25  // most that an unused link is claimed in a round trip
	firstShare = 0.5   // of what a train or an earlier session measured, until it is confirmed
	freshShare = 0.9   // of what an earlier session had just before, likewise: all that is lost if it is wrong is a round trip of excess
	nextShare  = 0.95  // once it is
	lastShare  = 0.985 // once that has been seen to leave the link room; trains measure to a per cent
	drainEvery = 10 * time.Second
	drainShare = 0.25
	quickDrain = drainEvery / 4         // after one that did not empty the queue
	maxQuick   = 1                      // of them in a row
	drainRest  = 20 * time.Millisecond  // longer than reports are apart
	drainBusy  = 120 * time.Millisecond // where others share the link: they, their clocks and their paths differ, and may see a longer queue
	drainFirst = 300 * time.Millisecond // the same for the first one, when what was measured at the start may be far from the truth
	drainSlack = 30 * time.Millisecond  // by which clocks may differ
	shared     = 0.95                   // of the capacity; who gets less is not alone
	trainEvery = 2 * time.Second
	trainRare  = time.Minute // at most, where trains do not come through
	trainTime  = 5 * time.Millisecond / 2
	trainMost  = time.Second / 4 // that a train may take of the rate
	leastTrain = 10              // packets
	maxTrain   = 256
	leastGap   = 40 * time.Millisecond // between packets, when nearly all is lost: five times the time of a train are then no longer than trainEvery
)

// Settings of an Adaptive controller.
type Settings struct {
	Policy Policy
	Packet int           // IP bytes of a full packet
	RTT    time.Duration // as the handshake measured it
	Now    time.Duration
	Wall   time.Duration // what an ordinary clock reads when the session's clock reads 0; only its remainder by 10 s counts
	Rate   float64       // where to go on, 0 = a new path
	Known  float64       // what an earlier session had on this path, 0 = unknown
	Fresh  bool          // it had that a short while ago, and no other session is known to use the path
}

// phase of an Adaptive controller.
//
//	blind -> half -> steady      a train, or an earlier session, told the capacity
//	blind -> steady              doubling met a queue or loss
type phase uint8

const (
	blind phase = iota
	half
	steady
)

// Adaptive is the controller of policies fair, high and low.
type Adaptive struct {
	set     Settings
	weight  float64
	low     bool
	phase   phase
	r       float64
	first   float64 // rate of the start, as low as any
	ceiling float64

	goal      float64 // of the start, once half of it has passed
	near      bool    // nearly all of the goal is sent, and may yet turn out to leave the link room
	capacity  float64 // of the bottleneck by trains, 0 = not known
	trains    [3]float64
	nTrains   int
	trainLen  int
	trainAt   time.Duration // of the next
	trainsOut int
	trainSent time.Duration // the last one
	trainGap  time.Duration // between two
	awaited   bool          // nothing has been heard of the last one
	missed    int           // in a row of which nothing was
	noTrains  bool          // the path loses them

	hold  time.Duration // no change before a packet sent after this is reported
	boost float64       // of the own queue while the link has room
	marks marks
	best  recent[float64] // delivered rate: what the link was seen to take
	rtt   time.Duration
	queue time.Duration
	gap   time.Duration // between samples, smoothed
	last  time.Duration

	guard guard
	cut   cut
	lid   lid
	drain drain
	even  even

	compete compete
	aqm     aqm
}

// NewAdaptive returns a controller for a path.
func NewAdaptive(s Settings) *Adaptive {
	a := &Adaptive{set: s, weight: 1, ceiling: Max, boost: 1, rtt: max(s.RTT, time.Millisecond), trainAt: s.Now, trainGap: trainEvery, trainLen: 10}
	switch s.Policy {
	case High:
		a.weight = 2
	case Low:
		a.weight, a.low = 0.25, true
	}
	a.guard = newGuard(s.Packet)
	switch {
	case s.Rate > 0:
		a.r, a.phase = s.Rate, steady
	case s.Known > 0:
		a.r, a.phase, a.goal, a.hold = s.Known*firstShare, half, s.Known, s.Now
		if s.Fresh {
			a.r = s.Known * freshShare
		}
	default:
		// Ten packets a round trip, as RFC 6928, but no less than a packet each 5 ms.
		a.r = max(float64(10*s.Packet*8)/a.rtt.Seconds(), float64(s.Packet*8)/0.005)
		a.r = min(a.r, 20e6)
		a.first = a.r
	}
	a.drain.plan(s.Now, s.Wall, a.rtt)
	return a
}

// Rate implements Controller.
func (a *Adaptive) Rate() float64 {
	if a.drain.on {
		return a.r * drainShare
	}
	return max(a.r, a.least())
}

// least is what a session has however much is lost: a packet in two round trips, as they are with what waits, and at most 25 a second. A link that is slower makes them
// longer. Policy low leaves that to the others, too. With less than that, what was lost at one time would be remembered for as long as a few packets and a train then take.
func (a *Adaptive) least() float64 {
	if a.low {
		return min(Min, a.ceiling)
	}
	return min(max(float64(8*a.set.Packet)/max(2*a.rtt, leastGap).Seconds(), Min), a.ceiling)
}

// Known implements Controller.
func (a *Adaptive) Known() float64 {
	if a.phase != steady || a.compete.on {
		return 0
	}
	return a.best.get()
}

// SetCeiling implements Controller.
func (a *Adaptive) SetCeiling(r float64) { a.ceiling = r }

// SetPacket implements Controller.
func (a *Adaptive) SetPacket(bytes int) {
	// Trains take as long, and the windows hold as many bytes, as before.
	f := float64(a.set.Packet) / float64(bytes)
	a.compete.scale(f)
	a.aqm.window.scale(f)
	a.set.Packet, a.guard.packet = bytes, bytes
	if a.capacity > 0 {
		a.trainLen = a.packets(trainTime)
	}
}

// Restart implements Controller.
func (a *Adaptive) Restart(now time.Duration, rate float64) {
	// The path may be another one now.
	a.near, a.set.Fresh = false, false
	a.r, a.phase, a.hold, a.boost = max(rate, Min), blind, now, 1
	a.capacity, a.nTrains, a.trainLen, a.trainAt, a.trainsOut = 0, 0, 10, now, 0
	a.trainGap, a.awaited = trainEvery, false
	a.marks.clear()
	a.best, a.lid, a.cut, a.aqm = recent[float64]{}, lid{}, cut{}, aqm{told: a.aqm.told}
	a.guard.after = now
}

// Train implements Controller.
func (a *Adaptive) Train(now time.Duration) int {
	if now < a.trainAt || a.drain.on || a.noTrains {
		return 0
	}
	if a.awaited && a.phase == steady && now > a.trainSent+2*a.rtt {
		a.awaited = false
		a.missed++
	}
	if a.missed > 1 {
		// A policer loses most of every train, and what is left of one makes the next longer: where the rate is low that is half of all packets.
		a.missed = 0
		a.trainGap = min(2*a.trainGap, trainRare)
		if a.capacity == 0 {
			a.trainLen = leastTrain
		}
		if a.trainAt = a.trainSent + a.trainGap; now < a.trainAt {
			return 0
		}
	}
	// Nothing else goes until the time of a train has been made up for.
	return min(a.trainLength(), max(leastTrain, int(min(a.r, a.ceiling)*trainMost.Seconds()/float64(8*a.set.Packet))))
}

func (a *Adaptive) trainLength() int {
	if a.phase == steady {
		// Trains of sessions that run add to the queue: no longer than the queue they keep. Where that is not four packets, what was measured last has to do.
		n := int(a.capacity * trainTime.Seconds() * a.aqm.share() / float64(8*a.set.Packet))
		switch {
		case a.capacity == 0:
			return a.trainLen
		case n < 4:
			return 0
		}
		return min(n, maxTrain)
	}
	return a.trainLen
}

// TrainSent implements Controller.
func (a *Adaptive) TrainSent(now time.Duration) {
	a.trainsOut++
	a.trainSent, a.awaited = now, true
	a.trainAt = now + max(a.trainGap+time.Duration(a.trainsOut*7%5)*100*time.Millisecond, 5*a.airtime(leastTrain))
}

// SetTrains implements Controller.
func (a *Adaptive) SetTrains(on bool) {
	if a.noTrains = !on; !on {
		a.trainsOut = 0
	}
}

// OnCapacity implements Controller.
func (a *Adaptive) OnCapacity(now time.Duration, rate float64, again bool) {
	if again {
		a.nTrains--
	}
	a.trainGap, a.awaited, a.missed = trainEvery, false, 0
	a.trains[a.nTrains%len(a.trains)] = rate
	a.nTrains++
	a.capacity = a.median()
	// The next train takes as long as is needed to measure it well.
	a.trainLen = a.packets(trainTime)
	switch {
	case a.phase == half && a.set.Known == 0:
		a.goal = a.capacity
	case a.phase == blind:
		a.phase = half
		a.goal = rate
		a.r = max(min(a.r, rate*nextShare), rate*firstShare) // the slowest links are slower than the start
		a.hold = now
		a.trainAt = now
	}
}

// OnShortTrain implements Controller.
func (a *Adaptive) OnShortTrain(now time.Duration) {
	a.awaited, a.missed = false, 0
	if a.nTrains > 0 {
		return
	}
	a.trainsOut = 0 // it came through, which is what tells of a path that nobody keeps full
	if a.trainLen < maxTrain {
		a.trainLen = min(4*a.trainLen, maxTrain)
		a.trainAt = now
	}
}

// packets returns how many full packets the bottleneck takes in d, within what a train may have.
func (a *Adaptive) packets(d time.Duration) int {
	return int(min(max(a.capacity*d.Seconds()/float64(8*a.set.Packet), 10), maxTrain))
}

func (a *Adaptive) median() float64 {
	x, y, z := a.trains[0], a.trains[1], a.trains[2]
	switch a.nTrains {
	case 1:
		return x
	case 2:
		return y // the first one was short, and its time hard to take
	}
	return max(min(x, y), min(max(x, y), z))
}

// own returns the queue, in bits, that this session keeps.
func (a *Adaptive) own(delivered float64) float64 {
	c := max(a.capacity, delivered)
	n := a.weight * (c*ownQueue.Seconds() + float64(8*a.set.Packet))
	n *= a.aqm.share()
	if a.queue > bendQueue {
		n *= float64(bendQueue) / float64(a.queue)
	}
	return n
}

// OnSample implements Controller.
func (a *Adaptive) OnSample(s *Sample) {
	if a.last > 0 {
		a.gap += (min(s.Now-a.last, s.Smooth) - a.gap) / 4
	}
	a.last = s.Now
	a.rtt = max(s.Smooth, time.Millisecond)
	a.guard.lowRate(s, a.phase == blind && a.r <= a.first || a.phase == half && s.Sent < a.hold || a.drain.watched && s.Sent >= a.drain.begun)
	congested := a.guard.onSample(s)
	drained := a.drain.onSample(s)
	a.aqm.onSample(s, a.r, a.set.Packet, a.weight)
	if drained >= 0 {
		a.drain.again(s.Now, drained, a.set.Wall, a.rtt, a.compete.on)
	}
	if s.Limited && s.Queue < 20*time.Millisecond {
		// The rate was not used: it says nothing about the path, except when it was too high all the same.
		a.marks.clear()
		return
	}
	a.marks.add(mark{s.Arrived, s.Sent, s.Through, s.Acked, s.Now, s.Queue, s.Missed})
	a.queue = a.marks.queue(s.Now, max(3*a.gap, min(a.loop()/4, 50*time.Millisecond)))
	if a.drain.on || s.Sent < a.drain.resumed {
		return
	}
	a.watch(s, drained)
	if a.compete.on {
		a.r = min(max(a.compete.rate(s.Smooth, a.set.Packet, asMany*a.weight), Min), 2*a.ceiling)
		return
	}
	if a.marked(s) {
		return
	}
	if a.cut.at > 0 {
		a.judge(s)
	}
	// Where a queue shows, the law deals with it; loss alone is the sign of a shallow buffer or a policer.
	if congested && a.cut.at == 0 && s.Sent >= a.hold && a.queue < 2*a.highQueue(a.r) {
		a.congested(s)
		return
	}
	switch a.phase {
	case blind:
		a.blindSample(s)
	case half:
		a.halfSample(s)
	case steady:
		a.steadySample(s)
	}
	if a.aqm.sharing {
		most := a.aqm.most(s, a.set.Packet, a.weight)
		if a.queue > bendQueue && !a.low {
			a.r = most // the marks come late, and whoever waits for them keeps a queue beside which the law takes little
		}
		a.r = max(min(a.r, most), Min)
	}
	a.r = min(a.r, 2*a.ceiling)
}

// airtime is how long n full packets take at the present rate.
func (a *Adaptive) airtime(n int) time.Duration {
	return time.Duration(float64(n*8*a.set.Packet) / max(a.r, a.least()) * 1e9)
}

// loop is how long a change takes to show.
func (a *Adaptive) loop() time.Duration { return a.rtt + a.gap }

// highQueue is a queue that says that the link is full.
func (a *Adaptive) highQueue(delivered float64) time.Duration {
	packets := 3 * float64(8*a.set.Packet) / max(delivered, Min)
	return 2*ownQueue + time.Duration(packets*1e9)
}

// blindSample doubles the rate each round trip until a train has measured the link or it is full.
func (a *Adaptive) blindSample(s *Sample) {
	d, _ := a.marks.rate(a.loop()/2, 0)
	if d > 0 && a.queue > a.highQueue(d) {
		a.settle(s, d)
		return
	}
	if d == 0 {
		return
	}
	step := min(1, a.gap.Seconds()/a.loop().Seconds())
	factor, most := 2.0, 4.0
	if a.trainsOut > 0 && s.Sent > a.trainSent+a.gap {
		// The train did not come through. That is how a queue looks that somebody keeps full: what comes at once finds no room.
		factor, most = 1.1, 2
		a.trainAt = min(a.trainAt, a.trainSent+2*a.loop())
	}
	if arrives := most * a.marks.acked(a.loop()/2); arrives > 0 && arrives < d {
		// Where most has been lost from the start, in a crowd, that is taken for what the path loses anyway: nothing but this bounds the rate then.
		a.r = min(a.r, max(arrives, a.least()))
		return
	}
	a.r = min(a.r*math.Pow(factor, step), 2*a.ceiling)
}

// halfSample waits until half of the capacity has been seen to pass, and goes on to nearly all of it.
func (a *Adaptive) halfSample(s *Sample) {
	if s.Sent < a.hold+a.confirm() {
		return
	}
	d, _ := a.marks.rate(a.loop()/2, a.hold)
	if d == 0 {
		return
	}
	if a.guard.exceeds(s) {
		a.congested(s)
		return
	}
	if a.queue > a.highQueue(d) {
		a.settle(s, d)
		return
	}
	a.phase, a.near = steady, true
	a.r = max(a.r, a.goal*nextShare)
	a.hold = s.Now
}

// nearSample takes the last step of the start: the law's own growth takes a loop to begin and several to get there.
func (a *Adaptive) nearSample(s *Sample) {
	if s.Sent < a.hold+a.confirm() {
		return
	}
	d, _ := a.marks.rate(a.loop()/2, a.hold)
	if d == 0 {
		return
	}
	a.near = false
	if a.nTrains > 1 {
		a.goal = a.capacity
	}
	if d*a.queue.Seconds() < a.own(d)/4 && !a.guard.exceeds(s) {
		a.r = max(a.r, min(a.goal*lastShare, a.r/nextShare))
		a.hold = s.Now
	}
}

// confirm is how long a rate must have been sent before what is reported of it counts.
func (a *Adaptive) confirm() time.Duration {
	return min(max(a.rtt/16, a.airtime(8)), a.rtt)
}

// settle ends the start at the rate that arrived.
func (a *Adaptive) settle(s *Sample, d float64) {
	a.phase = steady
	a.r = min(a.r, d*nextShare)
	a.hold = s.Now
}

// steadySample is the law: R = D + (A - Q) / T.
func (a *Adaptive) steadySample(s *Sample) {
	if a.near {
		a.nearSample(s)
		return
	}
	if s.Sent < a.hold {
		return
	}
	want := max(a.loop()/2, 20*time.Millisecond, a.airtime(8))
	d, span := a.marks.rate(want, a.hold)
	if span < want/2 {
		return
	}
	loop := a.loop().Seconds()
	best := a.best.add(s.Now, d, a.loop())
	own := a.own(best)
	if d*a.queue.Seconds() < own/4 {
		// The link has room: what arrives is what was sent, not what it could take. What it took lately is a better guess.
		d = best
	}
	q := a.marks.ahead(s, d, max(3*a.gap, min(a.loop()/4, 50*time.Millisecond)), a.hold)
	t := max(1.5*loop, span.Seconds()/2)
	// A single packet that waits, behind one sent right before it, is no full link: on slow ones that is most of what is kept.
	if d*a.queue.Seconds() < max(own/2, 1.1*a.weight*float64(8*a.set.Packet)) && s.Now > a.drain.resumed+3*a.loop() {
		a.boost = min(a.boost*math.Pow(2, min(1, a.gap.Seconds()/loop)), max(1, 1.5*growth*d*loop/own))
	} else {
		a.boost = 1
	}
	r := d + (own*a.boost-q)/t
	r = max(r, d*0.5, Min)
	if a.capacity == 0 && a.trainsOut > 0 {
		// No train has come through: what is lost may be what finds no room, so the rate does not grow above what arrives, and is
		// no more than twice of that.
		arrives := a.marks.acked(want)
		r = max(min(r, max(a.r, arrives), 2*arrives), Min)
	}
	if alone := a.capacity > 0 && d >= shared*a.capacity; alone {
		a.even = even{} // all of the queue is its own
	} else if to := a.even.step(s.Now, a.queue, a.loop(), d, own); to > 0 {
		r = to
		a.hold = s.Now
	}
	a.r = a.lid.apply(s.Now, r, a.loop())
}

// judgeSpan is over how much what arrives is compared: enough packets for chance to matter little.
func (a *Adaptive) judgeSpan() time.Duration {
	return max(a.loop(), 20*time.Millisecond, a.airtime(100))
}

// judge tells, once enough of what was sent at the lower rate has been reported, whether the cut was right, and takes it back if not.
func (a *Adaptive) judge(s *Sample) {
	span := a.judgeSpan()
	if s.Sent < a.cut.at+span+a.loop()/4 {
		return
	}
	now, share := a.marks.acked(span), a.r/a.cut.from
	if share < 0.95 && now < a.cut.arrived*(1+share)/2 {
		a.guard.mistaken(s)
		a.lid = lid{}
		a.r = a.cut.from
		a.hold = s.Now
	}
	a.cut = cut{}
}

// congested takes the rate back to what arrives.
func (a *Adaptive) congested(s *Sample) {
	d, _ := a.marks.rate(a.loop()/2, 0)
	acked := a.marks.acked(a.judgeSpan())
	a.cut = cut{s.Now, a.r, acked}
	pass := acked / max(1-a.guard.base(), 0.05)
	if d > 0 {
		pass = min(pass, d)
	}
	if pass <= 0 {
		pass = a.r / 2
	}
	a.r = max(min(a.r*0.85, pass), a.r/4, Min)
	a.best = recent[float64]{}
	a.phase = steady
	a.boost = 1
	a.hold = s.Now
	a.guard.after = s.Now
	a.lid.set(s.Now, max(pass, Min), a.loop())
}

// String tells the state, for traces and tests.
func (a *Adaptive) String() string {
	d, span := a.marks.rate(a.loop()/2, a.hold)
	return fmt.Sprintf("phase %d r %.2f d %.2f/%v cap %.2f q %v boost %.1f compete %v w %.0f drain least %v lid %.2f gap %v hold %v drain %v own %.2f sharing %v", a.phase, a.r/1e6, d/1e6, span, a.capacity/1e6, a.queue, a.boost, a.compete.on, a.compete.window, a.drain.least, a.lid.rate/1e6, a.gap, a.hold, a.drain.on, a.aqm.share(), a.aqm.sharing)
}
