package jobs

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
)

// Forget ends the jobs of a key and removes its history: transfers, sessions, files, events, usage and how fast they were. It is for keys that are gone: a key of the same id that is made later is another one, and must
// not see what this one did.
func (m *Manager) Forget(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, forgetTimeout) // whoever changes keys waits for it
	defer cancel()
	if err := m.end(ctx, key, errCanceled); err != nil {
		return err
	}
	_, err := m.cfg.State.Forget(ctx, key)
	m.paces.forget(key)
	return err
}

const forgetTimeout = 20 * time.Second

// Disable ends the jobs of a key that run; they fail. Those that wait fail when they are at their turn.
func (m *Manager) Disable(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, forgetTimeout)
	defer cancel()
	return m.end(ctx, key, errDisabled)
}

// Review has the jobs begin again, by what their keys allow now, whose grant does not hold any more, which over says. It does not wait for them.
func (m *Manager) Review(over func(accesskey.Grant) bool) {
	m.mu.Lock()
	running := slices.Collect(maps.Values(m.running))
	m.mu.Unlock()
	for _, r := range running {
		r.mu.Lock()
		g := r.grant
		r.mu.Unlock()
		if g != nil && !g.Master && over(*g) {
			r.cancel(errChanged)
		}
	}
}

// end ends the jobs of a key that run, and waits until that is written down.
func (m *Manager) end(ctx context.Context, key string, why error) error {
	m.mu.Lock()
	var mine []*run
	for _, r := range m.running {
		if r.key == key {
			mine = append(mine, r)
		}
	}
	m.mu.Unlock()
	for _, r := range mine {
		r.cancel(why)
	}
	for _, r := range mine {
		select {
		case <-r.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
