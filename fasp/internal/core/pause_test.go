package core

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/simnet"
)

// arrival is a packet that waits for an end which does not run.
type arrival struct {
	p  simPacket
	at time.Duration
}

// pausing is an end whose process gets no processor now and then: packets wait for it, as many as the socket has room for, and timers are late.
type pausing struct {
	*end
	rng          *rand.Rand
	run, rest    time.Duration // how long it runs and pauses, at most; 0 = it runs
	begin, until time.Duration // of the next pause, or of this one
	waiting      []arrival
}

// socketRoom is how many packets wait for a process.
const socketRoom = 7 << 20 / 1500

// awake returns when it runs, at t or later.
func (p *pausing) awake(t time.Duration) time.Duration {
	for p.rest > 0 && t >= p.until {
		p.begin = p.until + time.Duration(p.rng.Int64N(int64(p.run)))
		p.until = p.begin + time.Duration(p.rng.Int64N(int64(p.rest)))
	}
	if p.rest > 0 && t >= p.begin {
		return p.until
	}
	return t
}

func (p *pausing) take(now time.Duration, l *simnet.Link[simPacket]) {
	for {
		q, ok := l.Recv(now)
		if !ok {
			return
		}
		if len(p.waiting) < socketRoom {
			p.waiting = append(p.waiting, arrival{q, now})
		}
	}
}

// pausedRun is sim.run of ends that pause.
func (s *sim) pausedRun(until time.Duration, ends [2]*pausing) error {
	s.pump(s.a)
	s.pump(s.b)
	for s.now < until {
		next := time.Duration(never)
		for _, p := range ends {
			at := p.at
			if len(p.waiting) > 0 {
				at = s.now
			}
			next = min(next, p.awake(max(at, s.now)))
			if t, ok := p.link.Next(); ok {
				next = min(next, t)
			}
		}
		s.now = max(s.now, next)
		ends[1].take(s.now, ends[0].link)
		ends[0].take(s.now, ends[1].link)
		for _, p := range ends {
			if p.awake(s.now) != s.now || len(p.waiting) == 0 && s.now < p.at {
				continue
			}
			for i := range p.waiting {
				p.Arrived(p.waiting[i].at)
				s.deliver(p.end, &p.waiting[i].p)
			}
			p.waiting = p.waiting[:0]
			s.pump(p.end)
			if p.err != nil {
				return p.err
			}
		}
	}
	return nil
}

// Sessions of hosts that have little time for them, at either end or at both, move about as much as that time allows, in every stretch of four seconds. What a sender did not
// send because it did not run was taken for what the path takes: each pause lowered the rate, and nothing raised it again.
func TestPauses(t *testing.T) {
	long(t)
	type hosts struct{ run, rest time.Duration }
	for _, h := range []hosts{{5 * ms, 50 * ms}, {20 * ms, 200 * ms}} {
		for _, who := range []string{"sender", "both"} {
			for _, k := range []struct {
				rate, loss float64
				delay      time.Duration
				back       bool // data goes both ways
			}{
				{1e9, 0, 20 * time.Microsecond, false},
				{1e9, 0, 20 * time.Microsecond, true},
				{300e6, 0.1, 20 * time.Microsecond, false},
				{300e6, 0.3, 20 * time.Microsecond, false},
				{20e6, 0, ms, false},
				{300e6, 0, 10 * ms, true},
			} {
				for seed := range uint64(2) {
					if testing.Short() && (k.rate == 1e9 || seed > 0) {
						continue
					}
					name := fmt.Sprintf("%s pauses up to %v, %g Mbit/s, loss %g, %v, both ways %v, seed %d", who, h.rest, k.rate/1e6, k.loss, k.delay, k.back, seed)
					link := simnet.Impair{Rate: k.rate, Delay: k.delay, Queue: 100 * ms, Loss: k.loss}
					s := newSim(seed, Config{MaxLag: 10 * ms}, link, link)
					s.a.left = -1
					if k.back {
						s.b.left = -1
					}
					ends := [2]*pausing{{end: s.a}, {end: s.b}}
					for i, p := range ends {
						p.rng, p.until = rand.New(rand.NewPCG(seed, uint64(i))), s.now
						if i == 0 || who == "both" {
							p.run, p.rest = h.run, h.rest
						}
					}
					// It runs for half of run at a time, makes up for 10 ms more, and pauses for half of rest.
					share := (h.run.Seconds()/2 + 0.01) / (h.run + h.rest).Seconds() * 2
					require.NoError(t, s.pausedRun(s.now+2*time.Second, ends), name)
					for range 2 {
						before := s.b.arrived
						require.NoError(t, s.pausedRun(s.now+4*time.Second, ends), name)
						got := float64(s.b.arrived-before) * 8 / 4
						require.Greater(t, got, 0.3*share*k.rate*(1-k.loss), name)
					}
				}
			}
		}
	}
}

// What a driver misses that comes too late is known; one that is at work all the time misses nothing, whatever the rate.
func TestPacerMisses(t *testing.T) {
	const air = ms
	p := pacer{next: time.Second, maxLag: 10 * ms}
	now := time.Second
	turn := func() {
		for p.ready(now, air) {
			p.sent(now, air)
		}
	}
	turn()
	for range 10 {
		now = p.at(air)
		turn()
	}
	require.Zero(t, p.missed, "it came when it should")
	now = p.next + 9*ms
	turn()
	require.Zero(t, p.missed, "made up for")
	now = p.next + 60*ms
	turn()
	require.Equal(t, 50*ms, p.missed)
	now = p.next + 60*ms
	p.sent(now, air) // a report goes first
	turn()
	require.Equal(t, 100*ms, p.missed)

	busy := pacer{next: time.Second, maxLag: 10 * ms}
	for now = time.Second; now < 2*time.Second; now += ms { // packets of 10 us, of which it manages one each millisecond
		require.True(t, busy.ready(now, ms/100))
		busy.sent(now, ms/100)
	}
	require.Zero(t, busy.missed)
}

// What was missed before a packet was sent is found again while reports about it may come.
func TestMisses(t *testing.T) {
	var m misses
	total := time.Duration(0)
	for i := range 200 {
		at := time.Duration(i) * ms
		if i%2 == 1 {
			total += ms
		}
		m.note(at, total)
	}
	for i := 80; i < 200; i++ {
		require.Equal(t, time.Duration((i+1)/2)*ms, m.upTo(time.Duration(i)*ms))
	}
	require.Equal(t, m.upTo(72*ms), m.upTo(10*ms), "too long ago")
}
