package vlab

import (
	"fmt"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/core"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

// Cell is a link of the matrix, with one session on it.
type Cell struct {
	Rate   float64 // of the bottleneck, bit/s of IP bytes
	RTT    time.Duration
	Loss   float64       // random, after the bottleneck, in each direction
	Queue  time.Duration // of the bottleneck, 0 = 100 ms
	Policy core.Policy
	Seed   uint64
}

func (c Cell) String() string {
	return fmt.Sprintf("%gM %v %g%%", c.Rate/1e6, c.RTT, c.Loss*100)
}

// Impair returns the link, the same in both directions.
func (c Cell) Impair() simnet.Impair {
	return simnet.Impair{Rate: c.Rate, Queue: c.Queue, Delay: c.RTT / 2, Loss: c.Loss}
}

// Result is what a session did in a Cell.
type Result struct {
	Steady  float64 // goodput over the limit that the loss of the run allows
	Excess  float64 // packets that brought nothing new, over those that did
	Reverse float64 // bytes backward over bytes forward
	Ramp    float64 // round trips from the first new byte until 0.9 of the steady goodput is reached
	Queue95 time.Duration
	Peak    time.Duration // highest queue of the start
	Packets uint64
}

// Run measures a Cell for at least max(10 s, 30 RTT) after the start.
func (c Cell) Run() (Result, error) {
	w := New(c.Seed, c.Impair(), c.Impair())
	rates := core.Rates{Policy: c.Policy}
	if c.Policy == core.Fixed {
		rates.Target = int64(c.Rate)
	}
	s := w.AddSession(Options{Rates: rates, Seed: c.Seed})
	series := w.Watch(max(c.RTT/8, 4*time.Millisecond, time.Duration(24*1500*8e9/c.Rate)), s.Goodput)
	tick := max(time.Millisecond, c.RTT/100)
	start := w.WatchQueue(tick)
	settle := w.Now + max(2*time.Second, 12*c.RTT)
	if err := w.Run(settle, nil); err != nil {
		return Result{}, err
	}
	r := Result{Peak: start.Quantile(1)}
	first := s.Receiver.FirstData - s.Started
	b0, l0, a0, t0 := s.Receiver.Stats, w.Forward.Stats(), s.Sender.Stats, w.Now
	queue := w.WatchQueue(tick)
	if err := w.Run(t0+max(10*time.Second, 30*c.RTT), nil); err != nil {
		return Result{}, err
	}
	b1, l1, a1 := s.Receiver.Stats, w.Forward.Stats(), s.Sender.Stats
	secs := (w.Now - t0).Seconds()
	arrived := float64(l1.Delivered-l0.Delivered) / float64(l1.Sent-l0.Sent-(l1.LostQueue-l0.LostQueue))
	limit := c.Rate * 1440 / 1500 * arrived
	goodput := float64(b1.SymbolBytes-b0.SymbolBytes) * 8 / secs
	r.Steady = goodput / limit
	r.Excess = float64(a1.Tail+a1.Stragglers+a1.Spurious-a0.Tail-a0.Stragglers-a0.Spurious) / float64(b1.Symbols-b0.Symbols)
	r.Reverse = float64(b1.BytesOut-b0.BytesOut) / float64(a1.BytesOut-a0.BytesOut)
	r.Queue95 = queue.Quantile(0.95)
	over := max(1, int(c.RTT/2/series.Bin))
	if at := series.Reached(0.9*goodput, over); at > 0 {
		r.Ramp = max(0, at-series.Bin-first).Seconds() / c.RTT.Seconds()
	}
	r.Packets = a1.PacketsOut
	return r, nil
}
