package node

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// TestSpike: a hundred clients come to a node that takes fifty, in both directions. Never more are served at a time; the others are told that it is full, come again by
// themselves, and all get through with the right content.
func TestSpike(t *testing.T) {
	const most, clients, size = 50, 100, 200_000
	var busy atomic.Int32
	inWorld(t, Config{MaxSessions: most}, func(w *world) {
		t := w.t
		dir := t.TempDir()
		content := func(i int) []byte { return bytes.Repeat([]byte(fmt.Sprintf("%03d,", i)), size/4) }
		for i := range clients {
			at := filepath.Join(dir, fmt.Sprint("f", i))
			if i%2 == 1 {
				at = filepath.Join(w.docroot, fmt.Sprint("f", i))
			}
			require.NoError(t, os.WriteFile(at, content(i), 0o644))
		}
		done := make(chan struct{})
		var peak int
		var watch, wg sync.WaitGroup
		watch.Go(func() {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					peak = max(peak, w.node.Sessions())
				case <-done:
					return
				}
			}
		})
		for i := range clients {
			name := fmt.Sprint("f", i)
			spec := transfer.Spec{Paths: []transfer.Path{{Source: filepath.Join(dir, name)}}, Destination: name, Compression: transfer.CompressionOff}
			if i%2 == 1 {
				spec = transfer.Spec{Direction: transfer.Receive, Paths: []transfer.Path{{Source: name}}, Destination: filepath.Join(dir, name)}
			}
			spec.Rates = fasp.Rates{Policy: fasp.Fixed, Target: 2 * fasp.Mbps} // fifty fit into the link
			wg.Go(func() {
				cfg := transfer.Config{Dial: w.dial(alice), RetryWait: 100 * time.Millisecond, Origin: name, Events: func(e transfer.Event) {
					if e.Kind == transfer.EventRetry {
						busy.Add(1)
						if !strings.Contains(e.Session.Error, "too many sessions") {
							t.Errorf("%s: %s", name, e.Session.Error)
						}
					}
				}}
				if _, err := transfer.Run(t.Context(), cfg, spec); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		wg.Wait()
		close(done)
		watch.Wait()
		require.LessOrEqual(t, peak, most)
		require.Greater(t, peak, most/2)
		require.NotZero(t, busy.Load(), "nobody was refused: the test shows nothing")
		for i := range clients {
			for _, at := range []string{dir, w.docroot} {
				got, err := os.ReadFile(filepath.Join(at, fmt.Sprint("f", i)))
				require.NoError(t, err)
				require.True(t, bytes.Equal(content(i), got), "f%d in %s", i, at)
			}
		}
		t.Logf("%d refusals, %d sessions at most", busy.Load(), peak)
	})
}
