//go:build linux

package udp

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The ECN field arrives as it was sent, over IPv4, IPv6 and from an IPv6 socket to IPv4 and back, with offload and without; what has
// none stays without.
func TestECN(t *testing.T) {
	suite(t, func(t *testing.T, a, b *Socket) {
		_, portable := a.drv.(*portableDriver)
		require.Equal(t, !portable, a.ECN(), "on Linux only the portable driver has no ECN")
		require.Equal(t, a.ECN(), a.Stats().ECN)
		for _, dir := range []struct{ from, to *Socket }{{a, b}, {b, a}} {
			to := target(dir.to, dir.from)
			buf := fill(seeded(t), 5*500)
			require.NoError(t, dir.from.WriteTrains([]Train{
				{Addr: to, Buf: buf, Seg: 500, ECN: 2},
				{Addr: to, Buf: buf[:7], ECN: 1},
				{Addr: to, Buf: buf[:8]},
				{Addr: to, Buf: buf[:1000], Seg: 500, ECN: 3},
				{Addr: to, Buf: buf[:1000], Seg: 500},
			}))
			want := []uint8{2, 2, 2, 2, 2, 1, 0, 3, 3, 0, 0}
			if !dir.from.ECN() || !dir.to.ECN() {
				clear(want)
			}
			var got []uint8
			for _, p := range receive(t, dir.to, len(want)) {
				got = append(got, p.ECN)
			}
			require.Equal(t, want, got)
			require.Zero(t, dir.from.Stats().ECNRefused)
		}
	})
}

// An IPv4 socket's peer may be an IPv6 socket reached in mapped form.
func TestECNMapped(t *testing.T) {
	a, b := listen(t, "", "[::]:0", Options{}), listen(t, "", "127.0.0.1:0", Options{})
	require.True(t, a.ECN())
	mapped := netip.AddrPortFrom(netip.AddrFrom16(b.LocalAddr().Addr().As16()), b.LocalAddr().Port())
	require.NoError(t, a.WriteTrains([]Train{{Addr: mapped, Buf: []byte("mapped"), ECN: 2}}))
	require.EqualValues(t, 2, receive(t, b, 1)[0].ECN)
}

// The rest of the TOS byte is the socket's own, which whoever made the socket may have set.
func TestECNKeepsDSCP(t *testing.T) {
	for _, c := range []struct {
		name, addr              string
		level, tos, rlevel, ask int
	}{
		{"ipv4", "127.0.0.1:0", unix.IPPROTO_IP, unix.IP_TOS, unix.IPPROTO_IP, unix.IP_RECVTOS},
		{"ipv6", "[::1]:0", unix.IPPROTO_IPV6, unix.IPV6_TCLASS, unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS},
	} {
		t.Run(c.name, func(t *testing.T) {
			to, err := net.ListenPacket("udp", c.addr)
			if err != nil && c.name == "ipv6" {
				t.Skipf("SKIPPED: no IPv6 on this machine: %v", err)
			}
			require.NoError(t, err)
			defer to.Close()
			set := func(pc net.PacketConn, level, opt, v int) {
				rc, err := pc.(*net.UDPConn).SyscallConn()
				require.NoError(t, err)
				require.NoError(t, rc.Control(func(fd uintptr) { require.NoError(t, unix.SetsockoptInt(int(fd), level, opt, v)) }))
			}
			set(to, c.rlevel, c.ask, 1)
			pc, err := net.ListenPacket("udp", c.addr)
			require.NoError(t, err)
			set(pc, c.level, c.tos, 0x28)
			s, err := New(pc, Options{})
			require.NoError(t, err)
			defer s.Close()
			dst := netip.MustParseAddrPort(to.LocalAddr().String())
			require.NoError(t, s.WriteTrains([]Train{{Addr: dst, Buf: []byte("x"), ECN: 2}, {Addr: dst, Buf: []byte("y")}}))
			for _, want := range []uint8{0x2a, 0x28} {
				var buf, oob [128]byte
				require.NoError(t, to.SetReadDeadline(time.Now().Add(10*time.Second)))
				_, n, _, _, err := to.(*net.UDPConn).ReadMsgUDPAddrPort(buf[:], oob[:])
				require.NoError(t, err)
				require.Equal(t, want, parseControl(oob[:n]).tos)
			}
		})
	}
}

// A system that refuses the field gets the datagrams without it, each once, and it is counted.
func TestECNRefused(t *testing.T) {
	a, b := pair(t, Options{NoGSO: true})
	failWith(fastDriver(t, a), unix.EINVAL, 1<<30, func(m *mmsghdr) bool { return m.hdr.Controllen > 0 })
	buf := fill(seeded(t), 3*700)
	require.NoError(t, a.WriteTrains([]Train{{Addr: b.LocalAddr(), Buf: []byte("first")}, {Addr: b.LocalAddr(), Buf: buf, Seg: 700, ECN: 2}}))
	require.True(t, bytes.Equal(append([]byte("first"), buf...), content(t, b, 4)))
	require.EqualValues(t, 1, a.Stats().ECNRefused)
	require.Zero(t, a.Stats().SendErrors)
}

// Marking costs no allocation for a packet.
func TestECNAllocates(t *testing.T) {
	a, b := pair(t, Options{})
	buf := make([]byte, 20*1000)
	trains := []Train{{Addr: b.LocalAddr(), Buf: buf, Seg: 1000, ECN: 2}}
	batch := b.NewBatch()
	n := testing.AllocsPerRun(50, func() {
		if err := a.WriteTrains(trains); err != nil {
			panic(err)
		}
		for got := 0; got < 20; got += count(batch) {
			if err := b.ReadBatch(batch); err != nil {
				panic(err)
			}
		}
	})
	require.Less(t, n, 1.0)
}
