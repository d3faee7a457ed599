package transfer

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/transfer/transfertest"
)

// TestRoundTrips counts the round trips that a job of many files takes, in virtual time over a link that has
// latency and no limit of rate.
func TestRoundTrips(t *testing.T) {
	const oneWay = 250 * time.Millisecond
	for _, c := range []struct {
		name   string
		up     bool
		marker bool // the client knows that no earlier run was interrupted
		exists bool // the destination holds the files already
		rtts   int
	}{
		{"upload to a fresh place", true, true, false, 1},
		{"upload, nothing known", true, false, false, 2},
		{"upload of what is there", true, false, true, 2},
		{"download to a fresh place", false, true, false, 1},
		{"download of what is there", false, true, true, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				src, dst := filepath.Join(r.local, "t"), filepath.Join(r.root, "in/t")
				spec := r.send("t")
				if !c.up {
					src, dst = filepath.Join(r.root, "t"), filepath.Join(r.local, "in/t")
					spec = Spec{Direction: Receive, Paths: []Path{{Source: "t"}}, Destination: filepath.Join(r.local, "in"), CreateDir: true}
				}
				for i := range 1000 {
					write(t, filepath.Join(src, fmt.Sprintf("d%d/s%d", i%10, i)), 1000, uint64(i))
				}
				for i := range 20 {
					write(t, filepath.Join(src, fmt.Sprintf("b%d", i)), 300_000, uint64(i))
				}
				if c.exists {
					require.NoError(t, os.MkdirAll(filepath.Dir(dst), 0o755))
					require.NoError(t, os.CopyFS(dst, os.DirFS(src)))
				}
				if !c.marker {
					r.cfg.StateDir = ""
				}
				r.opt = transfertest.Options{Latency: oneWay, Window: 64 << 20, SendBuffer: 64 << 20}
				begin := time.Now()
				var took time.Duration
				r.cfg.Events = func(e Event) {
					if e.Kind == EventFileDone || e.Kind == EventFileSkipped {
						took = time.Since(begin) // at the sender the last confirmation, at the receiver the last file
					}
				}
				res, err := r.run(spec)
				require.NoError(t, err)
				if c.exists {
					require.EqualValues(t, 1020, res.FilesSkipped)
					require.Zero(t, res.BytesSent)
				}
				require.Equal(t, list(t, src), list(t, dst))
				t.Logf("settled after %v, %.2f round trips", took, float64(took)/float64(2*oneWay))
				// What is not latency: packs that wait for another file, and batches before a sync.
				require.Less(t, took, time.Duration(c.rtts)*2*oneWay+batchEvery*2)
			})
		})
	}
}
