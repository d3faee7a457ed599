//go:build linux

package udp

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// linuxDriver reads with recvmmsg and GRO and writes with sendmmsg and GSO, each
// as far as the kernel has it. It makes the system calls itself, because the
// batch calls of golang.org/x/net allocate an address for every message.
type linuxDriver struct {
	rc    syscall.RawConn
	c     *counters
	v6    bool // the socket is of family AF_INET6
	dummy bool // Options.DummyTail, or a kernel that needs it

	gsoOn   offload
	batchOn atomic.Bool // sendmmsg and recvmmsg, as opposed to sendmsg and recvmsg
	groOn   bool
	marks   markOptions

	lastOverflow atomic.Uint32 // newest drop counter seen in a control message
	zones        zoneCache
	writers      sync.Pool // of *writer

	// sendmsgs is the system call; tests put failures in its place before use.
	sendmsgs func(fd uintptr, m []mmsghdr, batch bool) (int, unix.Errno)
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32 // bytes received
}

func newFastDriver(uc *net.UDPConn, o Options, c *counters) (driver, error) {
	rc, err := uc.SyscallConn()
	if err != nil {
		return nil, err
	}
	d := &linuxDriver{rc: rc, c: c, dummy: o.DummyTail || manglesEqual(kernelRelease()), sendmsgs: sendmsgs}
	d.batchOn.Store(!o.NoBatch)
	d.writers.New = func() any { return newWriter(d) }
	var opErr error
	err = rc.Control(func(fd uintptr) {
		var family int
		if family, opErr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN); opErr != nil {
			return
		}
		d.v6 = family == unix.AF_INET6
		d.gsoOn.can = !o.NoGSO && probeGSO(int(fd))
		d.groOn = !o.NoGRO && enableGRO(int(fd))
		d.marks = enableMarks(int(fd), d.v6)
		// Counting the kernel's drops is a diagnosis; the socket works without.
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
		// So are the times of arrival.
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	})
	if err == nil {
		err = opErr
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// probeGSO says whether the kernel knows UDP_SEGMENT (4.18 and later). Whether
// the device does shows only when sending.
func probeGSO(fd int) bool {
	_, err := unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT)
	return err == nil
}

// enableGRO turns UDP_GRO on and reads it back, which works from kernel 5.12 on;
// GRO of the kernels between 5.0 and that is not used.
func enableGRO(fd int) bool {
	if unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1) != nil {
		return false
	}
	on, err := unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO)
	if err != nil || on != 1 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 0)
		return false
	}
	return true
}

func (d *linuxDriver) gso() bool { return d.gsoOn.on() }

func (d *linuxDriver) gro() bool { return d.groOn }

func (d *linuxDriver) ecn() bool { return d.marks.on }

// tune sets buffers and don't-fragment. A refused size costs speed only and is
// no error; a socket that would fragment is one.
func tune(uc *net.UDPConn, o Options) error {
	rc, err := uc.SyscallConn()
	if err != nil {
		return err
	}
	var opErr error
	err = rc.Control(func(fd uintptr) {
		setBuffer(int(fd), unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, bufferSize(o.ReadBuffer))
		setBuffer(int(fd), unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, bufferSize(o.WriteBuffer))
		// PROBE, not DO: with DO the kernel would refuse what exceeds the path MTU
		// it believes in, which an attacker can lower by forged ICMP.
		if opErr = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE); opErr != nil {
			return
		}
		if family, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN); err == nil && family == unix.AF_INET6 {
			opErr = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE)
		}
	})
	if err != nil {
		return err
	}
	return opErr
}

// setBuffer asks for a buffer beyond the system's limit, which takes
// CAP_NET_ADMIN, and else for as much of it as the limit allows.
func setBuffer(fd, force, plain, size int) {
	if size == 0 {
		return
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, size)
	}
}

// sendmsgs sends m without blocking and returns how many messages were taken.
// It returns an error only if none was.
func sendmsgs(fd uintptr, m []mmsghdr, batch bool) (int, unix.Errno) {
	for {
		var n uintptr
		var errno unix.Errno
		if batch {
			n, _, errno = unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), unix.MSG_DONTWAIT, 0, 0)
		} else {
			_, _, errno = unix.Syscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&m[0].hdr)), unix.MSG_DONTWAIT)
			n = 1
		}
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// recvmsgs receives into m without blocking and returns how many messages came,
// at least one if there is no error.
func recvmsgs(fd uintptr, m []mmsghdr, batch bool) (int, unix.Errno) {
	for {
		var n uintptr
		var errno unix.Errno
		if batch {
			n, _, errno = unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), unix.MSG_DONTWAIT, 0, 0)
		} else {
			n, _, errno = unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&m[0].hdr)), unix.MSG_DONTWAIT)
			m[0].n, n = uint32(n), 1
		}
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}
