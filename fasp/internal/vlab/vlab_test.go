package vlab

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/core"
)

// The same seed gives the same run, to the last packet.
func TestRunsRepeat(t *testing.T) {
	c := Cell{Rate: 10e6, RTT: 50 * time.Millisecond, Loss: 0.05, Policy: core.Fair, Seed: 7}
	a, err := c.Run()
	require.NoError(t, err)
	b, err := c.Run()
	require.NoError(t, err)
	require.Equal(t, a, b)
	c.Seed++
	d, err := c.Run()
	require.NoError(t, err)
	require.NotEqual(t, a, d)
}

// A session of its own delay on a shared bottleneck has that round trip, and ends when all is known to have arrived.
func TestExtraDelay(t *testing.T) {
	c := Cell{Rate: 100e6, RTT: 20 * time.Millisecond}
	w := New(1, c.Impair(), c.Impair())
	near := w.AddSession(Options{Rates: core.Rates{Policy: core.Fixed, Target: 10e6}, Size: 1 << 20})
	far := w.AddSession(Options{Rates: core.Rates{Policy: core.Fixed, Target: 10e6}, Size: 1 << 20, Extra: 80 * time.Millisecond})
	require.NoError(t, w.Run(w.Now+time.Minute, func() bool { return near.Done > 0 && far.Done > 0 }))
	require.InDelta(t, 20, near.Sender.MinRTT().Seconds()*1e3, 1)
	require.InDelta(t, 100, far.Sender.MinRTT().Seconds()*1e3, 1)
	require.EqualValues(t, 1<<20, near.Goodput())
	require.EqualValues(t, 1<<20, far.Goodput())
}

func TestJain(t *testing.T) {
	require.InDelta(t, 1, Jain(3, 3, 3), 1e-9)
	require.InDelta(t, 1.0/3, Jain(1, 0, 0), 1e-9)
	require.Zero(t, Jain())
}
