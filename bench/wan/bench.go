package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tradewind-io/tradewind/internal/lab"
	"github.com/tradewind-io/tradewind/internal/wanlink"
)

// bench is what all cells have in common.
type bench struct {
	options
	lab    lab.Lab
	source string // tree to send
	bytes  int64  // in it
}

// tooLate is the share of packets handled late above which a result says as much of the emulator as of the transfer.
const tooLate = 0.02

// measure runs a cell in one mode. Node and link are new for it, so that each mode meets the same losses as far as real time allows;
// the destination is new for each run.
func (b *bench) measure(ctx context.Context, c cell, m mode, rate float64) (r result, err error) {
	docroot := filepath.Join(b.lab.Dir, "docroot")
	if err := os.Mkdir(docroot, 0o755); err != nil {
		return r, err
	}
	defer os.RemoveAll(docroot)
	from := b.source
	if b.download {
		from = filepath.Join(docroot, "source")
		if err := os.Rename(b.source, from); err != nil {
			return r, err
		}
		defer os.Rename(from, b.source)
	}
	open := openTun
	if b.relay {
		open = openRelay
	}
	k := c.link(rate)
	s, err := open(ctx, b.lab, k, docroot)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.close()) }()

	if err := b.forget(); err != nil {
		return r, err
	}
	if m.warm {
		if _, err := b.once(ctx, s, k, m, docroot, from); err != nil {
			return r, err
		}
	}
	for i := range b.runs {
		best := len(r.Runs)
		for range b.tries {
			if !m.warm {
				if err := b.forget(); err != nil {
					return r, err
				}
			}
			v, err := b.once(ctx, s, k, m, docroot, from)
			if err != nil {
				return r, err
			}
			if b.verbose {
				fmt.Printf("  run %d: %.3f s, bound %.3f s, CPU %.2f s, %.1f MB, loss %.4f, %.1f %% late, CPU of the link %.2f s\n",
					i+1, v.Seconds, v.Bound, v.ClientCPU, float64(v.ClientRSS)/1e6, v.Loss, v.Late*100, v.LinkCPU)
			}
			r.Runs = append(r.Runs, v)
			if last := len(r.Runs) - 1; v.Late < r.Runs[best].Late {
				best = last
			}
			if v.Late <= tooLate {
				break
			}
		}
		r.Runs[best].Counts = true
	}
	u, err := s.node.Stop()
	if err != nil {
		return r, fmt.Errorf("stop the node: %w", err)
	}
	all := len(r.Runs)
	if m.warm {
		all++ // the node served the first one, too
	}
	r.Mode, r.RTTms, r.LossPercent = m.String(), c.rtt, c.loss
	r.ServerRSS, r.ServerCPU = u.MaxRSS, u.CPU.Seconds()/float64(all)
	r.summarise(b.bytes)
	if !b.download && b.small == 0 {
		r.judge(m)
	}
	return r, nil
}

// forget makes twcp forget the path: what it was seen to take, and the tickets of nodes.
func (b *bench) forget() error {
	state := filepath.Join(b.lab.Dir, "client-state", "tradewind")
	return errors.Join(os.RemoveAll(filepath.Join(state, "paths.json")), os.RemoveAll(filepath.Join(state, "tickets.json")))
}

// once sends the tree once and compares what arrived.
func (b *bench) once(ctx context.Context, s *site, k lab.Link, m mode, docroot, from string) (v oneRun, err error) {
	args := []string{"-d", "-q", "--policy", m.policy}
	if m.policy == "fixed" {
		args = append(args, "-l", b.rate)
	}
	base := filepath.Join(docroot, "in")
	if b.download {
		base = filepath.Join(b.lab.Dir, "in")
		args = append(args, "NODE:/source", base)
	} else {
		args = append(args, from, "NODE:/in")
	}
	cmd, err := b.lab.Copy(ctx, s.node, s.addr, args...)
	if err != nil {
		return v, err
	}
	cmd.Stdout = os.Stdout
	before := s.link.Stats()
	u, err := lab.RunBy(cmd, s.start)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return v, err
	}
	time.Sleep(2 * k.RTT) // the client's goodbye is still on its way
	after := s.link.Stats()
	if _, err := lab.Compare(from, filepath.Join(base, "source")); err != nil {
		return v, fmt.Errorf("what arrived differs: %w", err)
	}
	v = oneRun{Seconds: u.Wall.Seconds(), ClientRSS: u.MaxRSS, ClientCPU: u.CPU.Seconds(), LinkCPU: (after.CPU - before.CPU).Seconds()}
	data := func(s wanlink.Stats) wanlink.DirectionStats { return s.Forward }
	if b.download {
		data = func(s wanlink.Stats) wanlink.DirectionStats { return s.Backward }
	}
	lost := func(d wanlink.DirectionStats) int64 { return d.LostRandom + d.LostBurst }
	v.Loss = float64(lost(data(after))-lost(data(before))) / float64(max(1, data(after).Forwarded-data(before).Forwarded))
	v.Overruns = after.Overruns() - before.Overruns()
	v.Late = float64(v.Overruns) / float64(max(1, after.Forward.Sent+after.Backward.Sent-before.Forward.Sent-before.Backward.Sent))
	v.Bound = lab.Bound(b.bytes, k.Rate, k.RTT, v.Loss).Seconds()
	return v, os.RemoveAll(base)
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
