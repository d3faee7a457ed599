package simnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	hostA = netip.MustParseAddr("10.0.0.1")
	hostB = netip.MustParseAddr("10.0.0.2")
	portA = netip.AddrPortFrom(hostA, 1000)
	portB = netip.AddrPortFrom(hostB, 2000)
)

func listen(t *testing.T, n *Net, at netip.AddrPort) *PacketConn {
	t.Helper()
	c, err := n.Listen(at)
	require.NoError(t, err)
	return c
}

func send(t *testing.T, c *PacketConn, to netip.AddrPort, data string) {
	t.Helper()
	n, err := c.WriteTo([]byte(data), net.UDPAddrFromAddrPort(to))
	require.NoError(t, err)
	require.Equal(t, len(data), n)
}

func recv(t *testing.T, c *PacketConn) (string, netip.AddrPort) {
	t.Helper()
	buf := make([]byte, 2000)
	n, from, err := c.ReadFrom(buf)
	require.NoError(t, err)
	return string(buf[:n]), from.(*net.UDPAddr).AddrPort()
}

// nothing asserts that no datagram arrives within an hour of virtual time.
func nothing(t *testing.T, c *PacketConn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
	_, _, err := c.ReadFrom(make([]byte, 10))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, c.SetReadDeadline(time.Time{}))
}

func TestNetExactTimesInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNet(1)
		defer n.Close()
		a, b := listen(t, n, portA), listen(t, n, portB)
		// 972 bytes of payload are 1000 IP bytes: 1 ms at 8 Mbit/s.
		n.SetPath(hostA, hostB, Impair{Rate: 8e6, Delay: 30 * ms}, Impair{Delay: 70 * ms})
		start := time.Now()
		send(t, a, portB, string(make([]byte, 972)))
		send(t, a, portB, string(make([]byte, 972)))
		_, from := recv(t, b)
		require.Equal(t, portA, from)
		require.Equal(t, 31*ms, time.Since(start))
		recv(t, b)
		require.Equal(t, 32*ms, time.Since(start))
		send(t, b, portA, "back")
		recv(t, a)
		require.Equal(t, 102*ms, time.Since(start))
		ab, ba := n.PathStats(hostA, hostB)
		require.EqualValues(t, 2000, ab.DeliveredBytes)
		require.EqualValues(t, 32, ba.DeliveredBytes)
	})
}

func TestNetIPv6Overhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNet(1)
		defer n.Close()
		x, y := netip.MustParseAddrPort("[fd00::1]:1"), netip.MustParseAddrPort("[fd00::2]:2")
		a, b := listen(t, n, x), listen(t, n, y)
		send(t, a, y, "12")
		recv(t, b)
		s, _ := n.PathStats(x.Addr(), y.Addr())
		require.EqualValues(t, 50, s.SentBytes)
	})
}

// TestNetIdealOutsideBubble runs outside any bubble: an ideal path delivers within WriteTo.
func TestNetIdealOutsideBubble(t *testing.T) {
	n := NewNet(1)
	defer n.Close()
	a, b := listen(t, n, portA), listen(t, n, portB)
	send(t, a, portB, "one")
	send(t, a, portB, "two")
	got, _ := recv(t, b)
	require.Equal(t, "one", got)
	got, _ = recv(t, b)
	require.Equal(t, "two", got)
	n.SetPath(hostA, hostB, Impair{Delay: ms}, Impair{})
	send(t, a, portB, "three")
	got, _ = recv(t, b)
	require.Equal(t, "three", got)
}

func TestNetManyReadersAndWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each, writers, readers = 1000, 8, 4
		n := NewNet(1)
		n.SetPath(hostA, hostB, Impair{Delay: 5 * ms, Jitter: ms}, Impair{})
		b := listen(t, n, portB)
		var mu sync.Mutex
		seen := make(map[uint32]int)
		var rd, wr sync.WaitGroup
		for range readers {
			rd.Go(func() {
				buf := make([]byte, 100)
				for {
					k, _, err := b.ReadFrom(buf)
					if err != nil {
						require.ErrorIs(t, err, net.ErrClosed)
						return
					}
					mu.Lock()
					seen[binary.BigEndian.Uint32(buf[:k])]++
					mu.Unlock()
				}
			})
		}
		for w := range writers {
			a := listen(t, n, netip.AddrPortFrom(hostA, 0))
			wr.Go(func() {
				for i := range each {
					_, err := a.WriteToUDPAddrPort(binary.BigEndian.AppendUint32(nil, uint32(w*each+i)), portB)
					require.NoError(t, err)
					if i%100 == 0 {
						time.Sleep(ms)
					}
				}
			})
		}
		wr.Wait()
		time.Sleep(time.Second)
		require.NoError(t, n.Close())
		rd.Wait()
		require.Len(t, seen, each*writers)
		for id, k := range seen {
			require.Equal(t, 1, k, "datagram %d", id)
		}
	})
}

func TestNetSameSeedSameRun(t *testing.T) {
	run := func(seed uint64) (got []string) {
		synctest.Test(t, func(t *testing.T) {
			n := NewNet(seed)
			defer n.Close()
			a, b := listen(t, n, portA), listen(t, n, portB)
			n.SetPath(hostA, hostB, Impair{Rate: 10e6, Delay: 10 * ms, Jitter: 5 * ms, Reorder: true, Loss: 0.2, DupProb: 0.1}, Impair{})
			start := time.Now()
			for i := range 200 {
				send(t, a, portB, fmt.Sprint(i))
				time.Sleep(ms)
			}
			require.NoError(t, b.SetReadDeadline(time.Now().Add(time.Second)))
			for buf := make([]byte, 10); ; {
				k, _, err := b.ReadFrom(buf)
				if err != nil {
					break
				}
				got = append(got, fmt.Sprintf("%s@%v", buf[:k], time.Since(start)))
			}
		})
		return got
	}
	require.Equal(t, run(1), run(1))
	require.NotEqual(t, run(1), run(2))
}

func TestNetRebind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNet(1)
		defer n.Close()
		a, b := listen(t, n, portA), listen(t, n, portB)
		n.SetPath(hostA, hostB, Impair{Delay: 10 * ms}, Impair{Delay: 10 * ms})
		send(t, b, portA, "under way to the old address")
		moved, err := a.Rebind(netip.AddrPortFrom(hostA, 3000))
		require.NoError(t, err)
		require.Equal(t, uint16(3000), moved.Port())
		require.Equal(t, portA.String(), a.LocalAddr().String(), "the host does not notice")
		send(t, a, portB, "hello")
		_, from := recv(t, b)
		require.Equal(t, moved, from)
		send(t, b, portA, "dead")
		send(t, b, moved, "alive")
		got, _ := recv(t, a)
		require.Equal(t, "alive", got)
		nothing(t, a)
		require.EqualValues(t, 2, n.Unclaimed())

		_, err = a.Rebind(portB)
		require.ErrorIs(t, err, syscall.EADDRINUSE)
		other := listen(t, n, portA) // the old address is free again
		require.NoError(t, other.Close())
		require.NoError(t, a.Close())
		_, err = a.Rebind(portA)
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

func TestNetInject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNet(1)
		defer n.Close()
		b := listen(t, n, portB)
		n.SetPath(hostA, hostB, Impair{Loss: 1}, Impair{Loss: 1})
		require.True(t, n.Inject(portA, portB, []byte("forged")))
		got, from := recv(t, b)
		require.Equal(t, "forged", got)
		require.Equal(t, portA, from)
		require.False(t, n.Inject(portB, portA, []byte("nobody")))
	})
}

func TestNetTap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNet(1)
		defer n.Close()
		a, b := listen(t, n, portA), listen(t, n, portB)
		var log []string
		n.Tap(func(from, to netip.AddrPort, data []byte) Verdict {
			log = append(log, fmt.Sprintf("%v>%v %s", from.Port(), to.Port(), data))
			switch string(data) {
			case "drop":
				return Verdict{Drop: true}
			case "replace":
				n.Inject(to, from, []byte("seen")) // may call back
				return Verdict{Data: []byte("replaced and longer")}
			case "flip":
				data[0] = 'F'
			}
			return Verdict{}
		})
		for _, s := range []string{"drop", "replace", "flip", "pass"} {
			send(t, a, portB, s)
		}
		n.Tap(nil)
		send(t, a, portB, "untapped")
		for _, want := range []string{"replaced and longer", "Flip", "pass", "untapped"} {
			got, _ := recv(t, b)
			require.Equal(t, want, got)
		}
		got, _ := recv(t, a)
		require.Equal(t, "seen", got)
		require.Equal(t, []string{"1000>2000 drop", "1000>2000 replace", "1000>2000 flip", "1000>2000 pass"}, log)
	})
}

func TestNetDuplicateIsReadTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNet(1)
		defer n.Close()
		a, b := listen(t, n, portA), listen(t, n, portB)
		n.SetPath(hostA, hostB, Impair{DupProb: 1, Delay: ms}, Impair{})
		for i := range 10 {
			send(t, a, portB, fmt.Sprint(i))
		}
		for i := range 20 {
			got, _ := recv(t, b)
			require.Equal(t, fmt.Sprint(i/2), got)
		}
	})
}

func TestNetCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNet(1)
		defer n.Close()
		a, b := listen(t, n, portA), listen(t, n, portB)
		n.SetPath(hostA, hostB, Impair{Cuts: []Window{{10 * ms, 20 * ms}}}, Impair{}) // times since NewNet
		send(t, a, portB, "before")
		time.Sleep(15 * ms)
		send(t, a, portB, "during")
		time.Sleep(5 * ms)
		send(t, a, portB, "after")
		for _, want := range []string{"before", "after"} {
			got, _ := recv(t, b)
			require.Equal(t, want, got)
		}
	})
}

func TestNetReceiveBufferOverflows(t *testing.T) {
	n := NewNet(1)
	defer n.Close()
	a, b := listen(t, n, portA), listen(t, n, portB)
	require.NoError(t, b.SetReadBuffer(10*(100+bufferOverhead)))
	for range 15 {
		send(t, a, portB, string(make([]byte, 100)))
	}
	require.EqualValues(t, 5, b.Overflows())
	for range 10 {
		recv(t, b)
	}
	send(t, a, portB, "room again")
	recv(t, b)
}

func TestPacketConnDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNet(1)
		defer n.Close()
		a := listen(t, n, portA)
		start := time.Now()
		require.NoError(t, a.SetReadDeadline(start.Add(time.Second)))
		_, _, err := a.ReadFrom(make([]byte, 10))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		var timeout net.Error
		require.True(t, errors.As(err, &timeout) && timeout.Timeout())
		require.Equal(t, time.Second, time.Since(start))

		require.NoError(t, a.SetDeadline(time.Time{}))
		go func() {
			time.Sleep(time.Second)
			a.SetReadDeadline(time.Unix(1, 0)) // in the past: wakes whoever is blocked
		}()
		_, _, err = a.ReadFrom(make([]byte, 10))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 2*time.Second, time.Since(start))

		require.NoError(t, a.SetDeadline(time.Unix(1, 0)))
		_, err = a.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(portB))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	})
}

func TestPacketConnCloseWakesReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNet(1)
		a := listen(t, n, portA)
		go func() {
			time.Sleep(time.Second)
			n.Close()
			n.Close()
		}()
		_, _, err := a.ReadFrom(make([]byte, 10))
		require.ErrorIs(t, err, net.ErrClosed)
		require.NoError(t, a.Close())
		_, err = a.WriteTo(nil, net.UDPAddrFromAddrPort(portB))
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, a.SetDeadline(time.Time{}), net.ErrClosed)
		require.ErrorIs(t, a.SetReadBuffer(1), net.ErrClosed)
		_, err = n.Listen(portA)
		require.ErrorIs(t, err, net.ErrClosed)
		require.False(t, n.Inject(portA, portB, nil))
	})
}

func TestNetCloseWithPacketsUnderWay(t *testing.T) {
	n := NewNet(1)
	a := listen(t, n, portA)
	n.SetPath(hostA, hostB, Impair{Delay: time.Hour}, Impair{})
	send(t, a, portB, "never")
	require.NoError(t, n.Close())
}

func TestListenRefusals(t *testing.T) {
	n := NewNet(1)
	defer n.Close()
	a := listen(t, n, portA)
	_, err := n.Listen(portA)
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	_, err = n.Listen(netip.MustParseAddrPort("0.0.0.0:1"))
	require.ErrorIs(t, err, errNotSpecific)
	_, err = n.Listen(netip.AddrPort{})
	require.ErrorIs(t, err, errNotSpecific)
	_, err = n.Listen(netip.MustParseAddrPort("[::ffff:10.0.0.1]:1000"))
	require.ErrorIs(t, err, syscall.EADDRINUSE, "a mapped address is the same address")
	x, y := listen(t, n, netip.AddrPortFrom(hostA, 0)), listen(t, n, netip.AddrPortFrom(hostA, 0))
	require.NotEqual(t, x.LocalAddr().String(), y.LocalAddr().String())

	_, err = a.WriteTo(make([]byte, maxPayload+1), net.UDPAddrFromAddrPort(portB))
	require.ErrorIs(t, err, syscall.EMSGSIZE)
	_, err = a.WriteTo(nil, &net.TCPAddr{})
	require.ErrorIs(t, err, syscall.EINVAL)
	_, err = a.WriteTo(nil, &net.UDPAddr{})
	require.ErrorIs(t, err, syscall.EINVAL)
}

func TestNetSteadyStateMemory(t *testing.T) {
	n := NewNet(1)
	defer n.Close()
	a, b := listen(t, n, portA), listen(t, n, portB)
	buf := make([]byte, 1500)
	per := testing.AllocsPerRun(1000, func() {
		_, err := a.WriteToUDPAddrPort(buf[:1400], portB)
		require.NoError(t, err)
		_, _, err = b.ReadFromUDPAddrPort(buf)
		require.NoError(t, err)
	})
	require.Zero(t, per)
}

func BenchmarkNet(b *testing.B) {
	n := NewNet(1)
	defer n.Close()
	x, err := n.Listen(portA)
	require.NoError(b, err)
	y, err := n.Listen(portB)
	require.NoError(b, err)
	payload, buf := make([]byte, 1400), make([]byte, 1500)
	b.ReportAllocs()
	for b.Loop() {
		x.WriteToUDPAddrPort(payload, portB)
		y.ReadFromUDPAddrPort(buf)
	}
}
