package fasp

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/udp"
	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// reader is a socket of an endpoint, and what reads it.
type reader struct {
	sock   *udp.Socket
	batch  *udp.Batch
	readAt atomic.Int64             // when the socket was read last
	take   func(trains []udp.Train) // Endpoint.take of this reader
}

// reader is the one whose socket the session sends by, and which it helps. What comes for it may come by any: the system chooses by the peer's address.
func (c *Conn) reader() *reader { return c.e.readers[int(c.cid.Slot())%len(c.e.readers)] }

// read hands packets to their sessions until the socket is closed.
func (e *Endpoint) read(r *reader) {
	b := r.batch
	for {
		if err := r.sock.ReadBatch(b); err != nil {
			if !errors.Is(err, net.ErrClosed) {
				e.cfg.Logger.Error("reading from the socket failed", "error", err)
			}
			return
		}
		e.taking.Lock()
		e.take(r, b.Trains)
		e.taking.Unlock()
		b.Done()
		if c := e.only(); c != nil {
			c.hold()
		}
	}
}

// only returns the session that has the endpoint to itself, nil if there are none or several.
func (e *Endpoint) only() *Conn {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if len(e.conns) != 1 {
		return nil
	}
	for _, c := range e.conns {
		return c
	}
	return nil
}

// take hands out what came by a socket. One goroutine at a time does: a reader, or a session in its place. e.taking is held.
func (e *Endpoint) take(r *reader, trains []udp.Train) {
	now := e.now()
	r.readAt.Store(int64(now))
	kept := 0
	for _, other := range e.readers {
		kept += other.batch.Kept()
	}
	e.overload.read(trains, kept) // of the trains that are kept those of this batch are none yet
	for i := range trains {
		e.dispatch(r.batch, trains, i, now)
	}
	if e.overload.due(now) {
		if cpu, ok := cpuUsed(); ok {
			e.overload.ran(now, cpu, runtime.GOMAXPROCS(0))
			e.busy.Store(e.overload.busy > overloadBusy)
		}
		e.level.Store(e.overload.step(now, e.kernelDrops(), e.moved))
	}
}

// readWait is how long the socket may wait for the reader before a session that is at work anyway looks into it: where all processors are busy the
// runtime tells the reader of what has come up to 10 ms late.
const readWait = 500 * time.Microsecond

// help reads in the reader's place if that has not done so for a while, and tells whether it looked, which takes time. One session alone has the reader beside it,
// which may hold back what it does not keep up with.
func (c *Conn) help(now time.Duration) bool {
	e, r := c.e, c.reader()
	if now-time.Duration(r.readAt.Load()) <= readWait || e.owned || e.only() != nil {
		return false
	}
	// Who has taking may wait for buffers, perhaps for those that this session has: it must not wait in turn.
	if !e.taking.TryLock() {
		return false
	}
	defer e.taking.Unlock()
	r.readAt.Store(int64(now)) // whether there is something or not
	r.sock.TryBatch(r.batch, r.take)
	return true
}

// allowed is the level in force, 0 = none.
func (e *Endpoint) allowed() Rate {
	if l := e.level.Load(); l != noLevel {
		return Rate(l)
	}
	return 0
}

// moved appends what each session is expected to send and be sent, and returns what all of them did in the last dt, in bits per second.
func (e *Endpoint) moved(rates []int64, dt time.Duration) (list []int64, sum int64) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, c := range e.conns {
		r := int64(float64(int64(c.arrived)+c.departed.Swap(0)) * 8 / dt.Seconds())
		c.arrived = 0
		rates, sum = append(rates, c.load.next(r)), sum+r
	}
	return rates, sum
}

// dispatch hands out the packets of a train, which as a rule are of one session.
func (e *Endpoint) dispatch(b *udp.Batch, trains []udp.Train, train int, now time.Duration) {
	t := &trains[train]
	n := t.Len()
	for i := 0; i < n; {
		data := t.At(i)
		switch {
		case len(data) <= 1: // a dummy (docs/protocol.md section 2)
			i++
			continue
		case wire.IsLong(data):
			e.long(data, t.Addr)
			i++
			continue
		}
		cid, ok := shortCID(data)
		if !ok {
			e.dropped.Add(1)
			i++
			continue
		}
		j := i + 1
		for j < n {
			if next, ok := shortCID(t.At(j)); !ok || next != cid {
				break
			}
			j++
		}
		e.mu.RLock()
		c := e.conns[cid.Slot()]
		e.mu.RUnlock()
		if c == nil || c.cid != cid {
			e.dropped.Add(uint64(j - i))
			e.reset(cid, t.Addr, len(data))
			i = j
			continue
		}
		run := *t
		if n > 1 {
			run.Buf = t.Buf[i*t.Seg : min(j*t.Seg, len(t.Buf))]
		}
		size := len(run.Buf) + (j-i)*c.overhead
		c.arrived += size
		d := delivery{at: now - t.Age}
		d.train, d.buf = b.Keep(train, run)
		if !c.put(d) {
			// The session does not keep up; the network would have dropped them, too.
			e.overflow.Add(uint64(j - i))
			c.overflow.Add(uint64(j - i))
			e.overload.lost += size
			d.buf.Release()
		}
		i = j
	}
}

// shortCID returns the connection id of a short packet.
func shortCID(b []byte) (wire.CID, bool) {
	if len(b) < wire.FrameOverhead || wire.IsLong(b) {
		return 0, false
	}
	return wire.CID(b[1])<<32 | wire.CID(binary.BigEndian.Uint32(b[2:])), true
}

// long hands a datagram of long packets to the handshake it belongs to.
func (e *Endpoint) long(b []byte, from netip.AddrPort) {
	if len(b) < 13 || len(b) > 4096 {
		e.dropped.Add(1)
		return
	}
	hid := binary.BigEndian.Uint64(b[5:])
	e.mu.RLock()
	ch := e.dials[hid]
	e.mu.RUnlock()
	if hid == 0 && ch == nil {
		e.wasReset(b)
		return
	}
	data := append([]byte(nil), b...)
	if ch != nil {
		select {
		case ch <- data:
		default:
		}
		return
	}
	if e.greet == nil {
		e.dropped.Add(1)
		return
	}
	select {
	case e.greet <- greeting{data, from}:
	default:
		e.dropped.Add(1)
	}
}
