package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/tradewind-io/tradewind/internal/simnet"
)

// linkFlags are the properties of the link, common to all subcommands.
type linkFlags struct {
	rate, rateBack              rate
	rtt, queue, jitter          time.Duration
	loss, lossForward, lossBack probability
	lossBefore, dup             probability
	mtu                         int
	seed                        uint64

	cmd *cobra.Command // tells which flags were given
}

func addLinkFlags(cmd *cobra.Command) *linkFlags {
	f := &linkFlags{cmd: cmd}
	fs := cmd.Flags()
	fs.Var(&f.rate, "rate", "bottleneck in both directions, in bit/s of IP bytes with suffix k, M or G; 0 is none")
	fs.Var(&f.rateBack, "rate-back", "bottleneck from server to client, overrides --rate")
	fs.DurationVar(&f.rtt, "rtt", 0, "round-trip time, half of it in each direction")
	fs.Var(&f.loss, "loss", "random loss after the bottleneck in both directions, as 0.01 or 1%")
	fs.Var(&f.lossForward, "loss-forward", "loss from client to server, overrides --loss")
	fs.Var(&f.lossBack, "loss-back", "loss from server to client, overrides --loss")
	fs.Var(&f.lossBefore, "loss-before", "random loss before the bottleneck in both directions")
	fs.DurationVar(&f.queue, "queue", 100*time.Millisecond, "drop-tail queue of the bottleneck, as time at its rate")
	fs.DurationVar(&f.jitter, "jitter", 0, "extra one-way delay, uniform from 0 to this, without reordering")
	fs.Var(&f.dup, "dup", "probability that a packet arrives twice")
	fs.IntVar(&f.mtu, "mtu", 1500, "largest packet in IP bytes; larger ones vanish")
	fs.Uint64Var(&f.seed, "seed", 1, "seed of all randomness")
	return f
}

func (f *linkFlags) impairments() (forward, backward simnet.Impair) {
	forward = simnet.Impair{
		Rate:       float64(f.rate),
		Queue:      f.queue,
		Delay:      f.rtt / 2,
		Jitter:     f.jitter,
		Loss:       float64(f.loss),
		LossBefore: float64(f.lossBefore),
		DupProb:    float64(f.dup),
		MTU:        f.mtu,
	}
	if f.queue == 0 {
		forward.Queue = -1 // on the command line 0 means what it says
	}
	backward = forward
	given := f.cmd.Flags().Changed
	if given("rate-back") {
		backward.Rate = float64(f.rateBack)
	}
	if given("loss-forward") {
		forward.Loss = float64(f.lossForward)
	}
	if given("loss-back") {
		backward.Loss = float64(f.lossBack)
	}
	return forward, backward
}
