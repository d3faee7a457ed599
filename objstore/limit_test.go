package objstore_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/memstore"
)

func TestLimitsInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := objstore.WithLimit(memstore.New(), objstore.Limits{Up: 1000, Down: 2000, Requests: 1, PerSecond: 1})
		data := make([]byte, 10_024)
		begun := time.Now()
		put(t, d, "k", data)
		// The first 1024 bytes are free: they may come at once.
		require.Equal(t, 9*time.Second, time.Since(begun).Round(time.Millisecond))
		begun = time.Now()
		rc, _, err := d.Read(t.Context(), "k", 0, -1, "")
		require.NoError(t, err)

		ctx, cancel := context.WithCancel(t.Context())
		waited := make(chan error)
		go func() { _, err := d.Stat(ctx, "k"); waited <- err }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-waited, context.Canceled)
		require.Zero(t, time.Since(begun), "a wait ends at once")

		got, err := io.ReadAll(rc)
		require.NoError(t, err)
		require.Len(t, got, len(data))
		require.Equal(t, 4500*time.Millisecond, time.Since(begun).Round(time.Millisecond))
		require.NoError(t, rc.Close())
		require.NoError(t, rc.Close())
		begun = time.Now()
		for range 3 {
			_, err := d.Stat(t.Context(), "k")
			require.NoError(t, err)
		}
		require.Equal(t, 2*time.Second, time.Since(begun).Round(time.Millisecond))
	})
}
