package simnet

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// PacketConn is an endpoint of a [Net]. It implements net.PacketConn with *net.UDPAddr addresses, and the two methods
// with netip.AddrPort that *net.UDPConn has, which do not allocate. All methods are safe for concurrent use.
//
// Writing never blocks: a network drops. Arrived datagrams wait in a receive buffer of 8 MiB, each counted as its payload
// and 64 bytes, unless SetReadBuffer says otherwise; what does not fit is dropped and counted.
type PacketConn struct {
	net   *Net
	local *net.UDPAddr
	ready chan struct{} // holds a token while a reader may find something; capacity 1
	done  chan struct{} // closed by Close

	// The rest is guarded by net.mu.
	addr      netip.AddrPort // where the net knows it; differs from local after Rebind
	closed    bool
	inbox     []*datagram // inbox[head:] is waiting
	head      int
	bytes     int
	limit     int
	overflows int64
	readBy    time.Time
	writeBy   time.Time
	rearmed   chan struct{} // closed and replaced when readBy changes
}

var _ net.PacketConn = (*PacketConn)(nil)

const (
	defaultReadBuffer = 8 << 20
	bufferOverhead    = 64 // keeps empty datagrams from filling memory
)

// maxPayload is the largest UDP payload over IPv4.
const maxPayload = 65507

func newPacketConn(n *Net, addr netip.AddrPort) *PacketConn {
	return &PacketConn{
		net:     n,
		local:   net.UDPAddrFromAddrPort(addr),
		addr:    addr,
		limit:   defaultReadBuffer,
		ready:   make(chan struct{}, 1),
		done:    make(chan struct{}),
		rearmed: make(chan struct{}),
	}
}

// LocalAddr returns the *net.UDPAddr given to Listen. Rebind does not change it: a host behind a NAT does not notice.
func (c *PacketConn) LocalAddr() net.Addr { return c.local }

// ReadFrom reads one datagram, cutting it to len(p), and returns the sender as *net.UDPAddr. Its errors match
// net.ErrClosed after Close and os.ErrDeadlineExceeded after the read deadline.
func (c *PacketConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromUDPAddrPort(p)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// ReadFromUDPAddrPort is ReadFrom for callers that do not want a net.Addr allocated.
func (c *PacketConn) ReadFromUDPAddrPort(p []byte) (n int, from netip.AddrPort, err error) {
	for {
		c.net.mu.Lock()
		switch {
		case c.closed:
			c.net.mu.Unlock()
			return 0, from, c.opError("read", net.ErrClosed)
		case !c.readBy.IsZero() && !time.Now().Before(c.readBy):
			c.net.mu.Unlock()
			return 0, from, c.opError("read", os.ErrDeadlineExceeded)
		case c.head < len(c.inbox):
			d := c.dequeue()
			n, from = copy(p, d.data), d.from
			c.net.release(d)
			more := c.head < len(c.inbox)
			c.net.mu.Unlock()
			if more {
				c.signal() // the token taken may have stood for several datagrams and several readers
			}
			return n, from, nil
		}
		deadline, rearmed := c.readBy, c.rearmed
		c.net.mu.Unlock()
		c.wait(deadline, rearmed)
	}
}

// wait returns when there may be something new to find.
func (c *PacketConn) wait(deadline time.Time, rearmed <-chan struct{}) {
	var expired <-chan time.Time
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		expired = t.C
	}
	select {
	case <-c.ready:
	case <-c.done:
	case <-rearmed:
	case <-expired:
	}
}

// WriteTo sends one datagram to a *net.UDPAddr. It never blocks and a datagram lost under way is no error. Its errors
// match net.ErrClosed after Close, os.ErrDeadlineExceeded after the write deadline, and syscall.EMSGSIZE for a payload
// no IP packet can hold. p is copied.
func (c *PacketConn) WriteTo(p []byte, addr net.Addr) (int, error) {
	to, ok := addr.(*net.UDPAddr)
	if !ok || to == nil {
		return 0, c.opError("write", fmt.Errorf("address of type %T: %w", addr, syscall.EINVAL))
	}
	return c.WriteToUDPAddrPort(p, to.AddrPort())
}

// WriteToUDPAddrPort is WriteTo without a net.Addr.
func (c *PacketConn) WriteToUDPAddrPort(p []byte, to netip.AddrPort) (int, error) {
	if to = unmap(to); !to.IsValid() {
		return 0, c.opError("write", syscall.EINVAL)
	}
	if len(p) > maxPayload {
		return 0, c.opError("write", syscall.EMSGSIZE)
	}
	n := c.net
	n.mu.Lock()
	if err := c.writable(); err != nil {
		n.mu.Unlock()
		return 0, c.opError("write", err)
	}
	d := n.newDatagram(c.addr, to, p)
	if tap := n.tap; tap != nil {
		n.mu.Unlock()
		verdict := tap(d.from, d.to, d.data)
		n.mu.Lock()
		if verdict.Data != nil {
			d.data = append(d.data[:0], verdict.Data...)
		}
		if verdict.Drop || n.closed {
			n.recycle(d)
			n.mu.Unlock()
			return len(p), nil
		}
	}
	wake := n.send(d)
	n.mu.Unlock()
	wake.ring()
	return len(p), nil
}

func (c *PacketConn) writable() error {
	switch {
	case c.closed || c.net.closed:
		return net.ErrClosed
	case !c.writeBy.IsZero() && !time.Now().Before(c.writeBy):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// Rebind moves the connection to another address, as a NAT does that forgot its mapping: later datagrams come from
// there, and only those sent there arrive. What is under way to the old address is lost. Port 0 picks a free port; the
// address in use is returned. Errors are those of [Net.Listen].
func (c *PacketConn) Rebind(addr netip.AddrPort) (netip.AddrPort, error) {
	n := c.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.closed {
		return netip.AddrPort{}, c.opError("rebind", net.ErrClosed)
	}
	addr, err := n.claim(unmap(addr))
	if err != nil {
		return netip.AddrPort{}, c.opError("rebind", err)
	}
	delete(n.conns, c.addr)
	c.addr = addr
	n.conns[addr] = c
	return addr, nil
}

// Close makes blocked and later calls fail with an error that matches net.ErrClosed. Unread datagrams are lost. Later
// calls do nothing.
func (c *PacketConn) Close() error {
	n := c.net
	n.mu.Lock()
	if c.closed {
		n.mu.Unlock()
		return nil
	}
	c.closed = true
	delete(n.conns, c.addr)
	for c.head < len(c.inbox) {
		n.release(c.dequeue())
	}
	n.mu.Unlock()
	close(c.done)
	return nil
}

// SetDeadline sets both deadlines. The zero time is none.
func (c *PacketConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets when reads fail, those already blocked included. The zero time is never.
func (c *PacketConn) SetReadDeadline(t time.Time) error {
	c.net.mu.Lock()
	if c.closed {
		c.net.mu.Unlock()
		return c.opError("set", net.ErrClosed)
	}
	c.readBy = t
	old := c.rearmed
	c.rearmed = make(chan struct{})
	c.net.mu.Unlock()
	close(old)
	return nil
}

// SetWriteDeadline sets when writes fail, although they never block. The zero time is never.
func (c *PacketConn) SetWriteDeadline(t time.Time) error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	c.writeBy = t
	return nil
}

// SetReadBuffer sets how many bytes may wait to be read; see [PacketConn] for how they are counted.
func (c *PacketConn) SetReadBuffer(bytes int) error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	c.limit = bytes
	return nil
}

// SetWriteBuffer does nothing, as writes never wait.
func (c *PacketConn) SetWriteBuffer(int) error { return nil }

// Overflows returns how many datagrams were dropped because the receive buffer was full.
func (c *PacketConn) Overflows() int64 {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	return c.overflows
}

// enqueue takes a reference of d. net.mu is held.
func (c *PacketConn) enqueue(d *datagram) bool {
	size := len(d.data) + bufferOverhead
	if c.bytes+size > c.limit {
		c.overflows++
		return false
	}
	c.bytes += size
	c.inbox = append(c.inbox, d)
	return true
}

func (c *PacketConn) dequeue() *datagram {
	d := c.inbox[c.head]
	c.inbox[c.head] = nil
	c.bytes -= len(d.data) + bufferOverhead
	if c.head++; c.head == len(c.inbox) {
		c.inbox, c.head = c.inbox[:0], 0
	} else if c.head >= 1024 && 2*c.head >= len(c.inbox) {
		k := copy(c.inbox, c.inbox[c.head:])
		clear(c.inbox[k:])
		c.inbox, c.head = c.inbox[:k], 0
	}
	return d
}

// signal leaves a token for one reader. It must be called without net.mu.
func (c *PacketConn) signal() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

func (c *PacketConn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: c.local, Err: err}
}
