package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/rate"
	"github.com/tradewind-io/tradewind/fasp/internal/wire"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

// Trains measure the bottleneck, whatever rate the sender is at, also when some of their packets and reports are lost.
func TestTrainMeasures(t *testing.T) {
	for _, loss := range []float64{0, 0.1} {
		for _, speed := range []float64{2e6, 50e6, 1e9} {
			link := simnet.Impair{Rate: speed, Queue: 200 * ms, Delay: 20 * ms, Loss: loss}
			s := newSim(5, Config{Rates: Rates{Policy: Fair, Target: 1e6}, MaxLag: 10 * ms}, link, link)
			s.a.left = -1
			got := &capacities{law: s.a.law}
			s.a.law = got
			require.NoError(t, s.run(s.now+6e9, nil))
			require.NotEmpty(t, got.rates)
			for _, r := range got.rates {
				require.InDelta(t, speed, r, 0.15*speed, "loss %g", loss)
			}
		}
	}
}

// On a path that takes no time the second train, which is longer since the first was too short to measure, is wanted before any other packet is due. The
// receiver must not take the two for one: the sender would learn nothing, and its rate would not grow (docs/protocol.md section 9).
func TestTrainsStayApart(t *testing.T) {
	for _, speed := range []float64{1e9, 10e9} {
		link := simnet.Impair{Rate: speed, Queue: 100 * ms, Delay: 20 * time.Microsecond}
		for _, rtt := range []time.Duration{ms, 50 * ms} { // as the handshake measured it, on a host that was busy
			s := newSim(5, Config{Rates: Rates{Policy: Fair}, MaxLag: 10 * ms, InitialRTT: rtt}, link, link)
			s.a.left = -1
			got := &capacities{law: s.a.law}
			s.a.law = got
			require.NoError(t, s.run(s.now+time.Second/4, nil))
			require.NotEmpty(t, got.rates)
			require.Greater(t, float64(s.a.Rate()), 0.4*speed)
		}
	}
}

type law = rate.Controller

// capacities notes what trains measured.
type capacities struct {
	law
	rates []float64
}

func (c *capacities) OnCapacity(now time.Duration, r float64, again bool) {
	c.rates = append(c.rates, r)
	c.law.OnCapacity(now, r, again)
}

// What a hostile receiver says about trains that were not sent is not believed, and what is malformed ends the session.
func TestDispersionLies(t *testing.T) {
	s := newScript(t, func(c *Config) { c.Rates = Rates{Policy: Fair} })
	say := func(body []byte) error { return s.c.onDispersion(s.now, body) }
	before := s.c.Rate()
	require.NoError(t, say((&wire.Dispersion{First: 100, Span: 9, Micros: 60}).Append(nil)))
	require.Equal(t, before, s.c.Rate())
	for _, b := range [][]byte{nil, {1}, {1, 0, 5}, {1, 2, 3, 4}} {
		require.Error(t, say(b), "%x", b)
	}
}

// What a path takes is known after a session that went as fast as it could, not after one that was told to go slower.
func TestKnown(t *testing.T) {
	link := simnet.Impair{Rate: 50e6, Queue: 200 * ms, Delay: 20 * ms}
	for _, c := range []struct {
		rates  Rates
		lo, hi int64
	}{
		{Rates{Policy: Fair}, 45e6, 55e6},
		{Rates{Policy: Fair, Target: 5e6}, 0, 0},
		{Rates{Policy: Fixed, Target: 5e6}, 0, 0},
		{Rates{Policy: Fixed, Target: 100e6}, 40e6, 60e6},
	} {
		s := newSim(5, Config{Rates: c.rates, MaxLag: 10 * ms}, link, link)
		s.a.left = -1
		require.NoError(t, s.run(s.now+4*time.Second, nil))
		require.GreaterOrEqual(t, s.a.Known(), c.lo, "%+v", c.rates)
		require.LessOrEqual(t, s.a.Known(), c.hi, "%+v", c.rates)
	}
}

// A clock that is set while a train arrives must not make a time below zero of it.
func TestArrivalsDoNotGoBack(t *testing.T) {
	c := New(Config{Symbol: 1000})
	for _, at := range []time.Duration{50, 40, 60, 10} {
		c.Arrived(at)
	}
	require.Equal(t, 60*time.Nanosecond, c.arrivalOf(100))
	require.Equal(t, 20*time.Nanosecond, c.arrivalOf(20), "never later than it is looked at")
}
