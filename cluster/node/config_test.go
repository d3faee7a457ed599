package node

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAddressesApart: two services are not at one TCP address, however it is written.
func TestAddressesApart(t *testing.T) {
	for _, c := range []struct {
		api, ssh, wss string
		ok            bool
	}{
		{"", "", "", true},
		{":9092", ":33001", ":443", true},
		{"127.0.0.1:0", "127.0.0.1:0", ":0", true},
		{"127.0.0.1:9092", "127.0.0.2:9092", "", true},
		{":9092", ":9092", "", false},
		{"127.0.0.1:9092", "", "127.0.0.1:9092", false},
		{"", "0.0.0.0:443", "192.0.2.1:443", false},
		{"[::]:443", "", "[::1]:443", false},
	} {
		err := Config{API: c.api, SSH: c.ssh, WSS: c.wss}.checkAddresses()
		require.Equal(t, c.ok, err == nil, "%v: %v", c, err)
	}
}
