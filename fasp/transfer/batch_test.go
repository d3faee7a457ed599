package transfer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestBatchWait: syncs take at most a quarter of the time, as far as confirmations may wait for it.
func TestBatchWait(t *testing.T) {
	require.Equal(t, batchEvery, batchWait(0))
	require.Equal(t, batchEvery, batchWait(50*time.Millisecond))
	require.Equal(t, 600*time.Millisecond, batchWait(200*time.Millisecond))
	require.Equal(t, batchMost, batchWait(time.Minute))
}
