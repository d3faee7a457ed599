package udp

import (
	"encoding/binary"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	readSlots    = 64      // messages per recvmmsg without GRO
	readSlotsGRO = 32      // and with it, where each can be 64 KiB
	slotSize     = 1 << 16 // no message is longer, so none is truncated

	// controlSize has room for the three control messages of at most 4 bytes that
	// can come (UDP_GRO, SO_RXQ_OVFL, and IP_TOS or IPV6_TCLASS).
	controlSize = 96
)

// linuxReceiver owns the buffers of a Batch and the headers that point at them.
type linuxReceiver struct {
	d     *linuxDriver
	hdrs  []mmsghdr
	iovs  []unix.Iovec
	names []sockaddr
	ctrls []alignedControl
	buf   []byte
	dirty int // headers that the last call may have changed

	fn    func(fd uintptr) bool // fixed, so that a read allocates nothing
	n     int                   // results of fn
	errno unix.Errno
}

// alignedControl is a control buffer aligned for struct cmsghdr.
type alignedControl struct {
	_ [0]uint64
	b [controlSize]byte
}

func (d *linuxDriver) newReceiver() receiver {
	slots := readSlots
	if d.groOn {
		slots = readSlotsGRO
	}
	r := &linuxReceiver{
		d:     d,
		hdrs:  make([]mmsghdr, slots),
		iovs:  make([]unix.Iovec, slots),
		names: make([]sockaddr, slots),
		ctrls: make([]alignedControl, slots),
		buf:   make([]byte, slots*slotSize),
		dirty: slots,
	}
	for i := range r.hdrs {
		r.iovs[i].Base = &r.buf[i*slotSize]
		r.iovs[i].SetLen(slotSize)
		h := &r.hdrs[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
		h.Control = &r.ctrls[i].b[0]
	}
	r.fn = r.recv
	return r
}

func (r *linuxReceiver) read(pkts []Packet) ([]Packet, error) {
	for {
		for i := range r.hdrs[:r.dirty] {
			h := &r.hdrs[i].hdr
			h.Namelen = uint32(unsafe.Sizeof(sockaddr{}))
			h.SetControllen(controlSize)
			h.Flags = 0
		}
		if err := r.d.rc.Read(r.fn); err != nil {
			return pkts, err
		}
		if r.errno != 0 {
			if !pathErrno(r.errno) {
				return pkts, os.NewSyscallError("recvmmsg", r.errno)
			}
			r.d.c.pathErrs.Add(1)
			continue
		}
		r.dirty = r.n
		for i := range r.n {
			pkts = r.split(pkts, i)
		}
		if len(pkts) > 0 {
			return pkts, nil
		}
	}
}

// recv makes the system call. It returns false to be called again when the
// socket is readable.
func (r *linuxReceiver) recv(fd uintptr) bool {
	for {
		batch := r.d.batchOn.Load()
		r.n, r.errno = recvmsgs(fd, r.hdrs, batch)
		r.d.c.syscallsIn.Add(1)
		if r.errno == unix.ENOSYS && batch {
			r.d.batchOn.Store(false)
			continue
		}
		return r.errno != unix.EAGAIN
	}
}

// split appends the datagrams of message i.
func (r *linuxReceiver) split(pkts []Packet, i int) []Packet {
	m := &r.hdrs[i]
	if m.hdr.Flags&unix.MSG_TRUNC != 0 {
		return pkts // cannot be: the buffer holds the longest message there is
	}
	data := r.buf[i*slotSize:][:m.n]
	addr := getAddr(&r.names[i], &r.d.zones)
	c := parseControl(r.ctrls[i].b[:m.hdr.Controllen])
	if c.hasOverflow {
		r.d.noteOverflow(c.overflow)
	}
	seg, mark := c.seg, c.tos&ecnMask
	if seg <= 0 || seg >= len(data) {
		return append(pkts, Packet{Addr: addr, Data: data[:len(data):len(data)], ECN: mark})
	}
	r.d.c.groReceives.Add(1)
	for len(data) > 0 {
		n := min(seg, len(data))
		pkts = append(pkts, Packet{Addr: addr, Data: data[:n:n], ECN: mark})
		data = data[n:]
	}
	return pkts
}

// noteOverflow takes the socket's running count of drops.
func (d *linuxDriver) noteOverflow(now uint32) {
	last := d.lastOverflow.Load()
	if delta := now - last; int32(delta) > 0 && d.lastOverflow.CompareAndSwap(last, now) {
		d.c.kernelDrops.Add(uint64(delta))
	}
}

// controls is what the control messages of a received message tell.
type controls struct {
	seg         int // segment size if GRO has joined datagrams, else 0
	overflow    uint32
	hasOverflow bool
	tos         uint8 // TOS or traffic class; of joined datagrams the first one's, which is that of all from Linux 6.9 on
}

// parseControl reads the control messages of one received message. It accepts any
// bytes.
func parseControl(b []byte) (c controls) {
	const head = unix.SizeofCmsghdr
	for len(b) >= unix.CmsgLen(1) {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		size := uint64(h.Len)
		if size < head || size > uint64(len(b)) {
			return c
		}
		body := b[unix.CmsgLen(0):max(size, uint64(unix.CmsgLen(0)))]
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TOS && len(body) >= 1:
			c.tos = body[0]
		case len(body) < 4:
		default:
			v := binary.NativeEndian.Uint32(body)
			switch {
			case h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_GRO:
				c.seg = int(v & 0xffff)
			case h.Level == unix.SOL_SOCKET && h.Type == unix.SO_RXQ_OVFL:
				c.overflow, c.hasOverflow = v, true
			case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_TCLASS:
				c.tos = uint8(v)
			}
		}
		next := unix.CmsgSpace(int(size) - head)
		if next >= len(b) {
			break
		}
		b = b[next:]
	}
	return c
}
