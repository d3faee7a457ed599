package fasp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tradewind-io/tradewind/fasp/internal/core"
	"github.com/tradewind-io/tradewind/fasp/internal/fifo"
	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

var _ Session = (*Conn)(nil)

// Conn is a session over UDP. It implements Session, where its methods are described; all of them may be called
// concurrently. A goroutine of its own, which Close ends, owns the protocol state.
type Conn struct {
	e        *Endpoint
	log      *slog.Logger
	client   bool
	cid      wire.CID
	loop     connLoop // belongs to the session's goroutine
	dial     *dialing // of a client that sends early: the handshake comes first; the goroutine's own
	inbox    chan delivery
	load     loadMeter     // the reader's own
	overflow atomic.Uint64 // packets that found no room in inbox
	queued   atomic.Int64  // bytes of payload in inbox
	large    atomic.Int32  // deliveries in it that hold a large buffer
	held     atomic.Int32  // readers that wait for room
	lighter  *sync.Cond    // less waits in inbox than before
	gone     atomic.Bool   // the goroutine takes nothing from inbox any more
	departed atomic.Int64  // as arrived, of packets sent
	arrived  int           // IP bytes since the last step of Endpoint.overload; the reader's own
	overhead int           // IP and UDP headers of a packet
	wake     chan struct{} // capacity 1
	ended    chan struct{} // closed when the goroutine has ended
	reset    []byte        // the token by which the server would say that it has forgotten the session; a client's
	peer     atomic.Pointer[netip.AddrPort]

	mu        sync.Mutex // guards what follows
	changed   chan struct{}
	exporter  Exporter // nil while a client does not know yet whether its early data is accepted
	server    Fingerprint
	cipher    Cipher
	confirmed bool
	err       error // why the session ended
	closing   *closeRequest
	blocks    []*Block // whole, for ReceiveBlock
	messages  [][]byte // for ReceiveMessage
	stats     Stats
	leased    int64 // bytes of blocks leased and not yet acknowledged
	// Requests to the goroutine.
	out         []*Block
	outBytes    int64
	outMessages [][]byte
	outMsgBytes int
	room        bool // for messages, in the core
	freed       []int
	taken       int
	rates       *Rates
	grant       *Rate
	drainRate   *Rate
	extents     uint64 // to be granted to the peer, 0 = nothing new
	window      int64
	windowMax   int64
	drain       bool
	finished    int     // copies of the client's Finished to be answered
	early       []piece // of the message stream, before the Finished
	ticket      []byte  // to be handed to the client
	expired     bool    // the Finished did not come in time
	forgotten   bool    // the server says that it has forgotten the session
	settled     bool    // everything that was given has been acknowledged
	peerExtents uint64  // granted by the peer
	extentWaits int     // calls of SendBlock that wait for more
}

type closeRequest struct {
	code   Code
	reason string
}

// outQueueBytes is how much SendBlock queues ahead of the core.
const outQueueBytes = 1 << 20

// newConn makes a session that begin readies for packets.
func newConn(e *Endpoint, client bool, cid wire.CID, peer netip.AddrPort) *Conn {
	c := &Conn{
		e: e, client: client, cid: cid,
		inbox: make(chan delivery, inboxTrains), lighter: sync.NewCond(new(sync.Mutex)), wake: make(chan struct{}, 1), ended: make(chan struct{}),
		room: true, settled: true,
		log: e.cfg.Logger.With("peer", peer, "cid", uint64(cid)),
	}
	c.peer.Store(&peer)
	c.overhead = 28
	if peer.Addr().Is6() {
		c.overhead = 48
	}
	return c
}

// begin takes over what the handshake came to: of the server, or of a client's complete one.
func (c *Conn) begin(h *handshake, cipher Cipher, rtt time.Duration) error {
	tx, rx, err := h.traffic(cipher)
	if err != nil {
		return err
	}
	e, peer := c.e, *c.peer.Load()
	datagram := min(e.datagram, int(min(h.peer.Datagram, wire.MaxDatagram)))
	largest := 0 // no size but that one
	if e.features&h.peer.Features&wire.FeatureSearch != 0 {
		largest = max(datagram, min(e.largest, int(min(h.peer.Largest, wire.MaxDatagram)))) - wire.DataOverhead
	}
	idle := e.cfg.IdleTimeout
	if h.peer.IdleMS != 0 {
		idle = min(idle, max(time.Second, time.Duration(min(h.peer.IdleMS, 1<<32))*time.Millisecond))
	}
	known := e.cfg.Paths.enter(peer.Addr(), rtt, time.Now())
	loop := connLoop{
		c: c, tx: tx, rx: rx, peerCID: h.peerCID, grant: e.cfg.Grant, granted: e.cfg.Grant, rates: e.cfg.Rates, rated: e.cfg.Rates,
		core: core.New(core.Config{
			Now: e.now(), Seed: randomUint64(), Symbol: datagram - wire.DataOverhead, Largest: largest, IPOverhead: c.overhead,
			MaxLag: 10 * time.Millisecond, InitialRTT: rtt, Idle: idle,
			Window: e.cfg.Window, WindowMax: e.cfg.WindowMax, Extents: e.cfg.Extents, Grant: int64(e.cfg.Grant),
			PeerCredit: h.peer.Credit, PeerExtents: h.peer.Extents, PeerGrant: int64(min(h.peer.Grant, 1<<50)),
			Parity: e.features&h.peer.Features&wire.FeatureParity != 0, ECN: e.features&h.peer.Features&wire.FeatureECN != 0, Rates: coreRates(e.cfg.Rates),
			Wall:      time.Duration(time.Now().UnixNano()%int64(time.Hour)) - e.now(),
			KnownRate: int64(known.rate), KnownRTT: known.rtt, KnownFresh: known.fresh,
		}),
		parity:  newParityState(&e.codes),
		scratch: make([]byte, 0, wire.MaxDatagram),
		early:   h.earlySecret != nil && !h.refused,
		host:    peer.Addr(),
	}
	e.mu.Lock() // the reader looks at sessions that dial early
	c.loop, c.reset = loop, h.peer.Reset
	e.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.exporter, c.server, c.cipher, c.peerExtents = h.exporter(), h.server, cipher, h.peer.Extents
	c.confirmed = c.client || h.complete
	c.notify()
	return nil
}

func coreRates(r Rates) core.Rates {
	return core.Rates{Policy: core.Policy(r.Policy), Target: int64(r.Target), Min: int64(r.Min)}
}

// LocalAddr returns the address of the socket.
func (c *Conn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.e.sock.LocalAddr()) }

// RemoteAddr returns the peer's current address; it changes when the peer's NAT rebinds.
func (c *Conn) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(*c.peer.Load()) }

// ServerFingerprint returns the identity of the server, on both sides. A session that began early has that of its ticket until it is
// confirmed.
func (c *Conn) ServerFingerprint() Fingerprint {
	if c.client {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.server
	}
	return c.e.cfg.Identity.fp
}

// Cipher returns the cipher that the server chose, 0 while a client does not know it yet.
func (c *Conn) Cipher() Cipher {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cipher
}

// Confirmed implements Session.
func (c *Conn) Confirmed(ctx context.Context) error {
	if err := c.wait(ctx, func() bool { return c.confirmed }); err != nil {
		return err
	}
	c.mu.Unlock()
	return nil
}

var errUnconfirmed = errors.New("fasp: the session is not confirmed; what is to be bound to it goes into Config.Opening")

// ExportKeyingMaterial returns n bytes that only the two ends of this session know, as RFC 8446 section 7.5 defines, or docs/protocol.md
// section 4.7 where the session began early. Proofs of credentials are bound to it, so that they are worth nothing elsewhere. A client's
// session that began early has none until it is confirmed, as they depend on whether the server has taken what was sent early: see Config.Opening.
func (c *Conn) ExportKeyingMaterial(label string, context []byte, n int) ([]byte, error) {
	c.mu.Lock()
	x := c.exporter
	c.mu.Unlock()
	if x == nil {
		return nil, errUnconfirmed
	}
	return x.ExportKeyingMaterial(label, context, n)
}

// wait blocks until ready returns true, and returns with the lock held. An error, with the lock released, is that of the
// session or the context.
func (c *Conn) wait(ctx context.Context, ready func() bool) error {
	c.mu.Lock()
	for !ready() {
		if c.err != nil {
			err := c.err
			c.mu.Unlock()
			return err
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		ch := c.changed
		c.mu.Unlock()
		select {
		case <-ch:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		c.mu.Lock()
	}
	return nil
}

// notify wakes all waiters; the lock is held.
func (c *Conn) notify() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// kick makes the session's goroutine look at the requests.
func (c *Conn) kick() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// SendMessage implements Session.
func (c *Conn) SendMessage(ctx context.Context, msg []byte) error {
	if len(msg) == 0 || len(msg) > MaxMessage {
		return fmt.Errorf("message of %d bytes: %w", len(msg), ErrTooLarge)
	}
	if err := c.wait(ctx, func() bool { return c.err == nil && c.room && c.outMsgBytes < MaxMessage }); err != nil {
		return err
	}
	c.outMessages = append(c.outMessages, append([]byte(nil), msg...))
	c.outMsgBytes += len(msg)
	c.settled = false
	c.mu.Unlock()
	c.kick()
	return nil
}

// ReceiveMessage implements Session. Messages that had arrived when the session ended are still returned.
func (c *Conn) ReceiveMessage(ctx context.Context) ([]byte, error) {
	if err := c.wait(ctx, func() bool { return len(c.messages) > 0 }); err != nil {
		return nil, err
	}
	m := c.messages[0]
	c.messages = c.messages[1:]
	c.taken += core.MessageCost(len(m))
	kick := c.taken >= MaxMessage
	c.mu.Unlock()
	if kick {
		c.kick()
	}
	return m, nil
}

// NewBlock implements Session.
func (c *Conn) NewBlock(ctx context.Context, n int) (*Block, error) {
	if n <= 0 || n > MaxBlock {
		return nil, fmt.Errorf("block of %d bytes: %w", n, ErrTooLarge)
	}
	if err := c.wait(ctx, func() bool { return c.err == nil && c.leased+int64(n) <= c.e.cfg.SendBuffer }); err != nil {
		return nil, err
	}
	c.leased += int64(n)
	c.mu.Unlock()
	buf := c.e.buffers.get(n)
	return NewBlock(buf.data[:n], func(*Block) {
		c.e.buffers.put(buf)
		c.mu.Lock()
		c.leased -= int64(n)
		c.notify()
		c.mu.Unlock()
	}), nil
}

// SendBlock implements Session. An error leaves the block with the caller.
func (c *Conn) SendBlock(ctx context.Context, b *Block) error {
	if len(b.Data) > MaxBlock {
		return fmt.Errorf("block of %d bytes: %w", len(b.Data), ErrTooLarge)
	}
	if len(b.Data) == 0 {
		b.Release()
		return nil
	}
	if err := c.waitExtent(ctx, b.Extent); err != nil {
		return err
	}
	if err := c.wait(ctx, func() bool { return c.err == nil && c.outBytes < outQueueBytes }); err != nil {
		return err
	}
	c.out = fifo.Push(c.out, b)
	c.outBytes += int64(len(b.Data))
	c.settled, c.drain = false, false
	first := len(c.out) == 1
	c.mu.Unlock()
	if first {
		c.kick()
	}
	return nil
}

// waitExtent waits until the peer has granted the extent. This is done here and not in the queue, where blocks that wait
// would stand before others that may go.
func (c *Conn) waitExtent(ctx context.Context, extent uint64) error {
	c.mu.Lock()
	granted := c.err == nil && extent < c.peerExtents
	if !granted {
		c.extentWaits++ // the core asks for news while somebody waits: the report with the grant may be lost
	}
	c.mu.Unlock()
	if granted {
		return nil
	}
	c.kick()
	err := c.wait(ctx, func() bool { return c.err == nil && extent < c.peerExtents })
	if err != nil {
		c.mu.Lock()
	}
	c.extentWaits--
	c.mu.Unlock()
	return err
}

// ReceiveBlock implements Session. Blocks that had arrived when the session ended are still returned.
func (c *Conn) ReceiveBlock(ctx context.Context) (*Block, error) {
	if err := c.wait(ctx, func() bool { return len(c.blocks) > 0 }); err != nil {
		return nil, err
	}
	b := c.blocks[0]
	c.blocks[0] = nil
	c.blocks = c.blocks[1:]
	c.mu.Unlock()
	return b, nil
}

// localDrops returns what Stats.LocalDrops says.
func (c *Conn) localDrops() uint64 {
	n := c.overflow.Load()
	if c.e.owned {
		n += c.e.kernelDrops()
	}
	return n
}

// release is what Release of a received block does.
func (c *Conn) release(buf *buffer, size int) {
	c.e.buffers.put(buf)
	c.mu.Lock()
	c.freed = append(c.freed, size)
	c.mu.Unlock()
	c.kick()
}

// Drained implements Session. While it waits, the tail of what was sent is repeated at once (docs/protocol.md section 8.3).
func (c *Conn) Drained(ctx context.Context) error {
	c.mu.Lock()
	c.drain = true
	c.mu.Unlock()
	c.kick()
	if err := c.wait(ctx, func() bool { return c.settled }); err != nil {
		return err
	}
	c.mu.Unlock()
	return nil
}

// SetRates implements Session.
func (c *Conn) SetRates(r Rates) {
	c.mu.Lock()
	c.rates = &r
	c.mu.Unlock()
	c.kick()
}

// SetGrant implements Session.
func (c *Conn) SetGrant(r Rate) {
	c.mu.Lock()
	c.grant = &r
	c.mu.Unlock()
	c.kick()
}

// SetExtents implements Session.
func (c *Conn) SetExtents(n uint64) {
	c.mu.Lock()
	c.extents = max(c.extents, n)
	c.mu.Unlock()
	c.kick()
}

// SetDrain implements Session.
func (c *Conn) SetDrain(r Rate) {
	c.mu.Lock()
	c.drainRate = &r
	c.mu.Unlock()
	c.kick()
}

// SetWindow raises Config.Window and Config.WindowMax for this session, such as when the peer has proved who it is. Lower values do
// nothing. It takes the session out of Config.Unproven.
func (c *Conn) SetWindow(window, windowMax int64) {
	c.mu.Lock()
	c.window, c.windowMax = window, windowMax
	c.mu.Unlock()
	c.kick()
}

// Stats implements Session.
func (c *Conn) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// Close implements Session.
func (c *Conn) Close(code Code, reason string) error {
	c.mu.Lock()
	if c.closing == nil {
		c.closing = &closeRequest{code, reason}
	}
	c.mu.Unlock()
	c.kick()
	<-c.ended
	if c.e.owned {
		c.e.wg.Wait()
	}
	return nil
}

// hasFinished tells a server's session that its client's Finished is there, and whoever waits for that; the client is told, too. It is called for every
// copy. ticket, which may be nil, is for the client's next session.
func (c *Conn) hasFinished(ticket []byte) {
	c.mu.Lock()
	c.finished++
	c.confirmed = true
	if ticket != nil {
		c.ticket = ticket
	}
	c.notify()
	c.mu.Unlock()
	c.kick()
}

// maxEarlyPieces is more than the copies of an honest client's early data come to while the session's goroutine does not look.
const maxEarlyPieces = 64

// receiveEarly gives the session parts of the message stream that came in EARLY packets. What finds no room comes again in short packets: such
// packets may be repeated at will, and nobody takes them from a session that has ended.
func (c *Conn) receiveEarly(p []piece) {
	c.mu.Lock()
	c.early = append(c.early, p[:min(len(p), maxEarlyPieces-len(c.early))]...)
	c.mu.Unlock()
	c.kick()
}

// expire ends a session whose client's Finished did not come, without a word: there may be nobody.
func (c *Conn) expire() {
	c.mu.Lock()
	c.expired = true
	c.mu.Unlock()
	c.kick()
}

// Done is closed when the session has ended for whatever reason; Err says which.
func (c *Conn) Done() <-chan struct{} { return c.ended }

// Err returns why the session ended, nil while it lives.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// peerError makes the error for a CLOSE frame.
func peerError(code uint64, reason []byte) *PeerError {
	return &PeerError{Code: Code(min(code, 1<<32-1)), Reason: printable(string(reason))}
}

// printable takes out of a peer's text what could confuse a terminal or a log.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

// fault turns an error of the core into ours.
func fault(err error) error {
	var p *core.ProtocolError
	switch {
	case errors.As(err, &p):
		return &ProtocolError{p.Reason}
	case errors.Is(err, core.ErrIdle):
		return ErrIdleTimeout
	case errors.Is(err, core.ErrMTU):
		return ErrPathMTU
	}
	return err
}
