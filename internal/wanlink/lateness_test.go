package wanlink

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLatenessBuckets(t *testing.T) {
	last := -1
	for us := range 1 << 16 {
		d := time.Duration(us) * time.Microsecond
		i := bucket(d)
		require.True(t, i == last || i == last+1, "%v: bucket %d follows %d", d, i, last)
		last = i
		end := bucketEnd(i)
		require.Greater(t, end, d)
		require.LessOrEqual(t, end-d, d/15+time.Microsecond, "resolution at %v", d)
	}
	require.Equal(t, 40*16-1, bucket(1<<63-1))
}

func TestLatenessQuantiles(t *testing.T) {
	var h lateness
	require.Zero(t, h.quantile(0.5))
	for us := range 1000 {
		h.add(time.Duration(us)*time.Microsecond, 1)
	}
	h.add(-time.Second, 0)
	require.InDelta(t, 500, h.quantile(0.5)/time.Microsecond, 35)
	require.InDelta(t, 990, h.quantile(0.99)/time.Microsecond, 70)
	require.Equal(t, 999*time.Microsecond, h.quantile(1))
	require.Zero(t, h.late)
	h.add(2*time.Millisecond, 3)
	require.EqualValues(t, 3, h.late)
}
