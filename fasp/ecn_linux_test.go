//go:build linux

package fasp

import (
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// dialECN opens a session over real sockets with a server at addr, which the client reaches at to with its port.
func dialECN(t *testing.T, addr, to string, server Config, via func(server string) string) (c, s *Conn) {
	t.Helper()
	server.Identity = testIdentity
	e, err := Listen(addr, server)
	if err != nil && addr[:2] == "[:" {
		t.Skipf("SKIPPED: no IPv6 on this machine: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { e.Close() })
	_, port, err := net.SplitHostPort(e.LocalAddr().String())
	require.NoError(t, err)
	at := net.JoinHostPort(to, port)
	if via != nil {
		at = via(at)
	}
	c, err = Dial(t.Context(), at, testConfig())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close(CodeDone, "") })
	s, err = e.Accept(t.Context())
	require.NoError(t, err)
	return c, s
}

// Marks go through the kernel in both directions, over either family and between both.
func TestECNLoopback(t *testing.T) {
	for _, a := range []struct{ name, listen, dial string }{
		{"ipv4", "127.0.0.1:0", "127.0.0.1"}, {"ipv6", "[::1]:0", "::1"}, {"ipv4 at a socket for both", "[::]:0", "127.0.0.1"},
	} {
		t.Run(a.name, func(t *testing.T) {
			c, s := dialECN(t, a.listen, a.dial, Config{Rates: testConfig().Rates}, nil)
			exchange(t, c, s, 1<<20, 100_000)
			exchange(t, s, c, 1<<20, 100_000)
			for _, x := range []*Conn{c, s} {
				require.Equal(t, ECNCapable, x.Stats().ECN)
				require.Zero(t, x.Stats().Marked)
			}
		})
	}
}

// A side that cannot see marks gets none.
func TestECNNegotiated(t *testing.T) {
	c, s := dialECN(t, "127.0.0.1:0", "127.0.0.1", Config{Portable: true, Rates: testConfig().Rates}, nil)
	exchange(t, c, s, 1<<20, 100_000)
	exchange(t, s, c, 1<<20, 100_000)
	require.Equal(t, ECNOff, c.Stats().ECN)
	require.Equal(t, ECNOff, s.Stats().ECN)
	require.Equal(t, "off capable", ECNOff.String()+" "+ECNCapable.String())
}

// A relay that makes packets of its own carries no marks: both sides find out and go on without.
func TestECNBleached(t *testing.T) {
	c, s := dialECN(t, "127.0.0.1:0", "127.0.0.1", Config{Rates: testConfig().Rates}, func(server string) string { return relay(t, server) })
	exchange(t, c, s, 1<<20, 100_000)
	exchange(t, s, c, 1<<20, 100_000)
	require.Equal(t, ECNFailed, c.Stats().ECN)
	require.Equal(t, ECNFailed, s.Stats().ECN)
}

// relay forwards datagrams between a server and the one client that sends to the address it returns.
func relay(t *testing.T, server string) string {
	t.Helper()
	open := func() *net.UDPConn {
		pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		require.NoError(t, err)
		return pc
	}
	front, back := open(), open()
	var wg sync.WaitGroup
	t.Cleanup(func() {
		front.Close()
		back.Close()
		wg.Wait()
	})
	to := netip.MustParseAddrPort(server)
	client := make(chan netip.AddrPort, 1)
	wg.Go(func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := front.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			select {
			case client <- from:
			default:
			}
			back.WriteToUDPAddrPort(buf[:n], to)
		}
	})
	wg.Go(func() {
		buf := make([]byte, 1<<16)
		n, _, err := back.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		from := <-client // it has sent, or nothing would have come back
		for err == nil {
			front.WriteToUDPAddrPort(buf[:n], from)
			n, _, err = back.ReadFromUDPAddrPort(buf)
		}
	})
	return front.LocalAddr().String()
}
