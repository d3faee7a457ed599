package wanlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// udpSocket is a non-blocking UDP socket outside the Go poller: the engine polls by itself, and golang.org/x/net would
// allocate an address for each datagram.
type udpSocket struct {
	file    int
	local   netip.AddrPort
	peer    bool // connected: packets are sent without a name
	rx      *receiver
	tx      *sender
	deliver func(from netip.AddrPort, data []byte, at time.Duration) // called for each datagram; from only if !peer
	drops   *int64                                                   // where the kernel's drop counter adds up
	ovfl    uint32                                                   // the counter's last value
}

// openUDP opens a socket bound to local and, if peer is valid, connected to it.
func openUDP(local, peer netip.AddrPort, buffer int) (*udpSocket, error) {
	family := unix.AF_INET6
	if local.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	s := &udpSocket{file: fd, peer: peer.IsValid()}
	if err := s.setUp(local, peer, buffer); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return s, nil
}

func (s *udpSocket) setUp(local, peer netip.AddrPort, buffer int) error {
	// The forced options go beyond rmem_max but need root; the plain ones get what the machine allows.
	for force, plain := range map[int]int{unix.SO_RCVBUFFORCE: unix.SO_RCVBUF, unix.SO_SNDBUFFORCE: unix.SO_SNDBUF} {
		if unix.SetsockoptInt(s.file, unix.SOL_SOCKET, force, buffer) != nil {
			if err := unix.SetsockoptInt(s.file, unix.SOL_SOCKET, plain, buffer); err != nil {
				return os.NewSyscallError("setsockopt buffer", err)
			}
		}
	}
	if err := unix.SetsockoptInt(s.file, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return os.NewSyscallError("setsockopt SO_TIMESTAMPNS", err)
	}
	if err := unix.SetsockoptInt(s.file, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1); err != nil {
		return os.NewSyscallError("setsockopt SO_RXQ_OVFL", err)
	}
	// Old kernels have no UDP_GRO; they hand over single datagrams, which is slower and just as right.
	_ = unix.SetsockoptInt(s.file, unix.IPPROTO_UDP, unix.UDP_GRO, 1)
	if err := unix.Bind(s.file, sockaddr(local)); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if s.peer {
		if err := unix.Connect(s.file, sockaddr(peer)); err != nil {
			return os.NewSyscallError("connect", err)
		}
	}
	name, err := unix.Getsockname(s.file)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		s.local = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		s.local = netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	default:
		return fmt.Errorf("wanlink: socket name of type %T", name)
	}
	return nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

func (s *udpSocket) fd() int      { return s.file }
func (s *udpSocket) close() error { return unix.Close(s.file) }

// receive implements port.
func (s *udpSocket) receive(e *engine) int {
	k, err := s.rx.read(s.file)
	if err != nil {
		return 0 // nothing waits, or an ICMP error of an earlier send, which a link does not pass on
	}
	wall := time.Now()
	now := wall.Sub(e.start)
	n := 0
	for i := range k {
		m := s.rx.message(i)
		if m.hasDrops {
			*s.drops += int64(m.drops - s.ovfl) // the kernel's counter wraps at 32 bits, and so does the difference
			s.ovfl = m.drops
		}
		at := now
		if age := wall.UnixNano() - m.stamp; m.stamp != 0 && age > 0 && age < int64(time.Second) {
			at -= time.Duration(age) // an age out of range means that somebody has set the clock
		}
		var from netip.AddrPort
		if !s.peer {
			from = m.from
		}
		segment := len(m.data)
		if m.segment > 0 {
			segment = m.segment
		}
		for data := m.data; ; {
			s.deliver(from, data[:min(segment, len(data))], at)
			n++
			if len(data) <= segment {
				break
			}
			data = data[segment:]
		}
	}
	return n
}

// send implements port.
func (s *udpSocket) send(ps []*packet) (refused int) {
	for i, p := range ps {
		var name []byte
		if !s.peer {
			name = p.flow.name
		}
		s.tx.set(i, p.data, name)
	}
	return s.tx.write(s.file, len(ps))
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

const (
	nameSize    = unix.SizeofSockaddrInet6
	controlSize = 128
	readBatch   = 32
)

// receiver holds the buffers of recvmmsg(2); all sockets of a loop share one.
type receiver struct {
	hdrs    [readBatch]mmsghdr
	iovs    [readBatch]unix.Iovec
	names   [readBatch][nameSize]byte
	control [readBatch][controlSize]byte
	data    [readBatch][]byte
}

func newReceiver() *receiver {
	r := new(receiver)
	for i := range r.data {
		r.data[i] = make([]byte, largePacket)
		r.iovs[i].Base = &r.data[i][0]
		r.iovs[i].SetLen(len(r.data[i]))
		h := &r.hdrs[i].hdr
		h.Name = &r.names[i][0]
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
		h.Control = &r.control[i][0]
	}
	return r
}

// read fills messages without waiting and returns their number.
func (r *receiver) read(fd int) (int, error) {
	for i := range r.hdrs {
		h := &r.hdrs[i].hdr
		h.Namelen = nameSize
		h.SetControllen(controlSize)
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.hdrs[0])), readBatch,
			unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// message is a received datagram or a train of them. data is valid until the next read.
type message struct {
	from     netip.AddrPort
	data     []byte
	segment  int   // size of the datagrams that data consists of, the last may be shorter; 0 = one
	stamp    int64 // ns since 1970 of the arrival, 0 = unknown
	drops    uint32
	hasDrops bool
}

func (r *receiver) message(i int) message {
	h := &r.hdrs[i]
	m := message{
		data: r.data[i][:h.n],
		from: parseName(r.names[i][:min(h.hdr.Namelen, nameSize)]),
	}
	m.parseControl(r.control[i][:min(int(h.hdr.Controllen), controlSize)])
	return m
}

// parseControl reads the control messages that the kernel attached; unknown and cut ones are skipped.
func (m *message) parseControl(b []byte) {
	const word = unix.SizeofPtr
	for len(b) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		size := int(h.Len)
		if size < unix.SizeofCmsghdr || size > len(b) {
			return
		}
		data := b[unix.CmsgLen(0):size]
		switch {
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS && len(data) >= 2*word:
			ts := (*unix.Timespec)(unsafe.Pointer(&data[0]))
			m.stamp = ts.Nano()
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SO_RXQ_OVFL && len(data) >= 4:
			m.drops, m.hasDrops = binary.NativeEndian.Uint32(data), true
		case h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_GRO && len(data) >= 4:
			if k := int(int32(binary.NativeEndian.Uint32(data))); k > 0 {
				m.segment = k
			}
		}
		b = b[min(unix.CmsgSpace(size-unix.CmsgLen(0)), len(b)):]
	}
}

// sender holds the headers of sendmmsg(2); all sockets of a loop share one.
type sender struct {
	hdrs [maxBatch]mmsghdr
	iovs [maxBatch]unix.Iovec
}

func newSender() *sender {
	s := new(sender)
	for i := range s.hdrs {
		s.hdrs[i].hdr.Iov = &s.iovs[i]
		s.hdrs[i].hdr.SetIovlen(1)
	}
	return s
}

// set makes data the i-th datagram of the next write. name is the destination, empty for a connected socket.
func (s *sender) set(i int, data, name []byte) {
	s.iovs[i].Base = unsafe.SliceData(data)
	s.iovs[i].SetLen(len(data))
	s.hdrs[i].hdr.Name = unsafe.SliceData(name)
	s.hdrs[i].hdr.Namelen = uint32(len(name))
}

// write sends the first n datagrams and returns how many the kernel refused.
func (s *sender) write(fd, n int) (refused int) {
	retried := -1
	for i := 0; i < n; {
		k, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&s.hdrs[i])), uintptr(n-i),
			unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == 0:
			i += int(k)
		case errors.Is(errno, unix.EINTR):
		case retried != i && (errors.Is(errno, unix.ECONNREFUSED) || errors.Is(errno, unix.EPERM)):
			retried = i // the first is about an earlier datagram, the second comes once on a new connection
		default:
			refused++
			i++
		}
	}
	return refused
}

// appendName appends the struct sockaddr of a.
func appendName(b []byte, a netip.AddrPort) []byte {
	ip := a.Addr()
	if ip.Is4() {
		b = binary.NativeEndian.AppendUint16(b, unix.AF_INET)
		b = binary.BigEndian.AppendUint16(b, a.Port())
		four := ip.As4()
		b = append(b, four[:]...)
		return append(b, make([]byte, 8)...)
	}
	b = binary.NativeEndian.AppendUint16(b, unix.AF_INET6)
	b = binary.BigEndian.AppendUint16(b, a.Port())
	b = append(b, 0, 0, 0, 0) // flow label
	sixteen := ip.As16()
	b = append(b, sixteen[:]...)
	return append(b, 0, 0, 0, 0) // scope: link-local addresses are not supported
}

// parseName reads a struct sockaddr; the result is invalid for anything but IPv4 and IPv6.
func parseName(b []byte) netip.AddrPort {
	if len(b) < 2 {
		return netip.AddrPort{}
	}
	switch family := binary.NativeEndian.Uint16(b); {
	case family == unix.AF_INET && len(b) >= 8:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:]))
	case family == unix.AF_INET6 && len(b) >= 24:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), binary.BigEndian.Uint16(b[2:]))
	}
	return netip.AddrPort{}
}
