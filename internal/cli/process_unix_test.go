//go:build unix

package cli

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHangUps(t *testing.T) {
	signals, stop := HangUps()
	defer stop()
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	require.Equal(t, syscall.SIGHUP, <-signals)
}
