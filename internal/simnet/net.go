package simnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Net joins packet connections by impaired paths. All methods are safe for concurrent use. A Net starts no goroutine;
// a timer is armed only while packets are under way.
type Net struct {
	seed  uint64
	start time.Time
	fired sync.WaitGroup // one for each time the timer is armed and neither stopped nor run to its end

	mu      sync.Mutex // guards all below and the state of every PacketConn; never held over a channel operation
	closed  bool
	conns   map[netip.AddrPort]*PacketConn
	paths   map[pair]*Link[*datagram]
	links   []*Link[*datagram] // the same by order of first use, so that ties in time resolve alike in every run
	tap     Tap
	free    []*datagram
	timer   *time.Timer
	armed   bool
	armedAt time.Duration
	port    uint16 // last ephemeral port given out
	noDest  int64
}

type pair struct{ from, to netip.Addr }

// datagram is owned by the Net until the last copy is read or lost.
type datagram struct {
	from, to netip.AddrPort
	data     []byte
	refs     int
}

// Tap sees every datagram before it enters its path and says what becomes of it. It runs in the goroutine of the
// sender, without locks, so it may call back into the Net. It must not keep data, which it may modify in place.
type Tap func(from, to netip.AddrPort, data []byte) Verdict

// Verdict is what a Tap wants done. The zero value passes the datagram on as it is.
type Verdict struct {
	Drop bool
	Data []byte // where not nil, replaces the payload; it is copied
}

// NewNet returns a network without paths or connections, with all randomness derived from seed. A Net used inside a
// synctest bubble must be made inside it.
func NewNet(seed uint64) *Net {
	return &Net{
		seed:  seed,
		start: time.Now(),
		conns: make(map[netip.AddrPort]*PacketConn),
		paths: make(map[pair]*Link[*datagram]),
		port:  49151,
	}
}

// SetPath sets both directions of the path between the addresses a and b, whatever the ports. It may be called at any
// time: see [Link.Set]. A path never set is ideal.
func (n *Net) SetPath(a, b netip.Addr, ab, ba Impair) {
	n.mu.Lock()
	now := n.now()
	n.path(a.Unmap(), b.Unmap()).Set(now, ab)
	n.path(b.Unmap(), a.Unmap()).Set(now, ba)
	wake := n.settle(now)
	n.mu.Unlock()
	wake.ring()
}

// PathStats returns the counters of both directions between a and b.
func (n *Net) PathStats(a, b netip.Addr) (ab, ba Stats) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.path(a.Unmap(), b.Unmap()).Stats(), n.path(b.Unmap(), a.Unmap()).Stats()
}

// Unclaimed returns how many datagrams arrived where nobody listens.
func (n *Net) Unclaimed() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.noDest
}

// Tap installs f, replacing the tap before it; nil removes it.
func (n *Net) Tap(f Tap) {
	n.mu.Lock()
	n.tap = f
	n.mu.Unlock()
}

// Listen opens a connection at addr, whose address must be a specific one. Port 0 picks a free port. It fails with an
// error that matches syscall.EADDRINUSE where somebody listens already and net.ErrClosed after Close.
func (n *Net) Listen(addr netip.AddrPort) (*PacketConn, error) {
	addr = unmap(addr)
	n.mu.Lock()
	defer n.mu.Unlock()
	addr, err := n.claim(addr)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: net.UDPAddrFromAddrPort(addr), Err: err}
	}
	c := newPacketConn(n, addr)
	n.conns[addr] = c
	return c, nil
}

// Inject delivers a datagram at once to whoever listens at to, as if it came from the address from: a forgery that
// neither passes a path nor a tap. It reports whether somebody got it. data is copied.
func (n *Net) Inject(from, to netip.AddrPort, data []byte) bool {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return false
	}
	d := n.newDatagram(unmap(from), unmap(to), data)
	d.refs = 1
	var wake wakeups
	ok := n.deliver(d, &wake)
	n.mu.Unlock()
	wake.ring()
	return ok
}

// Close closes all connections, forgets what is under way and returns when the last timer callback has ended. Later
// calls do nothing.
func (n *Net) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	var open []*PacketConn
	for _, c := range n.conns {
		open = append(open, c)
	}
	if n.timer != nil && n.timer.Stop() {
		n.fired.Done()
	}
	n.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
	n.fired.Wait()
	return nil
}

var errNotSpecific = errors.New("address must be specific")

// claim checks that addr can be listened on and fills in its port.
func (n *Net) claim(addr netip.AddrPort) (netip.AddrPort, error) {
	switch {
	case n.closed:
		return addr, net.ErrClosed
	case !addr.Addr().IsValid() || addr.Addr().IsUnspecified():
		return addr, errNotSpecific
	case addr.Port() != 0:
		if n.conns[addr] != nil {
			return addr, syscall.EADDRINUSE
		}
		return addr, nil
	}
	for range 16384 {
		n.port++
		if n.port < 49152 {
			n.port = 49152
		}
		if a := netip.AddrPortFrom(addr.Addr(), n.port); n.conns[a] == nil {
			return a, nil
		}
	}
	return addr, fmt.Errorf("no free port: %w", syscall.EADDRINUSE)
}

// path returns the link from one address to another, an ideal one when none is set.
func (n *Net) path(from, to netip.Addr) *Link[*datagram] {
	key := pair{from, to}
	l := n.paths[key]
	if l == nil {
		l = NewLink[*datagram](Impair{}, n.seed^hash(key))
		n.paths[key] = l
		n.links = append(n.links, l)
	}
	return l
}

// hash is FNV-1a, so that the seed of a path depends on its ends alone and not on the order of use.
func hash(key pair) uint64 {
	h := uint64(14695981039346656037)
	for _, a := range [2]netip.Addr{key.from, key.to} {
		for _, b := range a.As16() {
			h = (h ^ uint64(b)) * 1099511628211
		}
	}
	return h
}

func (n *Net) now() time.Duration { return time.Since(n.start) }

// send puts a datagram on its path. n.mu is held.
func (n *Net) send(d *datagram) (wake wakeups) {
	now := n.now()
	l := n.path(d.from.Addr(), d.to.Addr())
	ip := len(d.data) + 28
	if d.to.Addr().Is6() {
		ip = len(d.data) + 48
	}
	if d.refs = l.Send(now, d, ip); d.refs == 0 {
		n.recycle(d)
		return wake
	}
	switch at, _ := l.Next(); {
	case at <= now:
		return n.settle(now)
	case !n.armed || at < n.armedAt:
		n.arm(now, at)
	}
	return wake
}

// settle delivers what has arrived by now, in order of arrival over all paths, and arms the timer for what comes next.
// n.mu is held.
func (n *Net) settle(now time.Duration) (wake wakeups) {
	if n.closed {
		return wake
	}
	for {
		var first *Link[*datagram]
		var least time.Duration
		for _, l := range n.links {
			if at, ok := l.Next(); ok && (first == nil || at < least) {
				first, least = l, at
			}
		}
		if first == nil {
			return wake
		}
		if least > now {
			if !n.armed || n.armedAt != least {
				n.arm(now, least)
			}
			return wake
		}
		d, _ := first.Recv(now)
		n.deliver(d, &wake)
	}
}

func (n *Net) arm(now, at time.Duration) {
	n.armed, n.armedAt = true, at
	if n.timer == nil {
		n.fired.Add(1)
		n.timer = time.AfterFunc(at-now, n.fire)
		return
	}
	if !n.timer.Reset(at - now) {
		n.fired.Add(1)
	}
}

// fire is the timer callback.
func (n *Net) fire() {
	defer n.fired.Done()
	n.mu.Lock()
	n.armed = false
	wake := n.settle(n.now())
	n.mu.Unlock()
	wake.ring()
}

// deliver gives one reference of d to the connection it is meant for. n.mu is held.
func (n *Net) deliver(d *datagram, wake *wakeups) bool {
	c := n.conns[d.to]
	if c == nil {
		n.noDest++
		n.release(d)
		return false
	}
	if !c.enqueue(d) {
		n.release(d)
		return false
	}
	wake.add(c)
	return true
}

func (n *Net) newDatagram(from, to netip.AddrPort, data []byte) *datagram {
	var d *datagram
	if k := len(n.free); k > 0 {
		d, n.free = n.free[k-1], n.free[:k-1]
	} else {
		d = new(datagram)
	}
	d.from, d.to = from, to
	d.data = append(d.data[:0], data...)
	return d
}

func (n *Net) release(d *datagram) {
	if d.refs--; d.refs == 0 {
		n.recycle(d)
	}
}

// maxFree and maxFreeSize bound the datagrams kept for reuse.
const (
	maxFree     = 4096
	maxFreeSize = 16 << 10
)

func (n *Net) recycle(d *datagram) {
	if len(n.free) < maxFree && cap(d.data) <= maxFreeSize {
		n.free = append(n.free, d)
	}
}

// wakeups collects the connections whose readers must be told once n.mu is free. The zero value is empty.
type wakeups struct {
	one  *PacketConn // the usual case needs no memory
	more []*PacketConn
}

func (w *wakeups) add(c *PacketConn) {
	switch {
	case w.one == c:
	case w.one == nil:
		w.one = c
	default:
		w.more = append(w.more, c)
	}
}

func (w *wakeups) ring() {
	if w.one != nil {
		w.one.signal()
	}
	for _, c := range w.more {
		c.signal()
	}
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
