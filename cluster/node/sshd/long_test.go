package sshd

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// slow is a place where a walk takes hours, or as long as somebody waits for it.
type slow struct {
	transfer.Manager
	began, ended chan struct{}
}

func (s slow) Walk(ctx context.Context, _ string, _ transfer.WalkOptions, fn func(transfer.Info) error) error {
	close(s.began)
	defer close(s.ended)
	select {
	case <-time.After(3 * time.Hour):
		return fn(transfer.Info{Name: "f"})
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestLongCommand: what takes hours is waited for, and ends with the connection.
func TestLongCommand(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		s := slow{nil, make(chan struct{}), make(chan struct{})}
		w.wrap = func(m transfer.Manager) transfer.Manager {
			s = slow{m, make(chan struct{}), make(chan struct{})}
			return s
		}
		all := w.ask("as_ls /")
		require.Len(t, split(t, all[0].value), 1)

		c := w.joe()
		session, err := c.NewSession()
		require.NoError(t, err)
		in, err := session.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, session.Start("ascmd"))
		_, err = in.Write([]byte("as_du /\n"))
		require.NoError(t, err)
		synctest.Wait()
		<-s.began
		from := time.Now()
		require.NoError(t, c.Close())
		<-s.ended
		synctest.Wait()
		require.Equal(t, from, time.Now())
		require.Equal(t, Stats{}, w.server.Stats())
	})
}

// crowd is a folder of n files.
type crowd struct {
	transfer.Manager
	n int
}

func (c crowd) Walk(_ context.Context, _ string, _ transfer.WalkOptions, fn func(transfer.Info) error) error {
	for i := range c.n {
		if err := fn(transfer.Info{Name: fmt.Sprintf("file-with-a-usual-name-%07d.dat", i), Mode: 0o644, Size: 1 << 20, Mtime: 1, Atime: 1, Ctime: 1}); err != nil {
			return err
		}
	}
	return nil
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(b []byte) (int, error) { *c += counter(len(b)); return len(b), nil }

// BenchmarkMillion lists a folder of as many files as a listing may have.
func BenchmarkMillion(b *testing.B) {
	d, err := transfer.OpenDir(b.TempDir())
	require.NoError(b, err)
	defer d.Close()
	s := &Server{cfg: Config{TempDir: b.TempDir(), MaxEntries: 1_000_000}, spills: make(chan struct{}, maxSpills)}
	b.ReportAllocs()
	for b.Loop() {
		var n counter
		require.NoError(b, list(b.Context(), &ascmd{u: &user{s: s}, out: &n}, crowd{d, 1_000_000}, []string{"."}))
		b.SetBytes(int64(n))
	}
}
