package transfer

import (
	"context"
	"fmt"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"
)

// bushStore is a tree of folders only: fan in each, down to a depth.
type bushStore struct {
	Store
	fan, depth int
}

func (s bushStore) Stat(context.Context, string, bool) (Info, error) {
	return Info{Mode: fs.ModeDir | 0o755}, nil
}

func (s bushStore) ReadDir(_ context.Context, name string, fn func(Info) error) error {
	depth := 0
	for _, c := range name {
		if c == '/' {
			depth++
		}
	}
	for i := range s.fan {
		if depth == s.depth {
			return nil
		}
		if err := fn(Info{Name: fmt.Sprint("d", i), Mode: fs.ModeDir | 0o755}); err != nil {
			return err
		}
	}
	return nil
}

// TestWalkHoldsFewFolders walks 11,111 folders: those that wait are bounded by the way down, not by how many there are.
func TestWalkHoldsFewFolders(t *testing.T) {
	const fan, depth = 10, 4
	most, seen := 0, 0
	w := &walker{store: bushStore{fan: fan, depth: depth}}
	ch := make(chan int)
	w.emit = func(ctx context.Context, f found) error {
		select {
		case ch <- w.dirs.len():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	done := make(chan error, 1)
	go func() {
		done <- w.run(t.Context(), []source{{Source: "top"}}, []string{"top"})
		close(ch)
	}()
	for n := range ch {
		seen++
		most = max(most, n)
	}
	require.NoError(t, <-done)
	require.Equal(t, 11111, seen)
	require.LessOrEqual(t, most, walkWorkers*fan*(depth+1), "breadth first would hold up to 10,000")
}
