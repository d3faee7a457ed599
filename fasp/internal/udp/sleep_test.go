package udp

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Only the fast driver sleeps. The others return at once, so that their caller, who may be in virtual time, uses a timer.
func TestSleep(t *testing.T) {
	require.False(t, listen(t, "udp4", "127.0.0.1:0", Options{Portable: true}).Sleep(time.Hour))
	if runtime.GOOS == "linux" {
		start := time.Now()
		require.True(t, listen(t, "udp4", "127.0.0.1:0", Options{}).Sleep(time.Microsecond))
		require.Positive(t, time.Since(start))
	}
}
