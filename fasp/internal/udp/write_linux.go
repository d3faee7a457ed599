package udp

import (
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	writeSlots  = 64 // messages per sendmmsg
	maxSegments = 64 // datagrams per GSO message; UDP_MAX_SEGMENTS of kernels before 6.9
	maxRetries  = 1  // of a message whose error may be of an earlier one or pass by itself
	maxAgain    = 3  // tries of a message refused with EAGAIN though the socket is writable
)

// writer turns trains into messages and sends them. A call of WriteTrains
// borrows one from the driver's pool.
//
// Messages are prepared up to writeSlots at a time and sent with as few system
// calls as the kernel's errors allow. After an error that changes how the rest
// must be sent, the cursor goes back to the message that failed, and preparing
// starts again from there; so no prepared message outlives the decision it was
// based on.
type writer struct {
	d     *linuxDriver
	hdrs  [writeSlots]mmsghdr
	iovs  [writeSlots][2]unix.Iovec
	names [writeSlots]sockaddr
	ctrls [writeSlots]sendControl
	msgs  [writeSlots]message
	dummy [1]byte // payload of a dummy tail datagram
	used  int     // slots that may point at the caller's buffers

	trains []Train
	errs   trainErrors

	at      cursor // first datagram not yet prepared
	single  int    // train that must be sent without GSO, or -1
	plain   int    // train that must be sent without an ECN field, or -1
	refused int    // train with datagrams that do not fit the interface, or -1
	tooBig  int    // and the size in bytes from which on they do not
	retries int    // of the message at the head

	fn       func(fd uintptr) bool // fixed, so that a write allocates nothing
	from, to int                   // messages that fn sends
	n        int                   // results of fn
	errno    unix.Errno
}

// cursor is a place in the trains.
type cursor struct{ train, off int }

// message says what a prepared header carries.
type message struct {
	at    cursor // its first datagram
	size  int    // bytes of payload, a dummy tail excluded
	segs  int    // datagrams, a dummy tail excluded
	dummy bool
	ecn   bool
}

func newWriter(d *linuxDriver) *writer {
	w := &writer{d: d}
	for i := range w.hdrs {
		h := &w.hdrs[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&w.names[i]))
		h.Iov = &w.iovs[i][0]
		w.iovs[i][1].Base = &w.dummy[0]
		w.iovs[i][1].SetLen(1)
	}
	w.fn = w.send
	return w
}

func (d *linuxDriver) writeTrains(trains []Train) error {
	w := d.writers.Get().(*writer)
	err := w.write(trains)
	// The pool must not keep the caller's buffers alive.
	for i := range w.used {
		w.iovs[i][0].Base = nil
	}
	w.trains, w.errs, w.used = nil, trainErrors{}, 0
	d.writers.Put(w)
	return err
}

func (w *writer) write(trains []Train) error {
	w.trains, w.at = trains, cursor{}
	w.single, w.plain, w.refused, w.retries = -1, -1, -1, 0
	for {
		w.prepare()
		w.used = max(w.used, w.to)
		if w.to == 0 {
			return w.errs.err()
		}
		for w.from = 0; w.from < w.to; {
			if err := w.d.rc.Write(w.fn); err != nil {
				return err
			}
			if w.errno == 0 {
				w.sent()
			} else if !w.failed(w.errno) {
				break
			}
		}
	}
}

// send makes the system call. It returns false to be called again when the
// socket is writable.
func (w *writer) send(fd uintptr) bool {
	for again := 1; ; {
		batch := w.d.batchOn.Load()
		w.n, w.errno = w.d.sendmsgs(fd, w.hdrs[w.from:w.to], batch)
		w.d.c.syscallsOut.Add(1)
		if w.errno == unix.ENOSYS && batch {
			w.d.batchOn.Store(false)
			continue
		}
		if w.errno != unix.EAGAIN {
			return true
		}
		// EAGAIN need not mean a full buffer (routing and IPsec return it too), and
		// then no event would ever end a wait for the socket to become writable.
		if !writable(fd) {
			return false
		}
		if again++; again > maxAgain {
			return true
		}
	}
}

// writable says whether the socket's write buffer has room, without waiting.
func writable(fd uintptr) bool {
	p := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(p[:], 0)
	return err == nil && n == 1
}

// sent counts the n messages that were taken.
func (w *writer) sent() {
	var segs, bytes, gso, dummies uint64
	for i := range w.msgs[w.from : w.from+w.n] {
		m := &w.msgs[w.from+i]
		segs += uint64(m.segs)
		bytes += uint64(m.size)
		if m.segs > 1 {
			gso++
		}
		if m.dummy {
			dummies++
		}
	}
	w.from += w.n
	w.retries = 0
	c := w.d.c
	c.datagramsOut.Add(segs)
	c.bytesOut.Add(bytes)
	if gso > 0 {
		c.gsoSends.Add(gso)
		c.dummies.Add(dummies)
	}
}

// failed handles the error of the first message that was not taken. It returns
// true to go on with the messages prepared, false to prepare anew from w.at.
func (w *writer) failed(errno unix.Errno) bool {
	m, c := w.msgs[w.from], w.d.c
	t := &w.trains[m.at.train]
	switch {
	case errno == unix.EPERM || errno == unix.ECONNREFUSED:
		if w.retries < maxRetries {
			w.retries++
			return true
		}
	case errno == unix.ENOBUFS || errno == unix.EAGAIN:
		c.sendDrops.Add(uint64(m.segs))
		w.from++
		return true
	case errno == unix.EIO && m.segs > 1:
		// The device cannot do the checksums that GSO needs.
		w.d.gsoOn.failed()
		c.gsoFallbacks.Add(1)
		w.at = m.at
		return false
	case m.segs > 1 && (errno == unix.EMSGSIZE || errno == unix.EINVAL):
		// A segment does not fit the interface (EINVAL from older kernels).
		c.gsoFallbacks.Add(1)
		w.single, w.at = m.at.train, m.at
		return false
	case m.ecn && errno == unix.EINVAL:
		c.ecnRefused.Add(1)
		w.plain, w.at = m.at.train, m.at
		return false
	case errno == unix.EMSGSIZE:
		w.tooBig, w.refused = m.size, m.at.train
		w.at = m.at
		return false
	}
	w.giveUp(m.at, &SendError{Addr: t.Addr, Err: errno})
	return false
}

// giveUp drops the rest of a train and moves the cursor to the next one.
func (w *writer) giveUp(at cursor, err error) {
	t := &w.trains[at.train]
	seg := t.seg()
	w.d.c.sendErrs.Add(uint64((len(t.Buf) - at.off + seg - 1) / seg))
	w.errs.add(at.train, err)
	w.at = cursor{train: at.train + 1}
	w.retries = 0
}

// prepare fills messages from the cursor on and leaves their number in w.to.
func (w *writer) prepare() {
	w.to = 0
	for w.to < writeSlots && w.at.train < len(w.trains) {
		t := &w.trains[w.at.train]
		if w.at.off >= len(t.Buf) {
			w.at = cursor{train: w.at.train + 1}
			continue
		}
		n := min(t.seg(), len(t.Buf)-w.at.off)
		if n > MaxDatagram || w.refused == w.at.train && n >= w.tooBig {
			w.d.c.oversize.Add(1)
			w.errs.add(w.at.train, &SizeError{Addr: t.Addr, Size: n})
			w.at.off += n
			continue
		}
		name := putAddr(&w.names[w.to], t.Addr, w.d.v6, &w.d.zones)
		if name == 0 {
			w.giveUp(w.at, &SendError{Addr: t.Addr, Err: &net.AddrError{Err: "not an address of the socket's family", Addr: t.Addr.String()}})
			continue
		}
		w.hdrs[w.to].hdr.Namelen = name
		w.put(t, n)
		w.to++
	}
}

// put makes the message w.to of the datagrams of t at the cursor, the first of
// them n bytes long: as many as GSO may carry, or that one.
func (w *writer) put(t *Train, n int) {
	m := message{at: w.at, size: n, segs: 1}
	h := &w.hdrs[w.to].hdr
	ctrl := &w.ctrls[w.to]
	ctrl.n = 0
	if t.ECN&ecnMask != 0 && w.d.marks.on && w.plain != w.at.train {
		m.ecn = true
		level, typ, tos := w.d.marks.of(&w.names[w.to])
		ctrl.add(level, typ, 4, uint32(tos|t.ECN&ecnMask))
	}
	h.SetIovlen(1)
	if seg := t.seg(); n == seg && w.single != w.at.train && w.d.gsoOn.on() {
		maxSegs, maxSize := maxSegments, MaxDatagram
		if w.d.dummy {
			maxSegs, maxSize = maxSegs-1, maxSize-1
		}
		m.size = min(len(t.Buf)-w.at.off, min(maxSegs, maxSize/seg)*seg)
		m.size = max(m.size, n)
		m.segs = (m.size + seg - 1) / seg
		if m.segs > 1 {
			ctrl.add(unix.IPPROTO_UDP, unix.UDP_SEGMENT, 2, uint32(seg))
			// A byte after a shorter last datagram would become part of it, and one
			// after datagrams of one byte would be one more of equal length.
			if w.d.dummy && m.size%seg == 0 && seg > 1 {
				m.dummy = true
				h.SetIovlen(2)
			}
		}
	}
	h.Control = nil
	if ctrl.n > 0 {
		h.Control = &ctrl.b[0]
	}
	h.SetControllen(ctrl.n)
	iov := &w.iovs[w.to][0]
	iov.Base = &t.Buf[w.at.off]
	iov.SetLen(m.size)
	w.msgs[w.to] = m
	w.at.off += m.size
}
