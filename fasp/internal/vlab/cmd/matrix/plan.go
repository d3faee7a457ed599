package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/core"
	"github.com/tradewind-io/tradewind/fasp/internal/vlab"
)

// subject is what a matrix is about: a policy, or a model of TCP.
type subject struct {
	name   string
	policy core.Policy
	peer   vlab.Control
	bar    float64 // least share of the limit wanted, 0 = none
}

var subjects = []subject{
	{name: "fixed", policy: core.Fixed, bar: 0.97},
	{name: "fair", policy: core.Fair, bar: 0.95},
	{name: "high", policy: core.High, bar: 0.95},
	{name: "low", policy: core.Low},
	{name: "cubic", peer: vlab.Cubic},
	{name: "bbr", peer: vlab.BBR},
}

func subjectOf(name string) (subject, error) {
	i := slices.IndexFunc(subjects, func(s subject) bool { return s.name == name })
	if i < 0 {
		return subject{}, fmt.Errorf("-policy: there is no %q", name)
	}
	return subjects[i], nil
}

// grid is the cells of a matrix: every combination up to the rates above, where only the corners are run.
type grid struct {
	rates  []float64 // bit/s
	rtts   []int     // ms
	losses []float64 // per cent
	above  []float64 // bit/s
	// What counts as a corner: the first and the last of rates and rtts, and these losses.
	corners []float64
}

var (
	wide = grid{
		rates: []float64{1e6, 10e6, 100e6, 1e9}, above: []float64{3e9, 10e9},
		rtts:   []int{2, 10, 100, 300, 500, 1000},
		losses: []float64{0, 0.1, 1, 5, 10, 20, 30, 50}, corners: []float64{0, 1, 30, 50},
	}
	quick = grid{
		rates: []float64{1e6, 10e6, 100e6},
		rtts:  []int{10, 100, 300, 1000}, losses: []float64{0, 1, 10, 30}, corners: []float64{0, 1, 30},
	}
)

// cells returns the cells for a subject, with so many seeds at the corners and elsewhere. Above the rates of the grid one seed has to do: such a run takes a minute.
func (g grid) cells(s subject, corner, elsewhere int) []*cell {
	var cells []*cell
	add := func(rate float64, ms int, percent float64, n int) {
		c := &cell{RateMbit: rate / 1e6, RTTms: ms, LossPercent: percent}
		for i := range n {
			c.jobs = append(c.jobs, vlab.Cell{
				Rate: rate, RTT: time.Duration(ms) * time.Millisecond, Loss: percent / 100, Policy: s.policy, Peer: s.peer, Seed: uint64(i) + 1,
			})
		}
		cells = append(cells, c)
	}
	for i, rate := range append(slices.Clone(g.rates), g.above...) {
		above := i >= len(g.rates)
		for j, ms := range g.rtts {
			for _, percent := range g.losses {
				isCorner := (j == 0 || j == len(g.rtts)-1) && slices.Contains(g.corners, percent)
				switch {
				case above && isCorner:
					add(rate, ms, percent, 1)
				case !above:
					n := elsewhere
					if isCorner && (i == 0 || i == len(g.rates)-1) {
						n = corner
					}
					add(rate, ms, percent, n)
				}
			}
		}
	}
	return cells
}

// perCore is about what a core simulated when this was written, packets/s, long and short paths together; only what is announced
// before a run depends on it.
const perCore = 0.5e6

// cost returns how many packets a run sends if it fills the link.
func cost(c vlab.Cell) float64 {
	start, steady := c.Times()
	return c.Rate / 8 / 1500 * (start + steady).Seconds()
}

func packets(cells []*cell) (sum float64) {
	for _, c := range cells {
		for _, j := range c.jobs {
			sum += cost(j)
		}
	}
	return sum
}

func runs(cells []*cell) (n int) {
	for _, c := range cells {
		n += len(c.jobs)
	}
	return n
}

func expected(cells []*cell, jobs int) time.Duration {
	return time.Duration(packets(cells) / perCore / float64(jobs) * float64(time.Second))
}

// measure runs all cells, the longest first so that no core is left alone with one at the end.
func measure(ctx context.Context, cells []*cell, jobs int) error {
	type job struct {
		c *cell
		i int
	}
	var list []job
	for _, c := range cells {
		c.Runs, c.Errors = make([]measured, len(c.jobs)), make([]string, len(c.jobs))
		for i := range c.jobs {
			list = append(list, job{c, i})
		}
	}
	slices.SortStableFunc(list, func(a, b job) int { return cmp.Compare(cost(b.c.jobs[b.i]), cost(a.c.jobs[a.i])) })
	work := make(chan job)
	var wg sync.WaitGroup
	for range jobs {
		wg.Go(func() {
			for j := range work {
				r, err := j.c.jobs[j.i].Run()
				j.c.Runs[j.i] = measuredOf(r, j.c.jobs[j.i].Seed)
				if err != nil {
					j.c.Errors[j.i] = err.Error()
				}
			}
		})
	}
	for _, j := range list {
		select {
		case work <- j:
		case <-ctx.Done():
		}
	}
	close(work)
	wg.Wait()
	for _, c := range cells {
		c.summarise()
	}
	return ctx.Err()
}
