package jobs

import (
	"context"
	"math"

	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/state"
)

// Counts is how many jobs are not over.
type Counts struct{ Running, Waiting, Paused int }

// Counts counts them. Errors are those of the state store.
func (m *Manager) Counts(ctx context.Context) (c Counts, err error) {
	m.mu.Lock()
	c.Running = len(m.running)
	m.mu.Unlock()
	for status, to := range map[api.TransferStatus]*int{api.Waiting: &c.Waiting, api.Paused: &c.Paused} {
		if *to, err = m.cfg.State.CountJobs(ctx, state.JobFilter{Status: string(status)}, math.MaxInt32); err != nil {
			return c, err
		}
	}
	return c, nil
}
