//go:build linux

package udp

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// fastDriver returns the driver of s for a test to interfere with.
func fastDriver(t *testing.T, s *Socket) *linuxDriver {
	d, ok := s.drv.(*linuxDriver)
	require.True(t, ok, "a *net.UDPConn on Linux gets the fast driver")
	return d
}

// failWith makes sends that match fail, up to times times.
func failWith(d *linuxDriver, errno unix.Errno, times int, match func(m *mmsghdr) bool) {
	real := d.sendmsgs
	d.sendmsgs = func(fd uintptr, m []mmsghdr, batch bool) (int, unix.Errno) {
		for i := range m {
			if times > 0 && match(&m[i]) {
				if i > 0 {
					return real(fd, m[:i], batch)
				}
				times--
				return 0, errno
			}
		}
		return real(fd, m, batch)
	}
}

func hasGSO(m *mmsghdr) bool { return m.hdr.Controllen > 0 }

func any1(*mmsghdr) bool { return true }

func pair(t *testing.T, o Options) (a, b *Socket) {
	return listen(t, "", "127.0.0.1:0", o), listen(t, "", "127.0.0.1:0", o)
}

func content(t *testing.T, s *Socket, segs int) []byte {
	var got []byte
	for _, p := range receive(t, s, segs) {
		got = append(got, p.Data...)
	}
	return got
}

func needGSO(t *testing.T, s *Socket) {
	if !s.GSO() {
		t.Skip("SKIPPED: this kernel has no UDP_SEGMENT")
	}
}

func TestGSOAndGROAreUsed(t *testing.T) {
	a, b := pair(t, Options{})
	needGSO(t, a)
	if !b.GRO() {
		t.Skip("SKIPPED: this kernel has no UDP_GRO")
	}
	buf := fill(seeded(t), 100*1000)
	require.NoError(t, a.WriteTrains([]Train{{Addr: b.LocalAddr(), Buf: buf, Seg: 1000}}))
	require.True(t, bytes.Equal(buf, content(t, b, 100)))
	out, in := a.Stats(), b.Stats()
	require.EqualValues(t, 2, out.GSOSends, "64 + 36 datagrams")
	require.EqualValues(t, 1, out.SyscallsOut)
	require.EqualValues(t, 2, in.GROReceives)
}

// TestSingleDatagramHasNoSegmentSize: UDP_SEGMENT on a message of one datagram
// breaks some paths.
func TestSingleDatagramHasNoSegmentSize(t *testing.T) {
	a, b := pair(t, Options{})
	d := fastDriver(t, a)
	real := d.sendmsgs
	d.sendmsgs = func(fd uintptr, m []mmsghdr, batch bool) (int, unix.Errno) {
		for i := range m {
			require.Zero(t, m[i].hdr.Controllen)
		}
		return real(fd, m, batch)
	}
	require.NoError(t, a.WriteTrains([]Train{
		{Addr: b.LocalAddr(), Buf: []byte("one")}, {Addr: b.LocalAddr(), Buf: []byte("two"), Seg: 3},
	}))
	receive(t, b, 2)
}

func TestEIOTurnsGSOOff(t *testing.T) {
	a, b := pair(t, Options{})
	needGSO(t, a)
	failWith(fastDriver(t, a), unix.EIO, 1, hasGSO)
	one, two := fill(seeded(t), 30*1000+1), fill(seeded(t), 20*1000)
	require.NoError(t, a.WriteTrains([]Train{
		{Addr: b.LocalAddr(), Buf: []byte("first")},
		{Addr: b.LocalAddr(), Buf: one, Seg: 1000},
		{Addr: b.LocalAddr(), Buf: two, Seg: 1000},
	}))
	want := append(append([]byte("first"), one...), two...)
	require.True(t, bytes.Equal(want, content(t, b, 1+31+20)), "each datagram once, in order")
	require.False(t, a.GSO())
	st := a.Stats()
	require.EqualValues(t, 1, st.GSOFallbacks)
	require.Zero(t, st.GSOSends)
	require.EqualValues(t, 52, st.DatagramsOut)
}

// TestSegmentTooLarge: where the kernel refuses the segment size the train goes
// out as single datagrams, and GSO stays on for others.
func TestSegmentTooLarge(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EMSGSIZE, unix.EINVAL} {
		t.Run(errno.Error(), func(t *testing.T) {
			a, b := pair(t, Options{})
			needGSO(t, a)
			failWith(fastDriver(t, a), errno, 1, hasGSO)
			buf := fill(seeded(t), 150*1000+10)
			tr := []Train{{Addr: b.LocalAddr(), Buf: buf[:70*1000], Seg: 1000}, {Addr: b.LocalAddr(), Buf: buf[70*1000:], Seg: 1000}}
			require.NoError(t, a.WriteTrains(tr))
			require.True(t, bytes.Equal(buf, content(t, b, 151)))
			require.True(t, a.GSO())
			require.EqualValues(t, 1, a.Stats().GSOFallbacks)
			require.EqualValues(t, 2, a.Stats().GSOSends, "the second train of 81 datagrams")
		})
	}
}

// TestInterfaceTooSmall: datagrams that the kernel refuses for their size are
// tried once per train; the rest is sent.
func TestInterfaceTooSmall(t *testing.T) {
	a, b := pair(t, Options{})
	failWith(fastDriver(t, a), unix.EMSGSIZE, 1000, func(m *mmsghdr) bool { return hasGSO(m) || m.hdr.Iov.Len >= 1400 })
	to := b.LocalAddr()
	err := a.WriteTrains([]Train{
		{Addr: to, Buf: bytes.Repeat([]byte("x"), 20*1400+3), Seg: 1400},
		{Addr: to, Buf: []byte("after")},
	})
	require.Equal(t, &SizeError{Addr: to, Size: 1400}, err)
	require.Equal(t, "xxxafter", string(content(t, b, 2)))
	st := a.Stats()
	require.EqualValues(t, 20, st.Oversize)
	require.LessOrEqual(t, st.SyscallsOut, uint64(4), "the size is not tried again for each datagram")
}

func TestPermissionRetriedOnce(t *testing.T) {
	a, b := pair(t, Options{})
	d := fastDriver(t, a)
	failWith(d, unix.EPERM, 1, any1)
	to := b.LocalAddr()
	require.NoError(t, a.WriteTrains([]Train{{Addr: to, Buf: []byte("hello")}}))
	require.Equal(t, "hello", string(content(t, b, 1)))

	failWith(d, unix.EPERM, 2, any1)
	err := a.WriteTrains([]Train{{Addr: to, Buf: []byte("no")}, {Addr: to, Buf: []byte("yes")}})
	require.ErrorIs(t, err, unix.EPERM)
	var se *SendError
	require.ErrorAs(t, err, &se)
	require.Equal(t, "yes", string(content(t, b, 1)))
}

func TestNoBuffersIsLoss(t *testing.T) {
	a, b := pair(t, Options{NoGSO: true})
	failWith(fastDriver(t, a), unix.ENOBUFS, 2, any1)
	require.NoError(t, a.WriteTrains([]Train{{Addr: b.LocalAddr(), Buf: []byte("aabbccdd"), Seg: 2}}))
	require.Equal(t, "ccdd", string(content(t, b, 2)))
	require.EqualValues(t, 2, a.Stats().SendDrops)
}

// TestSpuriousAgain: the kernel's EAGAIN with room in the write buffer is tried
// again a few times and then taken as loss, because no wait would end.
func TestSpuriousAgain(t *testing.T) {
	a, b := pair(t, Options{})
	d := fastDriver(t, a)
	failWith(d, unix.EAGAIN, 2, any1)
	require.NoError(t, a.WriteTrains([]Train{{Addr: b.LocalAddr(), Buf: []byte("hello")}}))
	require.Equal(t, "hello", string(content(t, b, 1)))
	require.Zero(t, a.Stats().SendDrops)

	failWith(d, unix.EAGAIN, 3, any1)
	require.NoError(t, a.WriteTrains([]Train{{Addr: b.LocalAddr(), Buf: []byte("lost")}, {Addr: b.LocalAddr(), Buf: []byte("sent")}}))
	require.Equal(t, "sent", string(content(t, b, 1)))
	require.EqualValues(t, 1, a.Stats().SendDrops)
}

func TestNoSendmmsg(t *testing.T) {
	a, b := pair(t, Options{})
	d := fastDriver(t, a)
	real := d.sendmsgs
	d.sendmsgs = func(fd uintptr, m []mmsghdr, batch bool) (int, unix.Errno) {
		if batch {
			return 0, unix.ENOSYS
		}
		return real(fd, m, batch)
	}
	require.NoError(t, a.WriteTrains([]Train{{Addr: b.LocalAddr(), Buf: []byte("one")}, {Addr: b.LocalAddr(), Buf: []byte("two")}}))
	require.Equal(t, "onetwo", string(content(t, b, 2)))
	require.False(t, d.batchOn.Load())
}

func TestDummyTail(t *testing.T) {
	a, b := pair(t, Options{DummyTail: true})
	needGSO(t, a)
	require.NoError(t, a.WriteTrains([]Train{
		{Addr: b.LocalAddr(), Buf: bytes.Repeat([]byte("e"), 300), Seg: 100}, // equal: gets a tail
		{Addr: b.LocalAddr(), Buf: bytes.Repeat([]byte("s"), 250), Seg: 100}, // ends shorter: needs none
		{Addr: b.LocalAddr(), Buf: bytes.Repeat([]byte("1"), 100), Seg: 100}, // one datagram: no GSO
	}))
	var sizes []int
	batch := b.NewBatch()
	for len(sizes) < 8 {
		require.NoError(t, b.ReadBatch(batch))
		for _, p := range packets(batch) {
			sizes = append(sizes, len(p.Data))
		}
	}
	require.Equal(t, []int{100, 100, 100, 1, 100, 100, 50, 100}, sizes)
	require.EqualValues(t, 1, a.Stats().DummiesOut)
	require.EqualValues(t, 7, a.Stats().DatagramsOut)
}

// TestKernelDrops overflows a small read buffer and expects the loss counted.
// The counter comes with datagrams queued after the drop.
func TestKernelDrops(t *testing.T) {
	a := listen(t, "", "127.0.0.1:0", Options{})
	b := listen(t, "", "127.0.0.1:0", Options{ReadBuffer: 4096, NoGRO: true})
	const n = 200
	tr := []Train{{Addr: b.LocalAddr(), Buf: bytes.Repeat([]byte("x"), n*500), Seg: 500}}
	require.NoError(t, a.WriteTrains(tr))
	batch, got := b.NewBatch(), 0
	require.NoError(t, b.ReadBatch(batch))
	got += count(batch)
	require.Less(t, got, n)
	require.NoError(t, a.WriteTrains([]Train{{Addr: b.LocalAddr(), Buf: []byte("tell")}}))
	require.NoError(t, b.ReadBatch(batch))
	require.EqualValues(t, n-got, b.Stats().KernelDrops)
}

// TestBadPortIsOneTrain: port 0 is refused by the kernel.
func TestBadPortIsOneTrain(t *testing.T) {
	a, b := pair(t, Options{})
	err := a.WriteTrains([]Train{
		{Addr: netip.AddrPortFrom(b.LocalAddr().Addr(), 0), Buf: make([]byte, 5000), Seg: 1000},
		{Addr: b.LocalAddr(), Buf: []byte("good")},
	})
	require.ErrorIs(t, err, unix.EINVAL)
	require.Equal(t, "good", string(content(t, b, 1)))
}

// TestDontFragment reads the option back.
func TestDontFragment(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::]:0"} {
		for _, portable := range []bool{false, true} {
			s := listen(t, "", addr, Options{Portable: portable})
			rc, err := s.pc.(*net.UDPConn).SyscallConn()
			require.NoError(t, err)
			require.NoError(t, rc.Control(func(fd uintptr) {
				v, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER)
				require.NoError(t, err)
				require.Equal(t, unix.IP_PMTUDISC_PROBE, v)
				if addr[0] == '[' {
					v, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER)
					require.NoError(t, err)
					require.Equal(t, unix.IPV6_PMTUDISC_PROBE, v)
				}
			}))
		}
	}
}

func TestAddrRoundTrip(t *testing.T) {
	var zones zoneCache
	for _, c := range []struct {
		addr string
		v6   bool
		want string
	}{
		{"192.0.2.1:33001", false, "192.0.2.1:33001"},
		{"192.0.2.1:33001", true, "192.0.2.1:33001"},
		{"[::ffff:192.0.2.1]:1", false, "192.0.2.1:1"},
		{"[2001:db8::7]:65535", true, "[2001:db8::7]:65535"},
		{"[fe80::1%lo]:9", true, "[fe80::1%lo]:9"},
		{"[fe80::1%4000000]:9", true, "[fe80::1%4000000]:9"},
		{"[2001:db8::7]:65535", false, ""},
	} {
		var sa sockaddr
		n := putAddr(&sa, netip.MustParseAddrPort(c.addr), c.v6, &zones)
		if c.want == "" {
			require.Zero(t, n)
			continue
		}
		require.NotZero(t, n)
		require.Equal(t, c.want, getAddr(&sa, &zones).String())
	}
	var sa sockaddr
	require.Zero(t, putAddr(&sa, netip.AddrPort{}, true, &zones))
	require.Equal(t, netip.AddrPort{}, getAddr(&sa, &zones))
}

// control builds the bytes of control messages of one 4-byte value each.
func control(parts ...[3]uint32) []byte {
	var out []byte
	for _, p := range parts {
		var a struct {
			_ [0]uint64
			b [32]byte
		}
		h := (*unix.Cmsghdr)(unsafe.Pointer(&a.b[0]))
		h.SetLen(unix.CmsgLen(4))
		h.Level, h.Type = int32(p[0]), int32(p[1])
		binary.NativeEndian.PutUint32(a.b[unix.CmsgLen(0):], p[2])
		out = append(out, a.b[:unix.CmsgSpace(4)]...)
	}
	return out
}

func FuzzParseControl(f *testing.F) {
	gro := [3]uint32{unix.IPPROTO_UDP, unix.UDP_GRO, 1466}
	ovfl := [3]uint32{unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 7}
	f.Add([]byte(nil))
	f.Add(control(gro))
	f.Add(control(ovfl, gro))
	f.Add(control([3]uint32{99, 99, 1}, gro, ovfl)[:70])
	f.Add(control([3]uint32{unix.IPPROTO_IP, unix.IP_TOS, 3})[:unix.CmsgLen(1)])
	f.Add(control([3]uint32{unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 3}, gro))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b) // with no spare capacity, so that reading past the end shows
		c := parseControl(b)
		require.GreaterOrEqual(t, c.seg, 0)
		require.LessOrEqual(t, c.seg, 0xffff)
	})
}

func TestParseControl(t *testing.T) {
	require.Equal(t, controls{seg: 1466, overflow: 7, hasOverflow: true, tos: 0xb9}, parseControl(control(
		[3]uint32{unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 7}, [3]uint32{99, 99, 1}, [3]uint32{unix.IPPROTO_UDP, unix.UDP_GRO, 1466},
		[3]uint32{unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 0xb9})))
	tos := control([3]uint32{unix.IPPROTO_IP, unix.IP_TOS, 3})
	(*unix.Cmsghdr)(unsafe.Pointer(&tos[0])).SetLen(unix.CmsgLen(1)) // the kernel tells a single byte
	require.Equal(t, controls{tos: 3, seg: 9}, parseControl(append(tos, control([3]uint32{unix.IPPROTO_UDP, unix.UDP_GRO, 9})...)))
	require.Equal(t, controls{tos: 3}, parseControl(tos[:unix.CmsgLen(1)]), "the last message may lack its padding")
}
