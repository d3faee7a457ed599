package fasp

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/udp"
	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// Endpoint is one UDP address with the sessions on it: it dials, and accepts if its Config has an Identity. All methods may
// be called concurrently.
type Endpoint struct {
	cfg        Config
	sock       *udp.Socket // the first of the readers'
	datagram   int
	largest    int // that the search may find
	epoch      time.Time
	rekeyEvery uint64 // packets a key seals; the protocol's number but in tests
	buffers    bufferPool
	unproven   atomic.Int64 // bytes of Config.Unproven
	room       atomic.Int64 // sessions; see SetMaxSessions
	codes      codes
	features   uint64 // of transport parameter 7; what this build and socket can do but in tests
	readers    []*reader
	greet      chan greeting // nil if this endpoint only dials
	accepted   chan *Conn
	closed     chan struct{}
	wg         sync.WaitGroup
	closeOnce  sync.Once
	owned      bool // by the one session on it, which Dial made

	dropped  atomic.Uint64 // datagrams that belong to nothing
	overflow atomic.Uint64 // packets dropped because a session did not keep up
	resets   atomic.Uint64
	greeter  greeterStats
	awake    atomic.Int64 // time until which no session may nap
	napping  atomic.Bool  // a session of this endpoint is
	level    atomic.Int64 // that overload has set
	busy     atomic.Bool  // this process takes most of the processors

	taking   sync.Mutex // held by who hands out what a reader has read; guards what follows
	overload overload
	resetAt  time.Duration // begin of the second in which resetIn RESETs were sent
	resetIn  int

	mu    sync.RWMutex // guards the maps
	conns map[uint32]*Conn
	slots map[uint32]bool // in use or reserved by a handshake
	dials map[uint64]chan []byte
}

// EndpointStats are counts since the endpoint was made.
type EndpointStats struct {
	Socket    udp.Stats // of the socket driver, of all sockets together
	Unknown   uint64    // datagrams that belong to no session or handshake, dropped
	Level     Rate      // see Stats.Level
	Overflow  uint64    // packets dropped because a session did not keep up
	Greetings uint64    // long packets handled by the listening side
	Retries   uint64    // stateless retries sent
	Early     uint64    // sessions begun with early data
	Tickets   uint64    // handed out for later sessions
	Refused   uint64    // tickets of this endpoint whose early data was not taken
	Resets    uint64    // RESETs sent to peers of forgotten sessions
	Sessions  int       // now
	HalfOpen  int       // handshakes in progress now
}

// NewEndpoint takes pc over and serves it. On Linux a *net.UDPConn is driven with batches and offload; any other
// net.PacketConn with *net.UDPAddr addresses works too.
func NewEndpoint(pc net.PacketConn, cfg Config) (*Endpoint, error) {
	return newEndpoint([]net.PacketConn{pc}, cfg)
}

// newEndpoint makes an Endpoint of sockets of one address.
func newEndpoint(pcs []net.PacketConn, cfg Config) (*Endpoint, error) {
	readers := make([]*reader, len(pcs))
	for i, pc := range pcs {
		sock, err := udp.New(pc, udp.Options{Portable: cfg.Portable})
		if err != nil {
			return nil, err
		}
		readers[i] = &reader{sock: sock, batch: sock.NewBatch()}
	}
	sock := readers[0].sock
	ip := sock.LocalAddr().Addr()
	e := &Endpoint{
		cfg:  cfg.withDefaults(ip.Is6() && !ip.IsUnspecified()),
		sock: sock, epoch: time.Now(), rekeyEvery: rekeyEvery, features: wire.FeatureParity | wire.FeatureSearch,
		readers: readers, closed: make(chan struct{}),
		conns: map[uint32]*Conn{}, slots: map[uint32]bool{}, dials: map[uint64]chan []byte{},
	}
	e.level.Store(noLevel)
	e.room.Store(int64(e.cfg.MaxSessions))
	e.datagram = min(max(e.cfg.Datagram, wire.MinDatagram), wire.MaxDatagram)
	e.largest = min(e.cfg.MaxDatagram, wire.MaxDatagram)
	if sock.ECN() {
		e.features |= wire.FeatureECN
	}
	if e.cfg.Identity != nil {
		e.greet = make(chan greeting, 1024)
		e.accepted = make(chan *Conn, 64)
		g := newGreeter(e)
		e.wg.Go(g.run)
	}
	for _, r := range readers {
		r.take = func(trains []udp.Train) { e.take(r, trains) }
		e.wg.Go(func() { e.read(r) })
	}
	return e, nil
}

// Listen opens a UDP socket at addr ("host:port", host may be empty for all addresses of both families), or Config.Sockets of them, and makes an Endpoint on it.
func Listen(addr string, cfg Config) (*Endpoint, error) {
	a, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, err
	}
	pcs, err := listenAll(a, cfg.sockets())
	if err != nil {
		return nil, err
	}
	e, err := newEndpoint(pcs, cfg)
	if err != nil {
		for _, pc := range pcs {
			pc.Close()
		}
	}
	return e, err
}

// Dial opens a session with the server at addr ("host:port") over a socket of its own, which closes with the session.
// Errors: ErrIdentity, ErrHandshakeTimeout, *PeerError, or what the context or the resolver says. Where Config.Tickets has a ticket of the server it returns
// before the server has answered, and such errors end the session.
func Dial(ctx context.Context, addr string, cfg Config) (*Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	p, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	if err != nil {
		return nil, err
	}
	for i, ip := range ips {
		var c *Conn
		if c, err = dialOwn(ctx, netip.AddrPortFrom(ip.Unmap(), uint16(p)), cfg); err == nil {
			return c, nil
		}
		// Another address of the host may answer where this one is silent or unreachable; nothing else is worth a second try.
		if i == len(ips)-1 || errors.Is(err, ErrIdentity) || ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

func dialOwn(ctx context.Context, to netip.AddrPort, cfg Config) (*Conn, error) {
	local := "0.0.0.0:0"
	if to.Addr().Is6() {
		local = "[::]:0"
		cfg = cfg.withSizes(true)
	}
	cfg.Identity = nil
	e, err := Listen(local, cfg)
	if err != nil {
		return nil, err
	}
	e.owned = true
	c, err := e.Dial(ctx, to)
	if err != nil {
		e.Close()
	}
	return c, err
}

// now is the endpoint's clock: monotonic time since it was made.
func (e *Endpoint) now() time.Duration { return time.Since(e.epoch) }

// LocalAddr returns the address of the socket.
func (e *Endpoint) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(e.sock.LocalAddr()) }

// Accept returns the next session that a client has opened. It fails with ErrClosed after Close.
func (e *Endpoint) Accept(ctx context.Context) (*Conn, error) {
	if e.greet == nil {
		return nil, errors.New("fasp: an endpoint without an Identity accepts nothing")
	}
	select {
	case c := <-e.accepted:
		return c, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-e.closed:
		return nil, ErrClosed
	}
}

// Close ends all sessions, telling the peers that this side shuts down, and frees the socket. It returns when everything has ended.
func (e *Endpoint) Close() error {
	var err error
	e.closeOnce.Do(func() {
		close(e.closed)
		e.mu.RLock()
		conns := make([]*Conn, 0, len(e.conns))
		for _, c := range e.conns {
			conns = append(conns, c)
		}
		e.mu.RUnlock()
		var wg sync.WaitGroup
		for _, c := range conns {
			wg.Go(func() { c.Close(CodeShutdown, "shutting down") })
		}
		wg.Wait()
		err = e.closeSockets()
	})
	e.wg.Wait()
	return err
}

// Stats returns a copy of the counters.
func (e *Endpoint) Stats() EndpointStats {
	e.mu.RLock()
	n := len(e.conns)
	e.mu.RUnlock()
	return EndpointStats{
		Resets: e.resets.Load(),
		Level:  e.allowed(), Socket: e.socketStats(), Unknown: e.dropped.Load(), Overflow: e.overflow.Load(),
		Greetings: e.greeter.greetings.Load(), Retries: e.greeter.retries.Load(),
		Early: e.greeter.early.Load(), Tickets: e.greeter.tickets.Load(), Refused: e.greeter.refused.Load(), HalfOpen: int(e.greeter.halfOpen.Load()), Sessions: n,
	}
}

// nap blocks for d more precisely than a timer can, or returns false. One session at a time may, for each of many would keep a processor from the
// others, and wake thousands of times a second; the others have their timers. A nap that ends late says that others want the processor: then there is none for
// a while.
func (e *Endpoint) nap(d time.Duration) bool {
	begin := e.now()
	if begin < time.Duration(e.awake.Load()) || !e.napping.CompareAndSwap(false, true) {
		return false
	}
	defer e.napping.Store(false)
	if !e.sock.Sleep(d) {
		return false
	}
	if end := e.now(); end-begin > d+napLate {
		e.awake.Store(int64(end + napPause))
	}
	return true
}

// send sends datagrams of a handshake, which are few and differ in length.
func (e *Endpoint) send(datagrams [][]byte, to netip.AddrPort) {
	trains := make([]udp.Train, len(datagrams))
	for i, d := range datagrams {
		trains[i] = udp.Train{Addr: to, Buf: d}
	}
	e.write(trains)
}

// write sends; what cannot be sent is lost, and the transport deals with that as with any loss.
func (e *Endpoint) write(trains []udp.Train) { e.writeTo(e.sock, trains) }

// writeTo is write by one of the sockets.
// The error is only told so that sizes which do not fit the interface can be given up at once.
func (e *Endpoint) writeTo(sock *udp.Socket, trains []udp.Train) error {
	err := sock.WriteTrains(trains)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		e.cfg.Logger.Debug("sending failed", "error", err)
	}
	return err
}

// reserve takes a connection id.
func (e *Endpoint) reserve() (wire.CID, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.slots) >= e.most()+e.cfg.MaxHalfOpen {
		return 0, errors.New("no room for another session")
	}
	for {
		slot := uint32(randomUint64()) & 0x3fffff
		if slot != 0 && !e.slots[slot] {
			e.slots[slot] = true
			return wire.MakeCID(e.cfg.Node, e.cfg.Worker, slot), nil
		}
	}
}

func (e *Endpoint) unreserve(cid wire.CID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.slots, cid.Slot())
}

var errFull = errors.New("too many sessions")

// adopt registers a session and starts it, if there is room.
func (e *Endpoint) adopt(c *Conn) error { return e.start(c, e.most()) }

// most is how many sessions there may be.
func (e *Endpoint) most() int { return int(e.room.Load()) }

// SetMaxSessions replaces Config.MaxSessions. Sessions that are there stay, also where they are more than n, which is at least 1.
func (e *Endpoint) SetMaxSessions(n int) { e.room.Store(int64(max(n, 1))) }

// start is adopt with a limit of its own.
func (e *Endpoint) start(c *Conn, limit int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.closed:
		return ErrClosed
	default:
	}
	if len(e.conns) >= limit {
		return errFull
	}
	e.conns[c.cid.Slot()] = c
	e.wg.Go(c.run)
	return nil
}

// forget removes a session that has ended.
func (e *Endpoint) forget(c *Conn) {
	e.mu.Lock()
	delete(e.conns, c.cid.Slot())
	delete(e.slots, c.cid.Slot())
	e.mu.Unlock()
	if e.owned {
		e.wg.Go(func() {
			<-c.ended
			e.closeOnce.Do(func() {
				close(e.closed)
				e.closeSockets()
			})
		})
	}
}

func randomUint64() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}

// params encodes our transport parameters (docs/protocol.md section 4.5).
func (e *Endpoint) params(ciphers, reset []byte, features uint64) []byte {
	p := wire.Params{
		Reset:    reset,
		Datagram: uint64(e.datagram), Credit: uint64(e.cfg.Window), Extents: e.cfg.Extents, Grant: uint64(e.cfg.Grant),
		IdleMS: uint64(e.cfg.IdleTimeout / time.Millisecond), Ciphers: ciphers,
		Features: features, Largest: uint64(e.largest),
	}
	return p.Append(nil)
}

// Dial opens a session with the server at addr over this endpoint's socket. Errors are those of the function Dial.
func (e *Endpoint) Dial(ctx context.Context, addr netip.AddrPort) (*Conn, error) {
	c, err := e.dial(ctx, netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()))
	if err != nil {
		return nil, fmt.Errorf("open a session with %v: %w", addr, err)
	}
	return c, nil
}
