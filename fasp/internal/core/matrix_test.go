package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMatrixCorners holds the corner cells of the matrix to the bars that every cell has to reach; the whole of it is fasp/internal/vlab/cmd/matrix.
func TestMatrixCorners(t *testing.T) {
	for _, rate := range []float64{1e6, 1e9} {
		for _, rtt := range []time.Duration{2 * time.Millisecond, time.Second} {
			for _, loss := range []float64{0, 0.01, 0.3} {
				c := cell{rate, rtt, loss}
				t.Run(c.String(), func(t *testing.T) {
					if testing.Short() && rate == 1e9 && rtt == time.Second {
						t.Skip("2 million packets: not in -short")
					}
					t.Parallel()
					r, err := c.steady(1, Fixed)
					require.NoError(t, err)
					require.GreaterOrEqual(t, r.goodput/r.limit, 0.97, "goodput over the limit")
					require.LessOrEqual(t, r.excess, 0.02, "packets that brought nothing new")
				})
			}
		}
	}
}
