package node

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// A node that compresses nothing gets and gives every byte as it is.
func TestCompressionSwitchedOff(t *testing.T) {
	for _, off := range []bool{false, true} {
		inWorld(t, Config{NoCompression: off}, func(w *world) {
			source := filepath.Join(w.t.TempDir(), "f")
			require.NoError(w.t, os.WriteFile(source, make([]byte, 4<<20), 0o644))
			res, err := transfer.Run(w.t.Context(), transfer.Config{Dial: w.dial(alice)}, transfer.Spec{
				Paths: []transfer.Path{{Source: source}}, Destination: "f", Compression: transfer.CompressionAlways,
			})
			require.NoError(w.t, err)
			require.EqualValues(w.t, 4<<20, res.BytesSent)
			if off {
				require.Greater(w.t, res.BytesOnWire, res.BytesSent)
			} else {
				require.Less(w.t, res.BytesOnWire, res.BytesSent/2)
			}
		})
	}
}
