package vlab

import (
	"fmt"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/core"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

// Cell is a link of the matrix, with one session on it, or one connection of TCP.
type Cell struct {
	Rate   float64 // of the bottleneck, bit/s of IP bytes
	RTT    time.Duration
	Loss   float64       // random, after the bottleneck, in each direction
	Queue  time.Duration // of the bottleneck, 0 = 100 ms
	Policy core.Policy
	Peer   Control // if set, a TCP takes the place of the session
	Seed   uint64
}

func (c Cell) String() string {
	return fmt.Sprintf("%gM %v %g%%", c.Rate/1e6, c.RTT, c.Loss*100)
}

// Impair returns the link, the same in both directions.
func (c Cell) Impair() simnet.Impair {
	return simnet.Impair{Rate: c.Rate, Queue: c.Queue, Delay: c.RTT / 2, Loss: c.Loss}
}

// Result is what a session or a TCP did in a Cell, after the start unless it says otherwise.
type Result struct {
	Goodput float64 // new bytes, bit/s
	Steady  float64 // goodput over the limit that the loss of the run allows
	Excess  float64 // packets that brought nothing new, over those that did; of a TCP only those that arrived
	Reverse float64 // bytes backward over bytes forward
	Ramp    float64 // round trips from the first new byte until 0.9 of the steady goodput is reached
	Queue95 time.Duration
	Peak    time.Duration // highest queue of the start
	Over    time.Duration // how long the queue was above a bandwidth-delay product at the start
	Packets uint64        // sent forward, the start included
}

// counts is what a cell looks at.
type counts struct {
	fresh                             int64 // bytes
	brought, vain, out, forward, back uint64
}

// flow starts what the cell measures and returns how to read its counters and when its first byte arrived.
func (c Cell) flow(w *World) (read func() counts, first func() time.Duration) {
	if c.Peer != 0 {
		t := w.AddTCP(c.Peer, TCPOptions{Seed: c.Seed, HyStart: true})
		return func() counts {
			return counts{t.Goodput(), uint64(t.segments.n), t.Duplicates, t.Sent, t.Sent * tcpPacket, t.BytesBack}
		}, func() time.Duration { return t.FirstData - t.Started }
	}
	rates := core.Rates{Policy: c.Policy}
	if c.Policy == core.Fixed {
		rates.Target = int64(c.Rate)
	}
	s := w.AddSession(Options{Rates: rates, Seed: c.Seed})
	return func() counts {
		a, b := &s.Sender.Stats, &s.Receiver.Stats
		return counts{s.Goodput(), b.Symbols, a.Tail + a.Spurious, a.PacketsOut, a.BytesOut, b.BytesOut}
	}, func() time.Duration { return s.Receiver.FirstData - s.Started }
}

// Times returns how long Run lets the start take, and how long it measures then.
func (c Cell) Times() (start, steady time.Duration) {
	return max(2*time.Second, 12*c.RTT), max(10*time.Second, 30*c.RTT)
}

// Run measures a Cell for at least max(10 s, 30 RTT) after the start.
func (c Cell) Run() (Result, error) {
	w := New(c.Seed, c.Impair(), c.Impair())
	read, first := c.flow(w)
	series := w.Watch(max(c.RTT/8, 4*time.Millisecond, time.Duration(24*1500*8e9/c.Rate)), func() int64 { return read().fresh })
	tick := max(time.Millisecond, c.RTT/100)
	start, steady := c.Times()
	early := w.WatchQueue(tick)
	if err := w.Run(w.Now+start, nil); err != nil {
		return Result{}, err
	}
	r := Result{Peak: early.Quantile(1), Over: early.Above(c.RTT, tick)}
	n0, l0, t0 := read(), w.Forward.Stats(), w.Now
	queue := w.WatchQueue(tick)
	if err := w.Run(t0+steady, nil); err != nil {
		return Result{}, err
	}
	n1, l1 := read(), w.Forward.Stats()
	r.Goodput = float64(n1.fresh-n0.fresh) * 8 / (w.Now - t0).Seconds()
	arrived := 1 - c.Loss
	if n := l1.Sent - l0.Sent - (l1.LostQueue - l0.LostQueue); n > 100 {
		arrived = float64(l1.Delivered-l0.Delivered) / float64(n)
	}
	r.Steady = r.Goodput / (c.Rate * 1440 / 1500 * arrived)
	r.Excess = float64(n1.vain-n0.vain) / float64(max(1, n1.brought-n0.brought))
	r.Reverse = float64(n1.back-n0.back) / float64(max(1, n1.forward-n0.forward))
	r.Queue95 = queue.Quantile(0.95)
	over := max(1, int(c.RTT/2/series.Bin))
	if at := series.Reached(0.9*r.Goodput, over); at > 0 && r.Goodput > 0 {
		r.Ramp = max(0, at-series.Bin-first()).Seconds() / c.RTT.Seconds()
	}
	r.Packets = n1.out
	return r, nil
}
