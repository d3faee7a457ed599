package udp

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestManglesEqual(t *testing.T) {
	for release, want := range map[string]bool{
		"6.18.2": false, "6.8.0-31-generic": false, "7.0.0-rc1": true, "7.0.12-generic": true, "7.1.0": true, "7.1-rc3": true, "7.1.4-amd64": true, "7.1.5": false,
		"7.2.0": false, "8.0.1": false, "": false, "7": false, "x.y.z": false, "17.0.1": false, "7.0": true,
	} {
		require.Equal(t, want, manglesEqual(release), release)
	}
	require.NotEmpty(t, kernelRelease())
}

func FuzzManglesEqual(f *testing.F) {
	f.Add("7.1.4-x")
	f.Fuzz(func(t *testing.T, s string) { manglesEqual(s) })
}

func TestOffloadComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o offload
		require.False(t, o.on())
		o.can = true
		require.True(t, o.on())
		o.failed()
		require.False(t, o.on())
		time.Sleep(gsoAgain - 1)
		require.False(t, o.on())
		time.Sleep(time.Nanosecond)
		require.True(t, o.on())
	})
}
