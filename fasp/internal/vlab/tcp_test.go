package vlab

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tcpWorld is a link whose queue is one bandwidth-delay product, the acknowledgements' way without loss.
func tcpWorld(rate float64, rtt time.Duration, loss float64) *World {
	c := Cell{Rate: rate, RTT: rtt, Queue: rtt}
	forward := c.Impair()
	forward.Loss = loss
	return New(1, forward, c.Impair())
}

// share returns what part of the payload that the link can carry arrives from now on, for as long as told.
func share(t *testing.T, w *World, d time.Duration, goodput func() int64) float64 {
	t.Helper()
	before := goodput()
	require.NoError(t, w.Run(w.Now+d, nil))
	return float64(goodput()-before) * 8 / d.Seconds() / (w.rate * tcpPayload / tcpPacket)
}

func TestCubicAlone(t *testing.T) {
	w := tcpWorld(50e6, 40*time.Millisecond, 0)
	c := w.AddTCP(Cubic, TCPOptions{})
	require.NoError(t, w.Run(w.Now+5*time.Second, nil))
	least, most, cuts, last := math.Inf(1), 0.0, 0, 0.0
	w.Every(w.Now, 10*time.Millisecond, func() {
		v := c.Window()
		if v < 0.8*last {
			cuts++
			require.InDelta(t, cubicBeta, v/last, 0.03, "a loss takes the window to 0.7 of what it was")
		}
		least, most, last = min(least, v), max(most, v), v
	})
	require.GreaterOrEqual(t, share(t, w, 30*time.Second, c.Goodput), 0.95)
	bdp := 50e6 * 0.040 / 8 / tcpPacket
	require.InDelta(t, 2*bdp, most, 0.15*bdp, "the top of the sawtooth is link and queue full")
	require.InDelta(t, 2*bdp*cubicBeta, least, 0.15*bdp, "and its foot 0.7 of that")
	require.Greater(t, cuts, 2)
	require.Less(t, cuts, 30)
	require.Zero(t, c.Timeouts)
}

// Slow start of a plain CUBIC overshoots a deep queue by half; HyStart++ sees it fill. A queue that one round of slow start
// fills would be too quick for both.
func TestHyStart(t *testing.T) {
	lost := func(o TCPOptions) uint64 {
		c := Cell{Rate: 50e6, RTT: 40 * time.Millisecond, Queue: 400 * time.Millisecond}
		w := New(1, c.Impair(), c.Impair())
		s := w.AddTCP(Cubic, o)
		require.NoError(t, w.Run(w.Now+5*time.Second, nil))
		return s.Lost
	}
	plain, gentle := lost(TCPOptions{}), lost(TCPOptions{HyStart: true})
	t.Logf("%d and %d lost", plain, gentle)
	require.Greater(t, plain, uint64(500))
	require.Less(t, gentle, plain/4)
}

// Under random loss the window follows the response function of RFC 9438 section 5.2, or that of Reno where it is higher.
func TestCubicResponse(t *testing.T) {
	if testing.Short() {
		t.Skip("half a million packets: not in -short")
	}
	for _, c := range []struct {
		rtt  time.Duration
		loss float64
		dur  time.Duration
	}{
		{500 * time.Millisecond, 1e-3, 1000 * time.Second}, // 111 packets
		{100 * time.Millisecond, 1e-2, 300 * time.Second},  // Reno's 12 packets
	} {
		w := tcpWorld(1e9, c.rtt, c.loss)
		s := w.AddTCP(Cubic, TCPOptions{})
		require.NoError(t, w.Run(w.Now+c.dur/10, nil))
		before := s.Goodput()
		require.NoError(t, w.Run(w.Now+c.dur, nil))
		window := float64(s.Goodput()-before) / tcpPayload / c.dur.Seconds() * c.rtt.Seconds()
		cubic := math.Pow(cubicC*(3+cubicBeta)/(4*(1-cubicBeta)), 0.25) * math.Pow(c.rtt.Seconds()/c.loss, 0.75)
		known := max(cubic, math.Sqrt(1.5/c.loss))
		t.Logf("%v %g: %.1f packets, known %.1f", c.rtt, c.loss, window, known)
		require.InDelta(t, 1, window/known, 0.3)
	}
}

func TestTwoCubicsShare(t *testing.T) {
	w := tcpWorld(50e6, 40*time.Millisecond, 0)
	a := w.AddTCP(Cubic, TCPOptions{})
	require.NoError(t, w.Run(w.Now+5*time.Second, nil))
	b := w.AddTCP(Cubic, TCPOptions{})
	require.NoError(t, w.Run(w.Now+20*time.Second, nil))
	a0, b0 := a.Goodput(), b.Goodput()
	require.NoError(t, w.Run(w.Now+40*time.Second, nil))
	ra, rb := float64(a.Goodput()-a0), float64(b.Goodput()-b0)
	t.Logf("%.1f and %.1f Mbit/s", ra*8/40e6, rb*8/40e6)
	require.GreaterOrEqual(t, Jain(ra, rb), 0.9)
}

func TestBBRAlone(t *testing.T) {
	w := tcpWorld(50e6, 40*time.Millisecond, 0)
	b := w.AddTCP(BBR, TCPOptions{Seed: 1})
	require.NoError(t, w.Run(w.Now+3*time.Second, nil))
	queue := w.WatchQueue(time.Millisecond)
	require.GreaterOrEqual(t, share(t, w, 30*time.Second, b.Goodput), 0.9)
	require.Less(t, queue.Quantile(0.5), 5*time.Millisecond)
	require.Less(t, queue.Quantile(0.95), 20*time.Millisecond)
	require.Zero(t, b.Timeouts)
}

// BBR does not mind a loss of 1 %, of which CUBIC makes little; above 20 % its probing cannot find the rate again.
func TestUnderLoss(t *testing.T) {
	for _, c := range []struct {
		control     Control
		loss        float64
		least, most float64
	}{
		{BBR, 0.01, 0.85, 1},
		{Cubic, 0.01, 0, 0.3},
		{BBR, 0.3, 0, 0.1},
		{Cubic, 0.3, 0, 0.02},
	} {
		w := tcpWorld(50e6, 40*time.Millisecond, c.loss)
		s := w.AddTCP(c.control, TCPOptions{Seed: 1})
		require.NoError(t, w.Run(w.Now+10*time.Second, nil))
		got := share(t, w, 20*time.Second, s.Goodput)
		t.Logf("%v at %g %%: %.3f of the link, %d time-outs", c.control, c.loss*100, got, s.Timeouts)
		require.GreaterOrEqual(t, got, c.least, "%v at %g", c.control, c.loss)
		require.LessOrEqual(t, got, c.most, "%v at %g", c.control, c.loss)
	}
}

// A connection whose every packet is lost for a while comes back by its time-out.
func TestTimeout(t *testing.T) {
	for _, control := range []Control{Cubic, BBR} {
		w := tcpWorld(10e6, 20*time.Millisecond, 0)
		s := w.AddTCP(control, TCPOptions{})
		require.NoError(t, w.Run(w.Now+3*time.Second, nil))
		cut := Cell{Rate: 10e6, RTT: 20 * time.Millisecond, Loss: 1}
		whole := cut
		whole.Loss = 0
		w.SetForward(cut.Impair())
		require.NoError(t, w.Run(w.Now+2*time.Second, nil))
		w.SetForward(whole.Impair())
		require.NotZero(t, s.Timeouts, control)
		require.NoError(t, w.Run(w.Now+5*time.Second, nil))
		require.Greater(t, share(t, w, 5*time.Second, s.Goodput), 0.9, control)
	}
}

func TestSegmentSet(t *testing.T) {
	var s segmentSet
	for i := range uint32(200) {
		if i != 70 {
			require.True(t, s.add(i))
		}
	}
	require.False(t, s.add(3))
	require.EqualValues(t, 64, s.base)
	require.True(t, s.add(70))
	require.False(t, s.add(70))
	require.EqualValues(t, 192, s.base)
	require.EqualValues(t, 200, s.n)
}
