package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/internal/testlog"
	"github.com/tradewind-io/tradewind/internal/testservers"
)

// TestDiskFullUnderJobs: the disk of the state is full while a job runs and others wait. What was taken is kept, what cannot be is refused, nothing is said to have ended that could not be written
// down, the log stays short, and all goes on when there is room.
func TestDiskFullUnderJobs(t *testing.T) {
	const files = 1500
	b := newBenchWith(t, func(dir string) { testservers.Tmpfs(t, dir, "size=8m") }, nil)
	b.stop()
	dir := filepath.Join(b.dir, "state")
	var log testlog.Buffer
	b.cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	b.start()
	for i := range files {
		b.write(filepath.Join("local/anna/many", fmt.Sprint(i)), 10)
	}
	b.write("local/anna/f", 1000)
	full := make(chan struct{})
	b.dial = func(ctx context.Context, _ Remote) error {
		select {
		case <-full:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	first := b.create(map[string]any{"paths": []any{map[string]any{"source": "many"}}})
	b.until(first.ID, is(api.Running))
	ids := []string{first.ID}
	for i := range 8 { // of which four run, too
		ids = append(ids, b.create(map[string]any{"destination_root": fmt.Sprint("/early", i, "/")}).ID)
	}

	// What SQLite has room for in files that it has is still taken.
	filler, err := os.Create(filepath.Join(dir, "filler"))
	require.NoError(t, err)
	for chunk := 64 << 10; chunk > 0; {
		if _, err := filler.Write(make([]byte, chunk)); err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			chunk /= 2
		}
	}
	require.NoError(t, filler.Close())
	large := func() []byte {
		return spec(map[string]any{"destination_root": fmt.Sprint("/in", len(ids), "/"), "tags": map[string]any{"a": strings.Repeat("x", 16_000)}})
	}
	ask := func(pattern, body, id string) error {
		r := httptest.NewRequest(http.MethodPost, "/ops/transfers", strings.NewReader(body))
		r.SetPathValue("id", id)
		return b.m.Routes()[pattern](httptest.NewRecorder(), r, anna)
	}
	var refused *api.Error
	for {
		x, err := b.m.Create(t.Context(), anna, large())
		if err != nil {
			require.ErrorAs(t, ask("POST /ops/transfers", string(large()), ""), &refused)
			require.Equal(t, http.StatusInsufficientStorage, refused.Code)
			break
		}
		ids = append(ids, x.ID)
		require.Less(t, len(ids), maxWaiting, "the disk does not get full")
	}
	close(full)

	// The files arrive, and the job cannot be said to be done.
	count := func() int {
		list, err := os.ReadDir(filepath.Join(b.remote, "in/many"))
		if errors.Is(err, os.ErrNotExist) {
			return 0
		}
		require.NoError(t, err)
		n := 0
		for _, e := range list {
			if !strings.HasSuffix(e.Name(), ".tw-part") {
				n++
			}
		}
		return n
	}
	deadline := time.Now().Add(time.Minute)
	for count() < files {
		require.True(t, time.Now().Before(deadline), "%d files", count())
		time.Sleep(5 * time.Millisecond)
	}
	said := func(what string) bool { return strings.Contains(log.String(), what) }
	for !said(badEnd) || !said(badRecord) {
		require.True(t, time.Now().Before(deadline), "nothing goes wrong")
		time.Sleep(5 * time.Millisecond)
	}
	got, err := b.m.Get(t.Context(), anna, first.ID, 0)
	require.NoError(t, err)
	require.Equal(t, api.Running, got.Status)
	list, _, err := b.m.List(t.Context(), anna, Filter{Count: 1000})
	require.NoError(t, err)
	require.Len(t, list, len(ids))
	for _, x := range list {
		require.Contains(t, []api.TransferStatus{api.Running, api.Waiting}, x.Status)
	}
	last := ids[len(ids)-1]
	if b.m.runOf(last) == nil {
		require.ErrorAs(t, ask("CANCEL /ops/transfers/{id}", "", last), &refused)
		require.Equal(t, http.StatusInsufficientStorage, refused.Code)
	}
	t.Logf("%d jobs wait, %d complaints", len(ids)-1, len(log.Lines()))
	require.LessOrEqual(t, len(log.Lines()), 10, "%s", log.String())

	require.NoError(t, os.Remove(filepath.Join(dir, "filler")))
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"))
	var sum int64
	for _, id := range ids {
		got = b.until(id, func(x api.Transfer) bool {
			return x.Status == api.Completed && len(x.Sessions) > 0 && x.Sessions[0].Status == "completed"
		})
		require.Equal(t, 1, got.Attempts)
		require.Len(t, got.Sessions, 1)
		sum += got.Sessions[0].BytesTransferred
	}
	got, err = b.m.Get(t.Context(), anna, first.ID, 1000)
	require.NoError(t, err)
	require.EqualValues(t, files, got.FilesCompleted)
	require.Len(t, got.Files, 1000)
	require.EqualValues(t, 10*files+1000*(len(ids)-1), sum)
	u, err := b.m.usage(t.Context(), "anna", "")
	require.NoError(t, err)
	require.Equal(t, sum, u.BytesOut)
	require.LessOrEqual(t, len(log.Lines()), 12, "%s", log.String())
}
