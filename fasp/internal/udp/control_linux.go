package udp

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sendControl holds the control messages of one message to send: UDP_SEGMENT, and
// IP_TOS or IPV6_TCLASS. It is aligned for struct cmsghdr.
type sendControl struct {
	_ [0]uint64
	b [2 * 24]byte // unix.CmsgSpace(4) is 24 at most
	n int          // bytes in use
}

// add appends a control message with a value of 2 or 4 bytes.
func (c *sendControl) add(level, typ int32, size int, v uint32) {
	b := c.b[c.n:][:unix.CmsgSpace(size)]
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = level, typ
	h.SetLen(unix.CmsgLen(size))
	if body := b[unix.CmsgLen(0):]; size == 2 {
		binary.NativeEndian.PutUint16(body, uint16(v))
	} else {
		binary.NativeEndian.PutUint32(body, v)
	}
	c.n += len(b)
}

// ecnMask is the ECN field in the TOS byte or traffic class.
const ecnMask = 3

// markOptions says whether a socket sends and reads ECN fields, and what else its
// TOS bytes hold.
type markOptions struct {
	on         bool
	tos4, tos6 uint8
}

// enableMarks asks for the TOS byte of what is received. An IPv6 socket also gets
// IPv4, in mapped form, with the options and control messages of IPv4. What is
// sent is marked message by message, since sessions that share a socket need not
// agree; the kernel takes that of every kind of socket that takes the option.
func enableMarks(fd int, v6 bool) (m markOptions) {
	on := func(level, opt, tos int) (uint8, bool) {
		if unix.SetsockoptInt(fd, level, opt, 1) != nil {
			return 0, false
		}
		v, err := unix.GetsockoptInt(fd, level, tos)
		return uint8(v) &^ ecnMask, err == nil && v >= 0
	}
	m.tos4, m.on = on(unix.IPPROTO_IP, unix.IP_RECVTOS, unix.IP_TOS)
	if v6 {
		var ok bool
		m.tos6, ok = on(unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, unix.IPV6_TCLASS)
		m.on = m.on && ok
	}
	return m
}

// of returns the control message that sets the TOS byte towards to, and the part of
// the byte that is not ECN.
func (m *markOptions) of(to *sockaddr) (level, typ int32, tos uint8) {
	if to.Family == unix.AF_INET6 && !mapped(to) {
		return unix.IPPROTO_IPV6, unix.IPV6_TCLASS, m.tos6
	}
	return unix.IPPROTO_IP, unix.IP_TOS, m.tos4
}

// mapped says whether an address of family AF_INET6 stands for one of IPv4.
func mapped(a *sockaddr) bool {
	return binary.BigEndian.Uint64(a.Addr[:8]) == 0 && binary.BigEndian.Uint32(a.Addr[8:12]) == 0xffff
}
