package rate

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const ms = time.Millisecond

// path is a link of one queue with a session alone on it, sampled each 10 ms without noise.
type path struct {
	a       *Adaptive
	now     time.Duration
	rtt     time.Duration
	rate    float64 // of the link, bit/s
	loss    float64 // of what it carries
	policer bool    // what exceeds the rate is lost, nothing waits
	sent    []float64
	at      []time.Duration
	queue   []time.Duration // met by what was sent then
	got     []float64       // arrived of what was sent by then
	lost    []float64
	arrive  []time.Duration
	backlog float64 // bits
	total   float64
	arrived float64
	gone    float64
	limited bool
	marked  uint64
}

func newPath(policy Policy, rate float64, rtt time.Duration) *path {
	p := &path{now: time.Second, rate: rate, rtt: rtt}
	p.a = NewAdaptive(Settings{Policy: policy, Packet: 1500, RTT: rtt, Now: p.now})
	return p
}

// step passes 10 ms.
func (p *path) step() {
	const dt = 10 * ms
	p.now += dt
	if at := p.a.Next(); at >= 0 && p.now >= at {
		p.a.Tick(p.now)
	}
	sent := min(p.a.Rate(), p.a.ceiling) * dt.Seconds()
	pass := sent
	if p.policer {
		pass = min(pass, p.rate*dt.Seconds())
	} else {
		p.backlog = max(0, p.backlog+sent-p.rate*dt.Seconds())
	}
	q := time.Duration(p.backlog / p.rate * 1e9)
	p.total += sent
	p.arrived += pass * (1 - p.loss)
	p.gone += sent - pass*(1-p.loss)
	p.sent, p.at, p.queue = append(p.sent, p.total), append(p.at, p.now), append(p.queue, q)
	p.got, p.lost, p.arrive = append(p.got, p.arrived), append(p.lost, p.gone), append(p.arrive, p.now+p.rtt/2+q)
	for i := len(p.at) - 1; i >= 0; i-- {
		if back := p.at[i] + p.rtt + p.queue[i]; back <= p.now {
			p.a.OnSample(&Sample{
				Now: p.now, Sent: p.at[i], Arrived: p.arrive[i], Smooth: p.rtt, Queue: p.queue[i],
				Through: uint64(p.sent[i] / 8), After: int64((p.total - p.sent[i]) / 8), Acked: uint64(p.got[i] / 8), Lost: uint64(p.lost[i] / 8), Limited: p.limited, Marked: p.marked,
			})
			return
		}
	}
}

func (p *path) run(d time.Duration) {
	for end := p.now + d; p.now < end; {
		p.step()
	}
}

func (p *path) last() time.Duration { return p.queue[len(p.queue)-1] }

// Alone the law goes to the rate of the link and keeps its own queue, whatever the round trip.
func TestSettles(t *testing.T) {
	for _, rtt := range []time.Duration{20 * ms, 100 * ms, 500 * ms} {
		for _, rate := range []float64{10e6, 100e6, 1e9} {
			p := newPath(Fair, rate, rtt)
			p.run(rtt + 20*ms)
			p.a.OnCapacity(p.now, rate, false)
			p.run(4*time.Second + 8*rtt)
			own := ownQueue + time.Duration(1500*8/rate*1e9)
			require.InDelta(t, rate, p.a.r, 0.05*rate, "%v %g", rtt, rate)
			require.InDelta(t, own.Seconds(), p.last().Seconds(), 0.002, "%v %g", rtt, rate)
		}
	}
}

// A train makes the start short: half of the capacity at once, nearly all of it a round trip later.
func TestTrainStartsFast(t *testing.T) {
	p := newPath(Fair, 100e6, 100*ms)
	p.run(110 * ms)
	require.Less(t, p.a.Rate(), 5e6)
	p.a.OnCapacity(p.now, 100e6, false)
	require.Equal(t, 50e6, p.a.Rate())
	p.run(150 * ms)
	require.GreaterOrEqual(t, p.a.Rate(), 90e6)
}

// Without a train the rate doubles until a queue shows.
func TestStartWithoutTrains(t *testing.T) {
	p := newPath(Fair, 50e6, 50*ms)
	p.run(5 * time.Second)
	require.InDelta(t, 50e6, p.a.Rate(), 3e6)
	require.Less(t, p.last(), 10*ms)
}

// A better value of the same train replaces the one before; of three trains the median counts.
func TestCapacity(t *testing.T) {
	a := NewAdaptive(Settings{Packet: 1500, RTT: 50 * ms})
	a.OnCapacity(0, 10e6, false)
	a.OnCapacity(0, 20e6, true)
	require.Equal(t, 20e6, a.capacity)
	a.OnCapacity(0, 90e6, false)
	require.Equal(t, 90e6, a.capacity, "of two the second, which is longer")
	a.OnCapacity(0, 30e6, false)
	require.Equal(t, 30e6, a.capacity)
	a.OnCapacity(0, 30e6, false)
	require.Equal(t, 30e6, a.capacity)
}

// A rate that is not used must not run away, and comes down within a few round trips when a queue shows after all.
func TestStaysNearCeiling(t *testing.T) {
	for _, policy := range []Policy{Fair, High, Low} {
		p := newPath(policy, 100e6, 20*ms)
		p.a.SetCeiling(10e6)
		p.run(20 * time.Second)
		require.LessOrEqual(t, p.a.Rate(), 20e6)
		require.GreaterOrEqual(t, p.a.Rate(), 10e6)
		p.rate = 2e6
		p.run(500 * ms)
		require.Less(t, p.a.Rate(), 4e6, "policy %d", policy)
	}
}

// Where loss is there at any rate it does not count; loss that comes with rate, without a queue, takes the rate back to what passes.
func TestGuard(t *testing.T) {
	random := newPath(Fair, 20e6, 50*ms)
	random.loss = 0.3
	random.run(20 * time.Second)
	require.InDelta(t, 20e6, random.a.Rate(), 2e6)

	policer := newPath(Fair, 20e6, 50*ms)
	policer.policer = true
	policer.loss = 0.02
	policer.run(10 * time.Second)
	sent, got := policer.total, policer.arrived
	policer.run(20 * time.Second)
	sent, got = policer.total-sent, policer.arrived-got
	require.GreaterOrEqual(t, got/20, 0.9*20e6*0.98, "of what the policer lets pass")
	require.LessOrEqual(t, sent/20, 1.2*20e6)
}

// All drain at the same reading of an ordinary clock, at the receiver.
func TestDrainsTogether(t *testing.T) {
	for _, wall := range []time.Duration{0, 3*time.Second + 7*ms, time.Hour + 9999*ms} {
		for _, rtt := range []time.Duration{ms, 700 * ms} {
			a := NewAdaptive(Settings{Packet: 1500, RTT: rtt, Now: 2 * time.Second, Wall: wall})
			at := a.Next() + wall + rtt/2
			require.Zero(t, at%drainEvery)
			require.Greater(t, a.Next(), 2*time.Second)
			require.LessOrEqual(t, a.Next(), 2*time.Second+drainEvery+rtt)
		}
	}
}

// After a drain the rate is what it was.
func TestDrainGivesBack(t *testing.T) {
	p := newPath(Fair, 50e6, 100*ms)
	p.run(8 * time.Second)
	before := p.a.Rate()
	least := before
	for range 300 {
		p.step()
		least = min(least, p.a.Rate())
	}
	require.Less(t, least, 0.3*before)
	require.InDelta(t, before, p.a.Rate(), 0.05*before)
}

// Marks thin out when a round trip has more reports than there is room, and rates stay right.
func TestMarksThin(t *testing.T) {
	var m marks
	for i := range 1000 {
		at := time.Duration(i) * ms
		m.add(mark{arrived: at, sent: at, through: uint64(i) * 1000, acked: uint64(i) * 900, now: at})
	}
	for _, span := range []time.Duration{10 * ms, 100 * ms} {
		r, over := m.rate(span, 0)
		require.InDelta(t, 8e6, r, 1)
		require.GreaterOrEqual(t, over, span)
		require.InDelta(t, 7.2e6, m.acked(span), 1)
	}
	r, _ := m.rate(100*ms, 995*ms)
	require.InDelta(t, 8e6, r, 1, "only what was sent since")
	m.add(mark{arrived: 5 * ms})
	require.Equal(t, 999*ms, m.at(0).arrived, "a clock that goes back is not believed")
}

// Time in which the sender sent nothing because it got no processor does not count, but for that in which what it had sent before kept the link at work.
func TestMarksLeaveOutWhatWasMissed(t *testing.T) {
	for _, queue := range []time.Duration{0, 20 * ms, 100 * ms} {
		var m marks
		at, sent, missed := time.Duration(0), uint64(0), time.Duration(0)
		for i := range 100 {
			m.add(mark{arrived: at, sent: at, through: sent, acked: sent, now: at, queue: queue, missed: missed})
			at, sent = at+ms, sent+1000 // 8 Mbit/s while it runs
			if i%10 == 9 {
				missed += 50 * ms
				at += max(0, 50*ms-queue)
			}
		}
		for _, span := range []time.Duration{5 * ms, 50 * ms} {
			r, over := m.rate(span, 0)
			require.InDelta(t, 8e6, r, 1, "queue %v", queue)
			require.GreaterOrEqual(t, over, span)
			require.InDelta(t, 8e6, m.acked(span), 1)
		}
	}
}

// Competing without a queue is given up, and lost time made good: random loss must not be taken for that of a queue for ever.
func TestCompetesOnlyWithAQueue(t *testing.T) {
	p := newPath(Fair, 100e6, 100*ms)
	p.loss = 0.1
	p.run(110 * ms)
	p.a.OnCapacity(p.now, 100e6, false)
	p.run(3 * time.Second)
	p.a.compete = compete{on: true, cubic: cubic{window: 2, most: 2, reno: 2, epoch: p.now}, high: p.now, acked: uint64(p.arrived / 8), lost: uint64(p.gone / 8)}
	p.a.r = Min
	p.run(12 * time.Second)
	require.False(t, p.a.compete.on)
	require.GreaterOrEqual(t, p.a.Rate(), 80e6)
}

// Where no train comes through the rate does not grow above what arrives, nor does random loss wear it down.
func TestWithoutTrainsLossDoesNotWearDown(t *testing.T) {
	p := newPath(Fair, 50e6, 100*ms)
	p.loss = 0.3
	p.a.TrainSent(p.now)
	p.a.phase, p.a.r = steady, 10e6
	p.run(20 * time.Second)
	require.GreaterOrEqual(t, p.a.Rate(), 9e6)
}

// Who has never measured the link does not know that it is alone, and watches whether it has more than its share.
func TestSharesWithoutTrains(t *testing.T) {
	for _, capacity := range []float64{0, 100e6} {
		p := newPath(Fair, 90e6, 500*ms) // of 100 others take 10
		p.a.phase, p.a.r = steady, 90e6
		p.backlog = p.rate * 0.02
		for range 1500 {
			p.step()
			p.a.capacity, p.a.nTrains = capacity, 0
		}
		require.Positive(t, p.a.even.at, "capacity %v", capacity)
	}
}

// What an earlier session found a short while ago says nothing of the path after a restart, which may be another one.
func TestRestartForgetsStart(t *testing.T) {
	p := newPath(Fair, 100e6, 500*ms)
	p.a = NewAdaptive(Settings{Policy: Fair, Packet: 1500, RTT: p.rtt, Now: p.now, Known: 100e6, Fresh: true})
	for !p.a.near {
		p.step()
	}
	p.a.Restart(p.now, 10e6)
	require.False(t, p.a.near)
	p.run(time.Second)
	p.a.drain.at = p.now
	p.a.Tick(p.now)
	require.True(t, p.a.drain.on)
	require.GreaterOrEqual(t, p.a.drain.until-p.now, drainFirst)
}

// A cut that is under judgement when the link is lost is not taken back afterwards: the path may be another one.
func TestRestartForgetsCut(t *testing.T) {
	p := newPath(Fair, 50e6, 100*ms)
	p.run(4 * time.Second)
	p.a.cut = cut{at: p.now, from: 900e6, arrived: 1e12}
	p.a.Restart(p.now, 1e6)
	for range 200 {
		p.step()
		require.Less(t, p.a.Rate(), 200e6)
	}
}

// Alone a mark is answered by a shorter queue of one's own; the rate comes back after a loop, and marks of the same loop are one.
func TestMarkAlone(t *testing.T) {
	p := newPath(Fair, 50e6, 100*ms)
	p.run(120 * ms)
	p.a.OnCapacity(p.now, 50e6, false)
	p.run(3 * time.Second)
	require.InDelta(t, 50e6, p.a.r, 1e6)
	p.marked += 3
	p.step()
	require.InDelta(t, 40e6, p.a.r, 1e6)
	for range 5 {
		p.marked++
		p.step()
	}
	require.InDelta(t, 40e6, p.a.r, 1e6, "once a loop")
	require.InDelta(t, markQueue, p.a.aqm.share(), 0.01)
	p.run(2 * time.Second)
	require.InDelta(t, 49e6, p.a.r, 2e6)
	p.run(30 * time.Second)
	require.Equal(t, 1.0, p.a.aqm.share(), "and forgotten in the end")
}

// Beside others a mark sets a CUBIC's window as the limit, which is let go of 10 s after the last.
func TestMarkShared(t *testing.T) {
	p := newPath(Fair, 50e6, 100*ms)
	p.run(120 * ms)
	p.a.OnCapacity(p.now, 50e6, false)
	p.run(3 * time.Second)
	p.a.capacity = 100e6 // of which others take half
	p.marked++
	p.step()
	require.InDelta(t, 40e6, p.a.r, 1e6)
	p.run(time.Second)
	require.Less(t, p.a.r, 46e6, "it grows as a CUBIC does")
	require.True(t, p.a.aqm.sharing)
	require.Equal(t, 1.0, p.a.aqm.share())
	p.run(11 * time.Second)
	require.False(t, p.a.aqm.sharing)
	require.InDelta(t, 50e6, p.a.r, 2e6)
}

// In competition a mark is a loss, and answered in full.
func TestMarkCompeting(t *testing.T) {
	k := compete{on: true, cubic: cubic{window: 100, most: 100, reno: 100}}
	s := Sample{Now: time.Second, Sent: time.Second, Marked: 1, Acked: 1500, Smooth: 100 * ms}
	k.learn(&s, time.Second, 100*ms, 1500)
	require.InDelta(t, 100*cubicBeta, k.window, 0.1)
	s.Now, s.Sent, s.Marked = s.Now+50*ms, s.Sent-50*ms, 2
	k.learn(&s, time.Second, 100*ms, 1500)
	require.GreaterOrEqual(t, k.window, 70.0, "what was sent before belongs to the last cut")
}

// A CUBIC comes back to where it was in the time that RFC 9438 has for what it lost.
func TestCubicTurn(t *testing.T) {
	var c cubic
	c.begin(0, 500)
	c.reduce(0, markBeta)
	require.Equal(t, 400.0, c.window)
	back := time.Duration(0)
	for now := 100 * ms; now < 20*time.Second && back == 0; now += 100 * ms {
		c.grow(now, c.window, 100*ms)
		if c.window >= 499 {
			back = now
		}
	}
	require.InDelta(t, 6.3, back.Seconds(), 1.5) // cbrt(100 / 0.4)
}

// Larger packets make trains of fewer, which take as long, and change neither the window nor the queue but by a packet.
func TestSetPacket(t *testing.T) {
	a := NewAdaptive(Settings{Packet: 1500, RTT: 50 * ms})
	a.OnCapacity(0, 960e6, false)
	a.compete.window, a.compete.most = 600, 1200
	require.Equal(t, 200, a.Train(0))
	own, rate := a.own(960e6), a.compete.rate(50*ms, a.set.Packet, 1)
	a.SetPacket(9000)
	require.Equal(t, 33, a.Train(0))
	require.InDelta(t, own+7500*8, a.own(960e6), 1)
	require.InDelta(t, rate, a.compete.rate(50*ms, a.set.Packet, 1), 1)
	require.InDelta(t, 200, a.compete.most, 0.01)
}

// However much is lost, enough goes out to notice when that is over.
func TestLeastRate(t *testing.T) {
	for _, c := range []struct {
		rtt  time.Duration
		want float64
	}{
		{100 * time.Microsecond, 300e3}, // a packet each 40 ms
		{50 * time.Millisecond, 120e3},  // a packet in two round trips
		{2 * time.Second, Min},
	} {
		a := NewAdaptive(Settings{Policy: Fair, Packet: 1500, RTT: c.rtt})
		a.r = Min
		require.InDelta(t, c.want, a.Rate(), 1)
		a.SetCeiling(Min)
		require.InDelta(t, Min, a.Rate(), 1, "the target")
		a = NewAdaptive(Settings{Policy: Low, Packet: 1500, RTT: c.rtt})
		a.r = Min
		require.InDelta(t, Min, a.Rate(), 1, "low")
	}
}
