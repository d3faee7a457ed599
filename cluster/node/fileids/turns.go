package fileids

import (
	"context"
	"slices"
	"strings"
	"sync"
)

// turns let those who change files and their ids at a path be alone there, and with what is above and below it: nobody must look between the change of the one and that of the other.
// The zero turns are ready.
type turns struct {
	mu   sync.Mutex // guards held
	held []*turn
}

// turn is somebody at work.
type turn struct {
	place string
	names []string // of a Store
	over  chan struct{}
}

// alone runs fn while nobody else is at these names of a place. Who waits gets no turn before others who wait. It fails only with what ended ctx, or with fn's error. fn must not take a turn.
func (t *turns) alone(ctx context.Context, place string, names []string, fn func() error) error {
	mine := &turn{place, names, make(chan struct{})}
	for {
		other := t.take(mine)
		if other == nil {
			defer t.release(mine)
			return fn()
		}
		select {
		case <-other.over:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// take returns who is in the way, nil if nobody is and the turn is begun.
func (t *turns) take(mine *turn) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, other := range t.held {
		if other.place == mine.place && slices.ContainsFunc(other.names, func(a string) bool {
			return slices.ContainsFunc(mine.names, func(b string) bool { return overlap(a, b) })
		}) {
			return other
		}
	}
	t.held = append(t.held, mine)
	return nil
}

func (t *turns) release(mine *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = slices.DeleteFunc(t.held, func(x *turn) bool { return x == mine })
	close(mine.over)
}

// overlap says whether two names are the same, or one is a folder that the other is in.
func overlap(a, b string) bool {
	return a == b || a == "." || b == "." || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}
