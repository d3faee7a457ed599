package transfer

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer/transfertest"
)

// A measurement moves data for as long as was said, and leaves nothing; it needs the rights of a transfer that way.
func TestMeasure(t *testing.T) {
	for _, d := range []Direction{Send, Receive} {
		for _, allowed := range []bool{true, false} {
			root := t.TempDir()
			store, err := OpenDir(root)
			require.NoError(t, err)
			synctest.Test(t, func(t *testing.T) {
				served := make(chan error, 1)
				var told fasp.Rate
				cfg := Config{Events: func(e Event) { told = e.Session.RateCap }, Dial: func(context.Context, *Spec) (fasp.Session, error) {
					c, s := transfertest.Pair(transfertest.Options{Latency: 20 * time.Millisecond, Window: 4 << 20})
					go func() {
						limits := Limits{Write: allowed == (d == Send), Read: allowed == (d == Receive), MaxRate: fasp.Gbps}
						served <- Serve(context.Background(), s, ServeConfig{Store: store, Limits: limits})
					}()
					return c, nil
				}}
				start := time.Now()
				res, err := Measure(t.Context(), cfg, Spec{Direction: d}, 2*time.Second)
				if !allowed {
					require.Error(t, err)
					var e *Error
					require.True(t, errors.As(err, &e))
					require.Equal(t, CodeNoPerms, e.Code)
					<-served
					return
				}
				require.NoError(t, err)
				require.NoError(t, <-served)
				require.Equal(t, fasp.Gbps, told)
				took := time.Since(start)
				require.GreaterOrEqual(t, took, 2*time.Second)
				require.Less(t, took, 4*time.Second)
				require.Greater(t, res.BytesSent, int64(8<<20))
			})
			names, err := os.ReadDir(root)
			require.NoError(t, err)
			require.Empty(t, names)
			require.NoError(t, store.Close())
		}
	}
	_, err := Measure(t.Context(), Config{}, Spec{}, time.Hour)
	require.Error(t, err)
}
