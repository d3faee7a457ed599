package vlab

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/core"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

// beside runs a session and a TCP on 50 Mbit/s, the one that comes later 5 s after the other, and returns what they got from 25 to 65 s, bit/s.
func beside(t *testing.T, kind Control, policy core.Policy, rtt, queue time.Duration, tcpFirst bool) (ours, theirs float64) {
	t.Helper()
	link := simnet.Impair{Rate: 50e6, Delay: rtt / 2, Queue: queue}
	w := New(1, link, link)
	var tcp *TCP
	var s *Session
	start := []func(){
		func() { s = w.AddSession(Options{Seed: 1, Rates: core.Rates{Policy: policy}}) },
		func() { tcp = w.AddTCP(kind, TCPOptions{Seed: 1, HyStart: true}) },
	}
	first := 0
	if tcpFirst {
		first = 1
	}
	start[first]()
	w.At(w.Now+5*time.Second, start[1-first])
	require.NoError(t, w.Run(w.Now+25*time.Second, nil))
	a, b := s.Goodput(), tcp.Goodput()
	require.NoError(t, w.Run(w.Now+40*time.Second, nil))
	return float64(s.Goodput()-a) * 8 / 40, float64(tcp.Goodput()-b) * 8 / 40
}

// Beside one TCP a fair session has half to twice of its half, whoever came first, and low leaves the link to the TCP. Where the queue is no
// longer than the round trip BBR, which does not answer loss, leaves less to whoever does (docs/decisions/0006-rate-law.md).
func TestBesideTCP(t *testing.T) {
	for _, c := range []struct {
		kind       Control
		rtt, queue time.Duration
		least      float64
	}{
		{Cubic, 10 * ms, 20 * ms, 0.25},
		{Cubic, 20 * ms, 50 * ms, 0.25},
		{Cubic, 20 * ms, 250 * ms, 0.25},
		{Cubic, 100 * ms, 100 * ms, 0.25},
		{Cubic, 100 * ms, 250 * ms, 0.25},
		{Cubic, 200 * ms, 100 * ms, 0.25},
		{BBR, 20 * ms, 100 * ms, 0.25},
		{BBR, 50 * ms, 50 * ms, 0.25},
		{BBR, 100 * ms, 250 * ms, 0.25},
		{BBR, 100 * ms, 100 * ms, 0.15},
	} {
		for _, tcpFirst := range []bool{false, true} {
			t.Run(fmt.Sprintf("fair/%v %v %v %v", c.kind, c.rtt, c.queue, tcpFirst), func(t *testing.T) {
				t.Parallel()
				ours, theirs := beside(t, c.kind, core.Fair, c.rtt, c.queue, tcpFirst)
				t.Logf("%.3g beside %.3g", ours, theirs)
				require.GreaterOrEqual(t, ours, c.least*(ours+theirs))
				require.GreaterOrEqual(t, theirs, 0.25*(ours+theirs))
				require.GreaterOrEqual(t, ours+theirs, 0.9*50e6*0.96)
			})
		}
		if c.kind == Cubic && c.rtt > 10*ms {
			t.Run(fmt.Sprintf("low/%v %v %v", c.kind, c.rtt, c.queue), func(t *testing.T) {
				t.Parallel()
				ours, theirs := beside(t, c.kind, core.Low, c.rtt, c.queue, true)
				t.Logf("%.3g beside %.3g", ours, theirs)
				require.LessOrEqual(t, ours, 0.05*(ours+theirs))
			})
		}
	}
}
