package node

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// TestTotals: the sums are those of what sessions did, in the node's directions.
func TestTotals(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		require.NoError(t, w.upload(alice, "/a", 1000))
		require.NoError(t, w.upload(alice, "/b", 500_000))
		down := func(c accesskey.Credential, name string) error {
			return w.run(c, transfer.Spec{Direction: transfer.Receive, Paths: []transfer.Path{{Source: name}}, Destination: w.t.TempDir(), CreateDir: true})
		}
		require.NoError(t, down(alice, "/b"))
		require.Error(t, down(alice, "/missing"))
		time.Sleep(time.Second) // until the node's end has heard of the last one's
		s := w.node.Stats().Totals
		require.Equal(t, Totals{Sessions: 4, BytesIn: 501_000, BytesOut: 500_000, FilesIn: 2, FilesOut: 1, FailedOut: 1}, s)
	})
}
