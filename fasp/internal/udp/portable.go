package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// addrPortConn is what *net.UDPConn offers beyond net.PacketConn: reading and
// writing without an allocation for the address.
type addrPortConn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, addr netip.AddrPort) (int, error)
}

// portableDriver sends and receives one datagram per call.
type portableDriver struct {
	pc   net.PacketConn
	apc  addrPortConn // nil if pc has no such methods
	c    *counters
	last atomic.Pointer[net.UDPAddr] // destination of the latest WriteTo, so that most calls need not allocate one
}

func newPortableDriver(pc net.PacketConn, c *counters) *portableDriver {
	d := &portableDriver{pc: pc, c: c}
	d.apc, _ = pc.(addrPortConn)
	return d
}

func (d *portableDriver) gso() bool { return false }

func (d *portableDriver) gro() bool { return false }

func (d *portableDriver) ecn() bool { return false }

func (d *portableDriver) sleep(time.Duration) bool { return false }

func (d *portableDriver) newReceiver() receiver {
	return &portableReceiver{d: d, buffers: newBuffers()}
}

type portableReceiver struct {
	d *portableDriver
	buffers
	buf   *Buffer
	train [1]Train
}

func (r *portableReceiver) keep(_ int, t Train) (Train, *Buffer) { return r.buffers.keep(t, r.buf) }

func (r *portableReceiver) try() []Train { return nil }

func (r *portableReceiver) done() {}

func (r *portableReceiver) kept() int { return r.small.used() + max(0, r.large.used()-1) }

func (r *portableReceiver) read() ([]Train, error) {
	d := r.d
	r.buf = r.renew(r.buf)
	for {
		d.c.syscallsIn.Add(1)
		n, from, err := d.readFrom(r.buf.mem)
		if err == nil {
			r.train[0] = Train{Addr: from, Buf: r.buf.mem[:n:n]}
			return r.train[:], nil
		}
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) || !isPathError(err) {
			return nil, err
		}
		d.c.pathErrs.Add(1)
	}
}

func (d *portableDriver) readFrom(buf []byte) (int, netip.AddrPort, error) {
	if d.apc != nil {
		n, from, err := d.apc.ReadFromUDPAddrPort(buf)
		return n, unmap(from), err
	}
	n, a, err := d.pc.ReadFrom(buf)
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	from, err := addrPortOf(a)
	return n, from, err
}

func (d *portableDriver) writeTrains(trains []Train) error {
	var errs trainErrors
	for i := range trains {
		if err := d.writeTrain(&trains[i], i, &errs); err != nil {
			return err
		}
	}
	return errs.err()
}

// writeTrain sends one train. It returns only errors that end all writing.
func (d *portableDriver) writeTrain(t *Train, index int, errs *trainErrors) error {
	addr, seg := unmap(t.Addr), t.seg()
	tooBig := MaxDatagram + 1
	for off := 0; off < len(t.Buf); off += seg {
		p := t.Buf[off:min(off+seg, len(t.Buf))]
		err := errTooBig
		if len(p) < tooBig {
			err = d.writeTo(p, addr)
		}
		switch {
		case err == nil:
			d.c.datagramsOut.Add(1)
			d.c.bytesOut.Add(uint64(len(p)))
		case errors.Is(err, net.ErrClosed):
			return err
		case err == errTooBig || isTooBig(err):
			tooBig = min(tooBig, len(p))
			d.c.oversize.Add(1)
			errs.add(index, &SizeError{Addr: t.Addr, Size: len(p)})
		case isNoBuffers(err):
			d.c.sendDrops.Add(1)
		default:
			d.c.sendErrs.Add(uint64((len(t.Buf) - off + seg - 1) / seg))
			errs.add(index, &SendError{Addr: t.Addr, Err: err})
			return nil
		}
	}
	return nil
}

// errTooBig stands for the system's answer to a datagram that need not be tried.
var errTooBig = errors.New("udp: datagram too large")

// writeTo sends one datagram, and once more after errors that are known to
// concern an earlier datagram or to go away.
func (d *portableDriver) writeTo(p []byte, addr netip.AddrPort) (err error) {
	for range 2 {
		d.c.syscallsOut.Add(1)
		if d.apc != nil {
			_, err = d.apc.WriteToUDPAddrPort(p, addr)
		} else {
			_, err = d.pc.WriteTo(p, d.udpAddr(addr))
		}
		if err == nil || !isRetryable(err) {
			return err
		}
	}
	return err
}

func (d *portableDriver) udpAddr(ap netip.AddrPort) *net.UDPAddr {
	if a := d.last.Load(); a != nil && a.AddrPort() == ap {
		return a
	}
	a := net.UDPAddrFromAddrPort(ap)
	d.last.Store(a)
	return a
}
