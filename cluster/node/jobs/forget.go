package jobs

import (
	"context"
)

// Forget ends the jobs of a key and removes its history: transfers, sessions, files, events and usage. It is for keys that are gone: a key of the same id that is made later is another one, and must
// not see what this one did.
func (m *Manager) Forget(ctx context.Context, key string) error {
	m.mu.Lock()
	var mine []*run
	for _, r := range m.running {
		if r.key == key {
			mine = append(mine, r)
		}
	}
	m.mu.Unlock()
	for _, r := range mine {
		r.cancel(errCanceled)
	}
	for _, r := range mine {
		select {
		case <-r.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	_, err := m.cfg.State.Forget(ctx, key)
	return err
}
