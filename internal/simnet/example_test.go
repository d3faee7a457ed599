package simnet_test

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

// A transport without I/O is driven by a direct event loop: no goroutines, no waiting.
func ExampleLink() {
	link := simnet.NewLink[string](simnet.Impair{
		Rate:  12e6, // 1500 bytes take 1 ms
		Delay: 50 * time.Millisecond,
	}, 1)
	link.Send(0, "first", 1500)
	link.Send(0, "second", 1500)
	for {
		now, ok := link.Next()
		if !ok {
			break
		}
		p, _ := link.Recv(now)
		fmt.Println(now, p)
	}
	// Output:
	// 51ms first
	// 52ms second
}

// TestExampleSynctest shows the whole use of Net in a bubble. It stands in a test because synctest needs a testing.T.
func TestExampleSynctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.NewNet(1)
		defer n.Close()
		server, err := n.Listen(netip.MustParseAddrPort("192.0.2.1:443"))
		require.NoError(t, err)
		client, err := n.Listen(netip.MustParseAddrPort("198.51.100.1:0"))
		require.NoError(t, err)
		oneWay := simnet.Impair{Delay: 150 * time.Millisecond}
		n.SetPath(netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("192.0.2.1"), oneWay, oneWay)

		go func() { // an echo server
			buf := make([]byte, 1500)
			for {
				k, from, err := server.ReadFrom(buf)
				if err != nil {
					return
				}
				server.WriteTo(buf[:k], from)
			}
		}()

		start := time.Now()
		_, err = client.WriteTo([]byte("ping"), server.LocalAddr())
		require.NoError(t, err)
		buf := make([]byte, 1500)
		k, _, err := client.ReadFrom(buf)
		require.NoError(t, err)
		require.Equal(t, "ping", string(buf[:k]))
		require.Equal(t, 300*time.Millisecond, time.Since(start), "virtual time is exact")
	})
}
