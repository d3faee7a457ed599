package twnode

import (
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseSize(t *testing.T) {
	for in, want := range map[string]int64{"0": 0, "17": 17, "2k": 2 << 10, "3M": 3 << 20, "10G": 10 << 30, "1t": 1 << 40} {
		got, err := parseSize(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for _, bad := range []string{"", "K", "-1", "1X", "1.5G", "99999999999999T"} {
		_, err := parseSize(bad)
		require.Error(t, err, bad)
	}
}

func FuzzParseSize(f *testing.F) {
	f.Add("10G")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseSize(s)
		require.False(t, err == nil && n < 0)
	})
}

func TestAddresses(t *testing.T) {
	require.Equal(t, []string{"127.0.0.1:7"}, addresses(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7}))
	all := addresses(&net.UDPAddr{IP: net.IPv6unspecified, Port: 7})
	require.NotEmpty(t, all)
	for _, a := range all {
		require.True(t, strings.HasSuffix(a, ":7"), a)
		_, err := net.ResolveUDPAddr("udp", a)
		require.NoError(t, err)
	}
}
