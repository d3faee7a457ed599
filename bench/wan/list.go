package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/internal/lab"
)

// cell is a path: its round trip in milliseconds and its loss in percent, in both directions.
type cell struct{ rtt, loss float64 }

// parseCells reads cells such as "10/0,100/1".
func parseCells(s string) ([]cell, error) {
	var cells []cell
	for name := range strings.SplitSeq(s, ",") {
		rtt, loss, ok := strings.Cut(name, "/")
		var c cell
		var err1, err2 error
		c.rtt, err1 = strconv.ParseFloat(rtt, 64)
		c.loss, err2 = strconv.ParseFloat(loss, 64)
		if !ok || err1 != nil || err2 != nil || c.rtt < 0 || c.loss < 0 || c.loss >= 100 {
			return nil, fmt.Errorf("%q is not RTT/loss", name)
		}
		cells = append(cells, c)
	}
	return cells, nil
}

func (c cell) String() string { return fmt.Sprintf("%g/%g", c.rtt, c.loss) }

// queue is that of the bottleneck.
const queue = 100 * time.Millisecond

func (c cell) link(rate float64) lab.Link {
	return lab.Link{Rate: rate, RTT: time.Duration(c.rtt * float64(time.Millisecond)), Loss: c.loss / 100, Queue: queue, Seed: 1}
}

// mode is a rate policy, on a path that the client knows (warm) or does not.
type mode struct {
	policy string
	warm   bool
}

// parseModes reads modes such as "fixed,fair-cold,fair-warm"; a policy by itself is cold.
func parseModes(s string) ([]mode, error) {
	var modes []mode
	for name := range strings.SplitSeq(s, ",") {
		policy, path, given := strings.Cut(name, "-")
		if _, err := fasp.ParsePolicy(policy); err != nil || given && path != "cold" && path != "warm" {
			return nil, fmt.Errorf("%q is not POLICY, POLICY-cold or POLICY-warm", name)
		}
		modes = append(modes, mode{policy: policy, warm: path == "warm"})
	}
	return modes, nil
}

// String names the mode. Fixed has a rate from the start, so that cold says nothing of it.
func (m mode) String() string {
	switch {
	case m.warm:
		return m.policy + "-warm"
	case m.policy == "fixed":
		return m.policy
	}
	return m.policy + "-cold"
}

// wanted returns the longest time that is good enough for one large file towards the node, 0 where nothing is asked: low leaves the
// link to others.
func (m mode) wanted(bound, rtt time.Duration) time.Duration {
	switch {
	case m.policy == "low":
		return 0
	case m.policy == "fixed" || m.warm:
		return bound + bound*6/100
	}
	return bound + rtt*5/2 + bound*3/100
}
