package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestProfile writes every profile that the help names, each of which is a gzipped protocol buffer.
func TestProfile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	stop, err := Profile(dir)
	require.NoError(t, err)
	_, err = Profile(t.TempDir())
	require.ErrorContains(t, err, "--profile", "one at a time")
	require.NoError(t, stop())
	for _, name := range []string{"cpu", "heap", "allocs", "mutex", "block", "goroutine"} {
		b, err := os.ReadFile(filepath.Join(dir, name+".pprof"))
		require.NoError(t, err)
		require.Equal(t, []byte{0x1f, 0x8b}, b[:2], name)
	}

	file := filepath.Join(dir, "cpu.pprof")
	_, err = Profile(file)
	require.ErrorContains(t, err, "--profile", "a file is no folder")
	stop, err = Profile("")
	require.NoError(t, err)
	require.NoError(t, stop())
}
