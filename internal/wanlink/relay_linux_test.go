package wanlink

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tradewind-io/tradewind/internal/simnet"
)

const ms = time.Millisecond

// patience bounds how long a test waits for what must happen; nothing is asserted about speed.
const patience = 20 * time.Second

// socket opens a UDP socket on loopback.
func socket(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	c.SetReadBuffer(4 << 20)
	t.Cleanup(func() { c.Close() })
	return c
}

func addrOf(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// startRelay runs a relay to target until the test ends.
func startRelay(t testing.TB, target netip.AddrPort, cfg Config) *Relay {
	t.Helper()
	cfg.Target = target
	r, err := NewRelay(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return r
}

func write(t testing.TB, c *net.UDPConn, to netip.AddrPort, data []byte) {
	t.Helper()
	_, err := c.WriteToUDPAddrPort(data, to)
	require.NoError(t, err)
}

func read(t testing.TB, c *net.UDPConn) ([]byte, netip.AddrPort) {
	t.Helper()
	buf := make([]byte, 65536)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	n, from, err := c.ReadFromUDPAddrPort(buf)
	require.NoError(t, err)
	return buf[:n], from
}

// until polls for a condition about counters that no event announces.
func until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	require.Eventually(t, cond, patience, ms, what)
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func TestRelayCarriesContentBothWays(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	server, client := socket(t), socket(t)
	r := startRelay(t, addrOf(server), Config{
		Forward:  simnet.Impair{Rate: 100e6, Delay: 2 * ms},
		Backward: simnet.Impair{Delay: 3 * ms},
	})
	var bytesThere int64
	for _, size := range []int{0, 1, 100, 1472, 2047, 2048, 2049, 9000, 65000} {
		data := randomBytes(rng, size)
		begin := time.Now()
		write(t, client, r.Addr(), data)
		got, from := read(t, server)
		require.True(t, bytes.Equal(data, got), "%d bytes", size)
		require.GreaterOrEqual(t, time.Since(begin), 2*ms, "a link is never faster than its delay")
		write(t, server, from, got)
		got, from = read(t, client)
		require.True(t, bytes.Equal(data, got), "%d bytes back", size)
		require.Equal(t, r.Addr(), from, "clients hear from the address they send to")
		require.GreaterOrEqual(t, time.Since(begin), 5*ms)
		bytesThere += int64(size) + 28
	}
	s := r.Stats()
	require.Equal(t, bytesThere, s.Forward.DeliveredBytes, "IP bytes are payload plus 28")
	require.Equal(t, bytesThere, s.Backward.DeliveredBytes)
	require.Zero(t, s.Forward.SocketDrops+s.Forward.SendErrors+s.Forward.Overflows)
}

func TestRelayIPv6(t *testing.T) {
	c, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		t.Skipf("SKIPPED: no IPv6 loopback: %v", err)
	}
	defer c.Close()
	r := startRelay(t, addrOf(c), Config{})
	client, err := net.DialUDP("udp6", nil, net.UDPAddrFromAddrPort(r.Addr()))
	require.NoError(t, err)
	defer client.Close()
	_, err = client.Write([]byte("hello"))
	require.NoError(t, err)
	got, from := read(t, c)
	require.Equal(t, "hello", string(got))
	write(t, c, from, []byte("back"))
	got, _ = read(t, client)
	require.Equal(t, "back", string(got))
	require.EqualValues(t, 53, r.Stats().Forward.SentBytes)
}

// TestRelaySplitsSuperPackets sends one GSO super-packet; the link must judge and count each datagram in it.
func TestRelaySplitsSuperPackets(t *testing.T) {
	server, client := socket(t), socket(t)
	r := startRelay(t, addrOf(server), Config{})
	data := randomBytes(rand.New(rand.NewPCG(1, 1)), 10*1000+500)
	control := make([]byte, unix.CmsgSpace(2))
	binary.NativeEndian.PutUint64(control, uint64(unix.CmsgLen(2)))
	binary.NativeEndian.PutUint32(control[8:], unix.IPPROTO_UDP)
	binary.NativeEndian.PutUint32(control[12:], unix.UDP_SEGMENT)
	binary.NativeEndian.PutUint16(control[16:], 1000)
	_, _, err := client.WriteMsgUDPAddrPort(data, control, r.Addr())
	if err != nil {
		t.Skipf("SKIPPED: no UDP segmentation offload: %v", err)
	}
	var got []byte
	for i := range 11 {
		piece, _ := read(t, server)
		require.Len(t, piece, min(1000, len(data)-1000*i))
		got = append(got, piece...)
	}
	require.True(t, bytes.Equal(data, got))
	require.EqualValues(t, 11, r.Stats().Forward.Sent)
}

func TestRelayLossIsCounted(t *testing.T) {
	const n = 2000
	server, client := socket(t), socket(t)
	r := startRelay(t, addrOf(server), Config{Forward: simnet.Impair{Loss: 0.3}, Seed: 5})
	for i := range n {
		write(t, client, r.Addr(), binary.BigEndian.AppendUint32(nil, uint32(i)))
		if i%50 == 49 {
			until(t, "the relay keeps up", func() bool { return r.Stats().Forward.Sent >= int64(i+1) })
		}
	}
	s := r.Stats().Forward
	require.EqualValues(t, n, s.Sent)
	require.InDelta(t, 0.3, s.LossAfter(), 0.06)
	require.Equal(t, s.Sent, s.Delivered+s.LostRandom+s.InFlight)
	until(t, "all leave the link", func() bool { return r.Stats().Forward.InFlight == 0 })
	for range s.Sent - s.LostRandom {
		read(t, server)
	}
}

func TestRelayDuplicates(t *testing.T) {
	server, client := socket(t), socket(t)
	r := startRelay(t, addrOf(server), Config{Forward: simnet.Impair{DupProb: 1, Delay: ms}})
	for i := range 10 {
		write(t, client, r.Addr(), []byte(fmt.Sprint(i)))
	}
	for i := range 20 {
		got, _ := read(t, server)
		require.Equal(t, fmt.Sprint(i/2), string(got))
	}
}

func TestRelayCutAndSet(t *testing.T) {
	server, client := socket(t), socket(t)
	r := startRelay(t, addrOf(server), Config{})
	write(t, client, r.Addr(), []byte("before"))
	got, _ := read(t, server)
	require.Equal(t, "before", string(got))
	require.NoError(t, r.Cut(true))
	write(t, client, r.Addr(), []byte("during"))
	until(t, "the datagram is lost", func() bool { return r.Stats().Forward.LostCut == 1 })
	require.NoError(t, r.Cut(false))
	write(t, client, r.Addr(), []byte("after"))
	got, _ = read(t, server)
	require.Equal(t, "after", string(got))

	require.NoError(t, r.Set(simnet.Impair{Loss: 1}, simnet.Impair{}))
	write(t, client, r.Addr(), []byte("lost"))
	until(t, "Set applies", func() bool { return r.Stats().Forward.LostRandom == 1 })
	require.NoError(t, r.Set(simnet.Impair{}, simnet.Impair{}))
	write(t, client, r.Addr(), []byte("again"))
	got, _ = read(t, server)
	require.Equal(t, "again", string(got))
}

func TestRelayRebind(t *testing.T) {
	server, client := socket(t), socket(t)
	r := startRelay(t, addrOf(server), Config{})
	write(t, client, r.Addr(), []byte("one"))
	_, before := read(t, server)
	require.NoError(t, r.Rebind())
	write(t, client, r.Addr(), []byte("two"))
	_, after := read(t, server)
	require.NotEqual(t, before.Port(), after.Port(), "the server sees another port")
	write(t, server, before, []byte("to the dead"))
	write(t, server, after, []byte("to the living"))
	got, _ := read(t, client)
	require.Equal(t, "to the living", string(got))
}

func TestRelayServesClientsLikeNAT(t *testing.T) {
	server := socket(t)
	r := startRelay(t, addrOf(server), Config{MaxClients: 2})
	var clients []*net.UDPConn
	ports := make(map[netip.AddrPort]int)
	var last netip.AddrPort
	for i := range 3 {
		clients = append(clients, socket(t))
		write(t, clients[i], r.Addr(), []byte{byte(i)})
		_, last = read(t, server)
		ports[last] = i
	}
	require.Len(t, ports, 3, "each client has a port of its own")
	for from, i := range ports {
		if i > 0 { // the first has been displaced by the third
			write(t, server, from, []byte{byte(i)})
			got, _ := read(t, clients[i])
			require.Equal(t, []byte{byte(i)}, got)
		}
	}
	write(t, clients[0], r.Addr(), []byte("a new mapping"))
	_, from := read(t, server)
	require.NotContains(t, ports, from)
}

func TestRelayBoundsMemory(t *testing.T) {
	server, client := socket(t), socket(t)
	r := startRelay(t, addrOf(server), Config{Forward: simnet.Impair{Delay: time.Hour}, MaxInFlight: 10 * smallPacket})
	for range 15 {
		write(t, client, r.Addr(), make([]byte, 1000))
	}
	until(t, "what exceeds MaxInFlight is dropped", func() bool { return r.Stats().Forward.Overflows == 5 })
	require.EqualValues(t, 10, r.Stats().Forward.InFlight)
	require.EqualValues(t, 5, r.Stats().Overruns())
}

func TestRelaySurvivesAbsentServer(t *testing.T) {
	server, client := socket(t), socket(t)
	target := addrOf(server)
	server.Close()
	r := startRelay(t, target, Config{})
	for i := range 10 { // the loopback answers with ICMP port unreachable
		write(t, client, r.Addr(), []byte("anybody?"))
		until(t, "it goes on", func() bool { return r.Stats().Forward.Delivered == int64(i+1) })
	}
	back, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(target))
	require.NoError(t, err)
	defer back.Close()
	write(t, client, r.Addr(), []byte("now?"))
	got, _ := read(t, back)
	require.Equal(t, "now?", string(got))
}

func TestRelayLifetime(t *testing.T) {
	server := socket(t)
	r, err := NewRelay(Config{Target: addrOf(server)})
	require.NoError(t, err)
	require.NoError(t, r.Cut(true), "settings may come before Run")
	require.NoError(t, r.Close(), "Close without Run")
	require.NoError(t, r.Close())
	require.ErrorIs(t, r.Run(context.Background()), ErrClosed)
	require.ErrorIs(t, r.Cut(false), ErrClosed)
	require.ErrorIs(t, r.Rebind(), ErrClosed)
	require.ErrorIs(t, r.Set(simnet.Impair{}, simnet.Impair{}), ErrClosed)
	require.Zero(t, r.Stats().Forward.Sent)

	r, err = NewRelay(Config{Target: addrOf(server)})
	require.NoError(t, err)
	done := make(chan error)
	go func() { done <- r.Run(context.Background()) }()
	until(t, "it runs", func() bool { r.eng.mu.Lock(); defer r.eng.mu.Unlock(); return r.eng.running })
	require.ErrorIs(t, r.Run(context.Background()), ErrClosed, "only one Run")
	require.NoError(t, r.Close())
	require.NoError(t, <-done)

	again, err := NewRelay(Config{Listen: r.Addr(), Target: addrOf(server)})
	require.NoError(t, err, "the address is free after Close")
	require.NoError(t, again.Close())
}

func TestNewRelayRefuses(t *testing.T) {
	_, err := NewRelay(Config{})
	require.Error(t, err, "no target")
	_, err = NewRelay(Config{Target: netip.MustParseAddrPort("127.0.0.1:9"), Listen: netip.MustParseAddrPort("[::1]:0")})
	require.Error(t, err, "mixed families")
	taken := socket(t)
	_, err = NewRelay(Config{Target: netip.MustParseAddrPort("127.0.0.1:9"), Listen: addrOf(taken)})
	require.ErrorIs(t, err, unix.EADDRINUSE)
}
