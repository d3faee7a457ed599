package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/testservers"
)

// TestModes: the files are for their owner only, whatever the umask says, and whatever modes they had.
func TestModes(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := t.TempDir()
	path := filepath.Join(dir, "state.db")
	check := func() {
		t.Helper()
		for _, end := range []string{"", "-wal", "-shm", ".lock"} {
			fi, err := os.Stat(path + end)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), fi.Mode(), path+end)
		}
	}
	s := openAt(t, path)
	must(s.CreateTenant(t.Context(), Tenant{ID: "a"}))(t)
	check()
	require.NoError(t, s.Close())
	require.NoError(t, os.Chmod(path, 0o644))
	s = openAt(t, path)
	must(s.CreateTenant(t.Context(), Tenant{ID: "b"}))(t)
	check()
}

// TestDiskFull fills a real, small file system: what has no room fails and changes nothing, all that was confirmed stays, and the store goes
// on by itself when there is room again.
func TestDiskFull(t *testing.T) {
	for _, what := range []string{"single", "batch"} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			testservers.Tmpfs(t, dir, "size=3m")
			ctx := t.Context()
			path := filepath.Join(dir, "state.db")
			s := openAt(t, path)
			must(s.CreateSession(ctx, Session{ID: "s"}))(t)
			large := strings.Repeat("x", 20_000)
			written := 0
			add := func() error {
				if what == "single" {
					_, err := s.CreateTenant(ctx, Tenant{ID: fmt.Sprint(written), Doc: doc("%q", large)})
					return err
				}
				return s.Update(ctx, func(tx *Tx) error {
					fs := make([]File, 20)
					for i := range fs {
						fs[i] = File{Session: "s", Path: large[:2000], Code: int64(written)}
					}
					if err := tx.AddFiles(ctx, fs); err != nil {
						return err
					}
					return tx.SetMeta(ctx, "done", fmt.Sprint(written))
				})
			}
			var err error
			for err == nil {
				if err = add(); err == nil {
					written++
				}
			}
			require.ErrorIs(t, err, ErrFull)
			require.ErrorContains(t, err, "make room")
			require.Greater(t, written, 5, "the test shows nothing")
			for range 3 { // small ones may still find room; none may do half of what it should
				if err := add(); err == nil {
					written++
				} else {
					require.ErrorIs(t, err, ErrFull)
				}
			}
			checkFilled(t, s, what, written)

			require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"))
			require.NoError(t, add())
			written++
			checkFilled(t, s, what, written)
			require.NoError(t, s.Close())
			checkFilled(t, openAt(t, path), what, written)
		})
	}
}

func checkFilled(t *testing.T, s *Store, what string, written int) {
	t.Helper()
	ctx := t.Context()
	if what == "single" {
		ts, _, err := s.Tenants(ctx, TenantFilter{}, Page{Limit: 1000})
		require.NoError(t, err)
		require.Len(t, ts, written)
		return
	}
	var last int64
	cursor := ""
	for more := true; more; more = cursor != "" {
		fs, next, err := s.Files(ctx, FileFilter{Session: "s"}, Page{After: cursor, Limit: 1000})
		require.NoError(t, err)
		last += int64(len(fs))
		cursor = next
	}
	require.EqualValues(t, 20*written, last)
	require.Equal(t, fmt.Sprint(written-1), must(s.Meta(ctx, "done"))(t))
}

// TestFullInTheMiddle: the disk is full before the transaction ends, and SQLite rolls back by itself. What a careless caller writes
// after that is not committed alone.
func TestFullInTheMiddle(t *testing.T) {
	dir := t.TempDir()
	testservers.Tmpfs(t, dir, "size=8m")
	ctx := t.Context()
	s := openAt(t, filepath.Join(dir, "state.db"))
	large := doc("%q", strings.Repeat("x", 500_000))
	refused := 0
	err := s.Update(ctx, func(tx *Tx) error {
		for i := range 80 { // more than the cache holds
			if _, err := tx.CreateTenant(ctx, Tenant{ID: fmt.Sprint(i), Doc: large}); err != nil {
				refused++
			}
		}
		if err := tx.SetMeta(ctx, "careless", "yes"); err != nil {
			refused++
		}
		return nil
	})
	require.ErrorIs(t, err, ErrFull)
	require.Greater(t, refused, 1, "the test shows nothing")
	_, err = s.Meta(ctx, "careless")
	require.ErrorIs(t, err, ErrNotFound)
	ts, _, err := s.Tenants(ctx, TenantFilter{}, Page{})
	require.NoError(t, err)
	require.Empty(t, ts)
	require.NoError(t, s.SetMeta(ctx, "small", "yes"), "a small change finds room")
}

// TestOpenFull: a disk that is full from the start.
func TestOpenFull(t *testing.T) {
	dir := t.TempDir()
	testservers.Tmpfs(t, dir, "size=16k")
	_, err := Open(t.Context(), Config{Path: filepath.Join(dir, "state.db")})
	require.ErrorIs(t, err, ErrFull)
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=8m"))
	s := openAt(t, filepath.Join(dir, "state.db"))
	must(s.CreateTenant(t.Context(), Tenant{ID: "a"}))(t)
}

// TestNotWritable: a file system that only reads.
func TestNotWritable(t *testing.T) {
	dir := t.TempDir()
	testservers.Tmpfs(t, dir, "size=8m")
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	_, err := Open(t.Context(), Config{Path: filepath.Join(dir, "state.db")})
	require.True(t, errors.Is(err, syscall.EROFS), "%v", err)
	require.ErrorContains(t, err, dir)
}
