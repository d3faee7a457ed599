package fileids

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/internal/apibed"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// TestTurns: who is at a path keeps out those at the same, above and below, and nobody else.
func TestTurns(t *testing.T) {
	for _, c := range []struct {
		place string
		names []string
		waits bool
	}{
		{"p", []string{"a/b"}, true},
		{"p", []string{"a"}, true},
		{"p", []string{"."}, true},
		{"p", []string{"a/b/c"}, true},
		{"p", []string{"x", "a/b/c/d"}, true},
		{"p", []string{"z/y"}, true},
		{"p", []string{"a/bc"}, false},
		{"p", []string{"a/c", "zz/y"}, false},
		{"q", []string{"a/b"}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			var ts turns
			var all sync.WaitGroup
			start := time.Now()
			all.Go(func() {
				require.NoError(t, ts.alone(t.Context(), "p", []string{"a/b", "z"}, func() error { time.Sleep(time.Hour); return nil }))
			})
			synctest.Wait()
			end, fault := time.Duration(0), errors.New("fault")
			require.Equal(t, fault, ts.alone(t.Context(), c.place, c.names, func() error { end = time.Since(start); return fault }))
			require.Equal(t, c.waits, end == time.Hour, "%s %v", c.place, c.names)
			all.Wait()
			require.Empty(t, ts.held)
		})
	}
	// Who gives up waiting is out of the way.
	synctest.Test(t, func(t *testing.T) {
		var ts turns
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, ts.alone(t.Context(), "p", []string{"a"}, func() error {
			require.ErrorIs(t, ts.alone(ctx, "p", []string{"a"}, func() error { panic("not its turn") }), context.DeadlineExceeded)
			return nil
		}))
		require.Empty(t, ts.held)
	})
}

// slowRename stops a rename between the file and its id, and tells when somebody has found nothing at the old path.
type slowRename struct {
	transfer.Manager
	moved, goOn chan struct{}
	missed      chan struct{}
}

func (s slowRename) Stat(ctx context.Context, name string, follow bool) (transfer.Info, error) {
	in, err := s.Manager.Stat(ctx, name, follow)
	if name == "d/f" && err != nil {
		select {
		case s.missed <- struct{}{}:
		default:
		}
	}
	return in, err
}

func (s slowRename) Rename(ctx context.Context, old, name string, replace bool) (int64, error) {
	n, err := s.Manager.Rename(ctx, old, name, replace)
	s.moved <- struct{}{}
	<-s.goOn
	return n, err
}

type slowPlaces struct {
	apibed.Folders
	moved, goOn, missed chan struct{}
}

func (p slowPlaces) Open(ctx context.Context, g accesskey.Grant) (transfer.Manager, func(), error) {
	m, release, err := p.Folders.Open(ctx, g)
	return slowRename{m, p.moved, p.goOn, p.missed}, release, err
}

// TestLookWhileRenamed: who asks for a file in the moment that it is being renamed gets it, and its id and permissions live.
func TestLookWhileRenamed(t *testing.T) {
	b := newBed(t)
	b.stop()
	p := slowPlaces{apibed.Folders{Base: b.Base}, make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)}
	b.places = p
	b.start()
	b.File("alpha/d/f", "x")
	d, id := b.id("d"), b.id("d/f")
	b.allow("d/f", api.AccessUser, "anna", "read")
	var all sync.WaitGroup
	all.Go(func() { require.NoError(t, b.Client(b.Alpha).RenameEntry(context.Background(), d, "e")) })
	<-p.moved
	require.NoFileExists(t, filepath.Join(b.Base, "alpha/d/f"))
	all.Go(func() {
		e, err := b.Client(b.Alpha).Entry(context.Background(), id)
		require.NoError(t, err)
		require.Equal(t, "f", e.Name)
	})
	<-p.missed
	// Others are not kept waiting.
	_, err := b.Client(b.Alpha).CreateEntry(t.Context(), api.RootID, api.NewEntry{Name: "other", Type: api.EntryFolder})
	require.NoError(t, err)
	close(p.goOn)
	all.Wait()
	require.NoError(t, os.Remove(filepath.Join(b.Base, "alpha/e/f")))
	_, err = b.Client(b.Alpha).Entry(t.Context(), id)
	apibed.Code(t, 404, err)
}
