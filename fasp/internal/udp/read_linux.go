package udp

import (
	"encoding/binary"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	readSlots    = 64 // messages per recvmmsg without GRO
	readSlotsGRO = 32 // and with it, where each can be 64 KiB

	// controlSize has room for the three control messages of at most 4 bytes that
	// can come (UDP_GRO, SO_RXQ_OVFL, and IP_TOS or IPV6_TCLASS), and SCM_TIMESTAMPNS of 16.
	controlSize = 128

	// oldest is the age above which a time is not believed: the system's clock was set meanwhile.
	oldest = 10 * time.Second
)

// linuxReceiver owns the headers of a Batch, each of which points at a Buffer.
type linuxReceiver struct {
	d  *linuxDriver
	mu sync.Mutex // guards the rest; held from a read that brought something until what it brought has been dealt with
	buffers
	bufs   []*Buffer
	trains []Train
	used   []int // of bufs, that the trains of the last read lie in
	hdrs   []mmsghdr
	iovs   []unix.Iovec
	names  []sockaddr
	ctrls  []alignedControl
	dirty  int // headers that the last call may have changed

	fn    func(fd uintptr) bool // fixed, so that a read allocates nothing
	once  func(fd uintptr)      // likewise, of a read that does not wait
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
		d:       d,
		buffers: newBuffers(),
		bufs:    make([]*Buffer, slots),
		used:    make([]int, 0, slots),
		hdrs:    make([]mmsghdr, slots),
		iovs:    make([]unix.Iovec, slots),
		names:   make([]sockaddr, slots),
		ctrls:   make([]alignedControl, slots),
		dirty:   slots,
	}
	for i := range r.hdrs {
		h := &r.hdrs[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
		h.Control = &r.ctrls[i].b[0]
	}
	r.fn = r.recv
	r.once = func(fd uintptr) {
		r.prepare()
		r.call(fd)
	}
	return r
}

func (r *linuxReceiver) keep(i int, t Train) (Train, *Buffer) {
	return r.buffers.keep(t, r.bufs[r.used[i]])
}

func (r *linuxReceiver) kept() int { return r.small.used() + max(0, r.large.used()-len(r.bufs)) }

func (r *linuxReceiver) done() { r.mu.Unlock() }

func (r *linuxReceiver) read() ([]Train, error) {
	for {
		if err := r.d.rc.Read(r.fn); err != nil {
			return nil, err
		}
		err := r.take()
		if len(r.trains) > 0 {
			return r.trains, nil
		}
		r.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
}

func (r *linuxReceiver) try() []Train {
	if !r.mu.TryLock() {
		return nil
	}
	if r.large.left() < r.dirty || r.small.left() < len(r.bufs) {
		// Who asks may be the one that keeps them: it would wait for itself, and with it everyone who reads.
		r.mu.Unlock()
		return nil
	}
	if r.d.rc.Control(r.once) == nil && r.errno != unix.EAGAIN {
		_ = r.take() // the error comes again to who waits
		if len(r.trains) > 0 {
			return r.trains
		}
	}
	r.mu.Unlock()
	return nil
}

// recv locks and makes the system call. It returns false, and unlocks, to be called again when the socket is readable.
func (r *linuxReceiver) recv(fd uintptr) bool {
	r.mu.Lock()
	r.prepare()
	r.call(fd)
	if r.errno != unix.EAGAIN {
		return true
	}
	r.mu.Unlock()
	return false
}

// prepare makes the headers ready for another call.
func (r *linuxReceiver) prepare() {
	for i := range r.hdrs[:r.dirty] {
		r.bufs[i] = r.renew(r.bufs[i])
		r.iovs[i].Base = &r.bufs[i].mem[0]
		r.iovs[i].SetLen(slotSize)
		h := &r.hdrs[i].hdr
		h.Namelen = uint32(unsafe.Sizeof(sockaddr{}))
		h.SetControllen(controlSize)
		h.Flags = 0
	}
	r.dirty = 0
}

func (r *linuxReceiver) call(fd uintptr) {
	for {
		batch := r.d.batchOn.Load()
		r.n, r.errno = recvmsgs(fd, r.hdrs, batch)
		r.d.c.syscallsIn.Add(1)
		if r.errno != unix.ENOSYS || !batch {
			r.dirty = max(r.n, 1)
			return
		}
		r.d.batchOn.Store(false)
	}
}

// take puts what the system call brought into trains; it fails for what the socket cannot go on after.
func (r *linuxReceiver) take() error {
	r.trains, r.used = r.trains[:0], r.used[:0]
	if r.errno != 0 {
		if !pathErrno(r.errno) {
			return os.NewSyscallError("recvmmsg", r.errno)
		}
		r.d.c.pathErrs.Add(1)
		return nil
	}
	wall := time.Now().UnixNano()
	for i := range r.n {
		r.message(i, wall)
	}
	return nil
}

// message appends the datagrams of message i, which was read at the time wall.
func (r *linuxReceiver) message(i int, wall int64) {
	m := &r.hdrs[i]
	if m.hdr.Flags&unix.MSG_TRUNC != 0 {
		return // cannot be: the buffer holds the longest message there is
	}
	c := parseControl(r.ctrls[i].b[:m.hdr.Controllen])
	if c.hasOverflow {
		r.d.noteOverflow(c.overflow)
	}
	t := Train{Addr: getAddr(&r.names[i], &r.d.zones), Buf: r.bufs[i].mem[:m.n:m.n], ECN: c.tos & ecnMask}
	if c.seg > 0 && c.seg < int(m.n) {
		r.d.c.groReceives.Add(1)
		t.Seg = c.seg
	}
	if age := time.Duration(wall - c.stamp); c.stamp != 0 && age > 0 && age < oldest {
		t.Age = age
	}
	r.used = append(r.used, i)
	r.trains = append(r.trains, t)
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
	stamp       int64 // when it was received, ns since 1970; 0 = unknown
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
			case h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS && len(body) >= int(unsafe.Sizeof(unix.Timespec{})):
				c.stamp = (*unix.Timespec)(unsafe.Pointer(&body[0])).Nano()
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
