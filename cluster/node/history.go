package node

import (
	"context"
	"time"

	"github.com/tradewind-io/tradewind/cluster/state"
)

const (
	defaultHistory = 90 * 24 * time.Hour
	historyEvery   = time.Hour
	clockStep      = time.Hour // by which the clock may be ahead of itself before that counts as a step
)

// history says from time to time what is old enough to be forgotten. It is a value that is given the time.
type history struct {
	keep time.Duration

	wall    time.Time     // of the last look
	running time.Duration // since something that does not step, at that time
}

// look returns the time before which nothing is kept any more, now being wall by the clock and running by one that is not set. ok is false if the clock has been put forward since the last look: it may be wrong, and
// is often put right within an hour.
func (h *history) look(wall time.Time, running time.Duration) (before time.Time, ok bool) {
	ok = h.wall.IsZero() || wall.Sub(h.wall) < running-h.running+clockStep
	h.wall, h.running = wall, running
	return wall.Add(-h.keep), ok
}

// forgetHistory removes what is old until ctx ends.
func (n *Node) forgetHistory(ctx context.Context, s *state.Store) {
	if n.cfg.History < 0 {
		return
	}
	h, began := history{keep: n.cfg.History}, time.Now()
	t := time.NewTicker(historyEvery)
	defer t.Stop()
	for {
		now := time.Now()
		n.forgetBefore(ctx, s, &h, now.Round(0), now.Sub(began))
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) forgetBefore(ctx context.Context, s *state.Store, h *history, wall time.Time, running time.Duration) {
	before, ok := h.look(wall, running)
	if !ok {
		n.cfg.Logger.Warn("the clock was put forward; history is not forgotten before the next hour", "now", wall)
		return
	}
	p, err := s.Prune(ctx, before, state.HistoryJobs, state.HistorySessions, state.HistoryEvents)
	switch {
	case err != nil && ctx.Err() == nil:
		n.cfg.Logger.Error("old history was not forgotten", "before", before, "error", err)
	case p != state.Pruned{}:
		n.cfg.Logger.Info("old history is forgotten", "before", before, "transfers", p.Jobs, "sessions", p.Sessions, "files", p.Files, "events", p.Events)
	}
}
