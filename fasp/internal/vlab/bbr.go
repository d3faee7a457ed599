package vlab

import (
	"math/rand/v2"
	"time"
)

const (
	bbrHighGain    = 2.885 // 2/ln 2: doubles the rate each round
	bbrFilter      = 10    // rounds that the bandwidth filter remembers
	bbrMinWindow   = 4
	bbrRTTFilter   = 10 * time.Second
	bbrProbeRTTFor = 200 * time.Millisecond
)

type bbrState uint8

// STARTUP -> DRAIN -> PROBE_BW <-> PROBE_RTT, which also comes out of STARTUP and DRAIN and leads back to STARTUP.
const (
	bbrStartup bbrState = iota
	bbrDrain
	bbrProbeBW
	bbrProbeRTT
)

var bbrCycle = [8]float64{1.25, 0.75, 1, 1, 1, 1, 1, 1}

// bbr is version 1 of BBR (draft-cardwell-iccrg-bbr-congestion-control-00).
type bbr struct {
	rng        *rand.Rand
	state      bbrState
	cwnd       float64
	prior      float64 // cwnd before recovery or PROBE_RTT
	rate       float64 // pacing, packets/s
	pacingGain float64
	windowGain float64

	bandwidth maxFilter
	round     int
	roundEnd  uint64 // packets delivered when the round ends
	newRound  bool

	rtProp   time.Duration
	rtPropAt time.Duration
	expired  bool

	full      float64 // bandwidth when it last grew by a quarter
	fullCount int
	filled    bool

	phase   int
	phaseAt time.Duration

	probeDone  time.Duration // 0 = the queue is not empty yet
	probeRound bool
	// Packets sent while so many had been delivered belong to PROBE_RTT: that they came slowly says nothing.
	slowFrom, slowTo uint64

	recovering   bool
	conservation bool
	conserveEnd  uint64
}

func newBBR(now, rtt time.Duration, seed uint64) *bbr {
	return &bbr{
		rng: rand.New(rand.NewPCG(seed, 0x626272)), cwnd: initialWindow,
		pacingGain: bbrHighGain, windowGain: bbrHighGain,
		rate:   bbrHighGain * initialWindow / max(rtt, time.Millisecond).Seconds(),
		rtProp: rtt, rtPropAt: now,
	}
}

func (b *bbr) window() float64 { return b.cwnd }
func (b *bbr) pacing() float64 { return b.rate }

// inflight returns gain times the bandwidth-delay product, with room for bursts at both ends.
func (b *bbr) inflight(gain float64) float64 {
	bw := b.bandwidth.max()
	if bw == 0 {
		return gain * initialWindow
	}
	quantum := max(1, min(bw/1000, 64<<10/tcpPacket))
	return gain*bw*b.rtProp.Seconds() + 3*quantum
}

func (b *bbr) onAck(e *tcpEvent) {
	b.newRound = e.then >= b.roundEnd
	if b.newRound {
		b.roundEnd = e.delivered
		b.round++
	}
	slow := b.slowTo > 0 && e.then >= b.slowFrom && e.then <= b.slowTo
	if e.rate > 0 && (!slow || e.rate >= b.bandwidth.max()) {
		b.bandwidth.add(b.round, e.rate)
	}
	b.cycle(e)
	if b.newRound && !slow {
		b.checkFull()
	}
	if b.state == bbrStartup && b.filled {
		b.state, b.pacingGain, b.windowGain = bbrDrain, 1/bbrHighGain, bbrHighGain
	}
	if b.state == bbrDrain && float64(e.after) <= b.inflight(1) {
		b.enterProbeBW(e.now)
	}
	b.probeRTT(e)
	if rate := b.pacingGain * b.bandwidth.max(); rate > 0 && (b.filled || rate > b.rate) {
		b.rate = rate
	}
	b.setWindow(e)
}

// cycle moves on through the gains of PROBE_BW.
func (b *bbr) cycle(e *tcpEvent) {
	if b.state != bbrProbeBW {
		return
	}
	next := e.now-b.phaseAt > b.rtProp
	switch {
	case b.pacingGain > 1:
		next = next && (e.lost > 0 || float64(e.before) >= b.inflight(b.pacingGain))
	case b.pacingGain < 1:
		next = next || float64(e.before) <= b.inflight(1)
	}
	if next {
		b.nextPhase(e.now)
	}
}

func (b *bbr) nextPhase(now time.Duration) {
	b.phase = (b.phase + 1) % len(bbrCycle)
	b.phaseAt, b.pacingGain = now, bbrCycle[b.phase]
}

func (b *bbr) enterProbeBW(now time.Duration) {
	b.state, b.windowGain = bbrProbeBW, 2
	b.phase = len(bbrCycle) - 1 - b.rng.IntN(7) // anything but the phase of 0.75
	b.nextPhase(now)
}

// checkFull finds that three rounds brought no quarter more.
func (b *bbr) checkFull() {
	if b.filled {
		return
	}
	if bw := b.bandwidth.max(); bw >= 1.25*b.full {
		b.full, b.fullCount = bw, 0
		return
	}
	b.fullCount++
	b.filled = b.fullCount >= 3
}

// probeRTT keeps the least round trip, and empties the queue when it has not been seen for long.
func (b *bbr) probeRTT(e *tcpEvent) {
	b.expired = e.now > b.rtPropAt+bbrRTTFilter
	if e.rtt <= b.rtProp || b.expired {
		b.rtProp, b.rtPropAt = e.rtt, e.now
	}
	if b.state != bbrProbeRTT && b.expired {
		b.save()
		b.state, b.pacingGain, b.windowGain = bbrProbeRTT, 1, 1
		b.probeDone, b.slowFrom = 0, e.delivered
	}
	if b.state != bbrProbeRTT {
		return
	}
	b.slowTo = e.delivered + uint64(e.after)
	switch {
	case b.probeDone == 0:
		if e.after <= bbrMinWindow {
			b.probeDone, b.probeRound, b.roundEnd = e.now+bbrProbeRTTFor, false, e.delivered
		}
	case b.newRound || b.probeRound:
		b.probeRound = true
		if e.now > b.probeDone {
			b.rtPropAt = e.now
			b.cwnd = max(b.cwnd, b.prior)
			if b.filled {
				b.enterProbeBW(e.now)
			} else {
				b.state, b.pacingGain, b.windowGain = bbrStartup, bbrHighGain, bbrHighGain
			}
		}
	}
}

// save keeps the window for when recovery or PROBE_RTT is over; either may begin within the other.
func (b *bbr) save() {
	if b.recovering || b.state == bbrProbeRTT {
		b.prior = max(b.prior, b.cwnd)
	} else {
		b.prior = b.cwnd
	}
}

// setWindow bounds what is in flight; in recovery it first keeps it as it is for a round.
func (b *bbr) setWindow(e *tcpEvent) {
	acked := float64(e.acked)
	switch {
	case e.recovering && !b.recovering:
		b.save()
		b.recovering, b.conservation, b.conserveEnd = true, true, e.delivered
		b.cwnd = float64(e.after) + acked
	case !e.recovering && b.recovering:
		b.recovering, b.conservation = false, false
		b.cwnd = max(b.cwnd, b.prior)
	case b.conservation && e.then >= b.conserveEnd:
		b.conservation = false
	}
	if e.lost > 0 {
		b.cwnd = max(b.cwnd-float64(e.lost), 1)
	}
	target := b.inflight(b.windowGain)
	switch {
	case b.conservation:
		b.cwnd = max(b.cwnd, float64(e.after)+acked)
	case b.filled:
		b.cwnd = max(min(b.cwnd+acked, target), bbrMinWindow)
	case b.cwnd < target || e.delivered < initialWindow:
		b.cwnd = max(b.cwnd+acked, bbrMinWindow)
	}
	if b.state == bbrProbeRTT {
		b.cwnd = min(b.cwnd, bbrMinWindow)
	}
}

func (b *bbr) onTimeout(_ time.Duration, inFlight int) {
	b.save()
	b.recovering, b.conservation = true, false
	b.cwnd = float64(inFlight) + 1
}

// maxFilter is the maximum of the last rounds.
type maxFilter []struct {
	round int
	v     float64
}

func (f *maxFilter) add(round int, v float64) {
	s := *f
	for len(s) > 0 && s[len(s)-1].v <= v {
		s = s[:len(s)-1]
	}
	s = append(s, struct {
		round int
		v     float64
	}{round, v})
	for s[0].round <= round-bbrFilter {
		s = s[1:]
	}
	*f = s
}

func (f maxFilter) max() float64 {
	if len(f) == 0 {
		return 0
	}
	return f[0].v
}
