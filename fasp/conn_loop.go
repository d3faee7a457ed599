package fasp

import (
	"errors"
	"net/netip"
	"runtime"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/core"
	"github.com/tradewind-io/tradewind/fasp/internal/fifo"
	"github.com/tradewind-io/tradewind/fasp/internal/udp"
	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// connLoop is the part of a session that its goroutine owns: the core, the keys, the path.
type connLoop struct {
	c       *Conn
	core    *core.Conn
	tx, rx  *trafficKeys
	peerCID wire.CID
	path    pathState
	finish  *flightSender // client: Finished, until the server shows that it has it
	early   bool          // early data was accepted
	tickets ticketLoop

	grant, granted Rate   // to the peer: by the layer above, and in effect
	rates, rated   Rates  // of this side, likewise
	held           *Block // taken from the queue, waiting for credit
	scratch        []byte
	sendBuf        []byte // within a turn
	trains         []udp.Train
	packet         core.Packet
	inBlocks       []*Block // whole since the last publish
	lastClass      int      // of buffers: the last whole block's
	partial        int64    // bytes of buffers of blocks that are not whole
	proven         bool     // it has left Config.Unproven
	charged        int64    // of Config.Unproven
	begun          uint64   // blocks that have been charged
	parity         parityState
	closing        []byte // the CLOSE frame, once this side ends the session
	closeAt        [3]time.Duration
	closeSent      int
	forged         uint64
	refused        uint64 // data packets that found no room in Config.Unproven
	rekeys         uint64
	started        time.Duration
	busy           busyMeter
	woke           time.Duration // when the goroutine last began to work after a wait
	host           netip.Addr    // that Paths was told the session is with; invalid: it was told nothing
	noted          time.Duration // when Paths was told last
	fatal          error

	// Server: until the client's Finished is there, little may be sent (docs/protocol.md section 4.7).
	confirmed  bool
	beforehand int // IP bytes sent until then; client: bytes of kept
	// Client: packets that came before the keys.
	kept []packet
}

// turnPackets bounds what one turn sends before it looks at the clock and the inbox again.
const turnPackets = 128

// napMost is the longest wait for the pacer that is a nap: a timer that is a millisecond late makes a burst of two packets at most when they
// are further apart. What comes in waits until the nap is over.
// A nap is never shorter than some 70 microseconds, so that of less than napLeast it would be late by as much as it is long.
const (
	napLeast = 100 * time.Microsecond
	napMost  = 1200 * time.Microsecond
	napLate  = 300 * time.Microsecond // from which on a nap was late
	napPause = 200 * time.Millisecond // without naps after one that was
)

// run drives the session until it ends.
func (c *Conn) run() {
	l := &c.loop
	if c.dial != nil {
		if err := c.openEarly(); err != nil {
			c.mu.Lock()
			c.err = err
			c.notify()
			c.mu.Unlock()
			c.log.Debug("session not opened", "reason", err)
			c.end()
			return
		}
	}
	l.started = c.e.now()
	l.receiveKept()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := c.e.now()
		for range 8 {
			select {
			case d := <-c.inbox:
				now = c.e.now() // arrival times are measurements: those of a train above all
				l.receive(now, d)
				continue
			default:
			}
			break
		}
		if c.help(now) {
			now = c.e.now() // what is sent now did not wait on the path meanwhile
		}
		l.pull(now)
		more := l.transmit(now)
		if err := l.core.Check(now); err != nil && l.fatal == nil {
			l.fatal = fault(err)
			if err == core.ErrMTU {
				l.startClose(now, closeRequest{CodeTimeout, "full-size datagrams do not arrive"})
			}
		}
		l.publish(now)
		l.notePath(now)
		if l.finished(now) {
			break
		}
		if more {
			l.yield()
			continue
		}
		wait := l.deadline(now) - now
		if wait <= 0 {
			l.yield()
			continue
		}
		idle := c.e.now()
		if c.mayNap(wait) && c.e.nap(wait) {
			l.awake(idle)
			continue
		}
		timer.Reset(wait)
		select {
		case d := <-c.inbox:
			l.receive(l.awake(idle), d)
			continue
		case <-c.wake:
		case <-timer.C:
		}
		l.awake(idle)
	}
	c.end()
}

// yield lets other goroutines work where this process has most of the processors: the runtime would let this one go on for 10 ms, and packets would wait for the others.
// Where other processes have them, those do not give way either.
func (l *connLoop) yield() {
	if l.c.e.busy.Load() {
		runtime.Gosched()
	}
}

// mayNap tells whether the session waits for nothing but the pacer, and that for a time that is worth a nap. What is there already does not
// wait: a turn takes in a part of the inbox only, and with a nap between two of them it would fill and overflow.
func (c *Conn) mayNap(wait time.Duration) bool {
	return wait >= napLeast && wait < napMost && len(c.inbox) == 0 && c.loop.core.Paced()
}

// end lets go of everything when the session has ended.
func (c *Conn) end() {
	l := &c.loop
	if l.host.IsValid() {
		c.e.cfg.Paths.leave(l.host)
	}
	c.e.forget(c)
	c.gone.Store(true)
	c.empty()
	c.unhold()
	if l.core != nil {
		l.prove()
		l.core.Abandon(func(ref any) { ref.(*Block).Release() })
	}
	c.mu.Lock()
	left := c.out
	c.out = nil
	c.mu.Unlock()
	if l.held != nil {
		left = append(left, l.held)
	}
	for _, b := range left {
		b.Release()
	}
	close(c.ended)
}

func (l *connLoop) deadline(now time.Duration) time.Duration {
	if l.closing != nil {
		return l.closeAt[l.closeSent]
	}
	at := l.core.Deadline(now)
	if l.muted() {
		at = now + time.Hour // until the Finished comes, or the greeter gives up
	}
	at = min(at, l.tickets.deadline())
	if l.finish != nil {
		at = min(at, l.finish.next)
	}
	return min(at, l.path.deadline())
}

// finished ends the session once the reason has been told to the peer.
func (l *connLoop) finished(now time.Duration) bool {
	c := l.c
	if l.fatal == nil || l.closing != nil && l.closeSent < len(l.closeAt) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = l.fatal
		c.log.Debug("session ended", "reason", l.fatal)
	}
	c.notify()
	return true
}

// fail ends the session for something the peer did.
func (l *connLoop) fail(now time.Duration, err error) {
	if l.fatal != nil {
		return
	}
	l.fatal = fault(err)
	if p, ok := l.fatal.(*ProtocolError); ok {
		l.c.log.Warn("peer broke the protocol", "reason", p.Reason)
		l.startClose(now, closeRequest{CodeProtocol, p.Reason})
	}
}

// startClose begins to send CLOSE three times (docs/protocol.md section 5.8).
func (l *connLoop) startClose(now time.Duration, r closeRequest) {
	if l.closing != nil {
		return
	}
	reason := []byte(r.reason)
	l.closing = wire.AppendFrame(nil, &wire.Frame{Type: wire.FrameClose, Code: uint64(r.code), Data: reason[:min(len(reason), wire.MaxReason)]})
	l.closeAt = [3]time.Duration{now, now + 5*time.Millisecond, now + 20*time.Millisecond}
}

// pull takes the layer above's requests over.
func (l *connLoop) pull(now time.Duration) {
	c := l.c
	c.mu.Lock()
	if r := c.closing; r != nil && l.fatal == nil {
		l.fatal = ErrClosed
		c.err = ErrClosed
		c.notify()
		l.startClose(now, *r)
	}
	for _, n := range c.freed {
		l.core.Freed(n)
	}
	c.freed = c.freed[:0]
	if c.taken > 0 {
		l.core.MessageTaken(c.taken)
		c.taken = 0
	}
	if c.rates != nil {
		l.rates = *c.rates
		c.rates = nil
	}
	if c.grant != nil {
		l.grant = *c.grant
		c.grant = nil
	}
	l.share(now)
	if c.drainRate != nil {
		l.core.SetDrain(int64(*c.drainRate))
		c.drainRate = nil
	}
	if c.extents > 0 {
		l.core.SetExtents(c.extents)
		c.extents = 0
	}
	if c.window > 0 {
		l.core.SetWindow(c.window, c.windowMax)
		c.window = 0
		l.prove()
	}
	waiting := len(c.outMessages) > 0 || !c.room
	for len(c.outMessages) > 0 && l.core.MessageRoom() {
		m := c.outMessages[0]
		c.outMessages = c.outMessages[1:]
		c.outMsgBytes -= len(m)
		l.core.AddMessage(m)
	}
	c.room = l.core.MessageRoom()
	if waiting && c.room {
		c.notify()
	}
	if c.finished > 0 {
		l.core.Control([]byte{wire.FrameConfirmed}, 0)
		l.core.Ping()
		c.finished = 0
	}
	l.confirmed = c.confirmed
	if c.ticket != nil {
		l.tickets.offer(c.ticket, now, c.e.cfg.HandshakeTimeout)
		c.ticket = nil
	}
	if c.forgotten && l.fatal == nil {
		l.fatal = ErrReset
	}
	if c.expired && l.fatal == nil {
		l.fatal = ErrHandshakeTimeout
	}
	drain, early := c.drain, c.early
	c.early = nil
	c.mu.Unlock()
	for _, p := range early {
		if err := l.core.EarlyMessage(p.offset, p.data); err != nil {
			l.fail(now, err)
		}
	}
	l.queueBlocks(now)
	if drain && l.held == nil {
		c.mu.Lock()
		empty := len(c.out) == 0
		c.mu.Unlock()
		if empty {
			l.core.Flush()
		}
	}
}

// share keeps the session within what this endpoint can do for each: of what the peer sends, and of what it sends itself.
func (l *connLoop) share(now time.Duration) {
	level := l.c.e.allowed()
	switch {
	case level != 0:
		l.core.SetLoad(core.Crowded)
	case l.c.e.busy.Load():
		l.core.SetLoad(core.Busy)
	default:
		l.core.SetLoad(core.Idle)
	}
	under := func(r Rate) Rate {
		if level != 0 && (r == 0 || level < r) {
			return level
		}
		return r
	}
	if g := under(l.grant); g != l.granted {
		l.granted = g
		l.core.SetGrant(int64(g))
	}
	r := l.rates
	r.Target = under(r.Target)
	if r != l.rated {
		l.rated = r
		l.core.SetRates(now, coreRates(r))
	}
}

// queueBlocks gives the core enough to send until the next turn.
func (l *connLoop) queueBlocks(now time.Duration) {
	c := l.c
	// 8 ms of sending, in case this goroutine does not get the processor, but no more: what is queued here cannot be taken back.
	target := max(256<<10, l.core.Rate()/8*8/1000)
	for l.core.Unsent() < target {
		if l.held == nil {
			c.mu.Lock()
			if len(c.out) > 0 {
				l.held = c.out[0]
				c.out[0] = nil
				c.out = c.out[1:]
				was := c.outBytes
				c.outBytes -= int64(len(l.held.Data))
				if was >= outQueueBytes && c.outBytes < outQueueBytes {
					c.notify()
				}
			}
			c.mu.Unlock()
			if l.held == nil {
				c.mu.Lock()
				waits := c.extentWaits > 0
				c.mu.Unlock()
				l.core.Blocked(waits)
				return
			}
		}
		if !l.core.MayAdd(len(l.held.Data), l.held.Extent) {
			l.core.Blocked(true)
			return
		}
		l.core.Blocked(false)
		l.core.AddBlock(now, len(l.held.Data), l.held.Extent, l.held)
		l.held = nil
	}
}

// publish hands to the layer above what this turn brought.
func (l *connLoop) publish(now time.Duration) {
	c := l.c
	if len(l.core.Settled) > 0 {
		for _, b := range l.core.Settled {
			b.Ref.(*Block).Release()
			l.core.Recycle(b)
		}
		l.core.Settled = l.core.Settled[:0]
		if n, _ := l.core.Unsettled(); n == 0 {
			l.parity.idle()
		}
	}
	msgs := l.core.Messages()
	blocks, bytes := l.core.Unsettled()
	s := l.stats(now)
	c.mu.Lock()
	c.messages = append(c.messages, msgs...)
	for _, b := range l.inBlocks {
		c.blocks = fifo.Push(c.blocks, b)
	}
	settled := blocks == 0 && bytes == 0 && l.held == nil && len(c.out) == 0 && len(c.outMessages) == 0
	if len(msgs) > 0 || len(l.inBlocks) > 0 || settled && !c.settled || c.peerExtents != l.core.Extents() {
		c.notify()
	}
	c.peerExtents = l.core.Extents()
	if settled {
		c.drain = false
	}
	c.settled = settled
	c.stats = s
	c.mu.Unlock()
	clear(l.inBlocks)
	l.inBlocks = l.inBlocks[:0]
}

func (l *connLoop) stats(now time.Duration) Stats {
	k := &l.core.Stats
	rtt := l.core.RTT()
	return Stats{
		Busy: l.busy.share(now), Level: l.c.e.allowed(),
		Since: now - l.started, RTT: rtt, MinRTT: l.core.MinRTT(), Rate: Rate(l.core.Rate()), Datagram: l.core.Datagram(), Burst: l.core.Burst(), Granted: Rate(l.core.Grant()), Drain: Rate(l.core.Drain()), Loss: l.core.Loss(),
		PacketsSent: k.PacketsOut, PacketsReceived: k.PacketsIn, BytesSent: k.BytesOut, BytesReceived: k.BytesIn, PeerPackets: l.core.HighestReceived(),
		ECN: ECNState(l.core.ECN()), Marked: k.Marked, SizeFalls: k.Falls, ParitySent: k.ParityOut, BlocksDecoded: k.BlocksDecoded,
		DataSent: k.DataOut, Resent: k.Resent, TailCopies: k.Tail,
		Lost: k.Lost, SpuriousLoss: k.Spurious, SymbolsReceived: k.Symbols, Duplicates: k.Duplicates,
		BlocksSent: k.BlocksOut, BlocksReceived: k.BlocksIn, BlockBytesSent: k.BlockBytesOut, BlockBytesReceived: k.BlockBytesIn,
		Dropped: k.Dropped + k.ParityDropped + l.forged + l.refused, Breaker: k.Breaker, Rekeys: l.rekeys, LocalDrops: l.c.localDrops(), CreditWaits: k.CreditWaits,
	}
}

// notePath remembers once a second what the path takes.
func (l *connLoop) notePath(now time.Duration) {
	if now-l.noted < time.Second && l.fatal == nil {
		return
	}
	l.noted = now
	if rate, rtt := l.core.Known(), l.core.MinRTT(); rate > 0 && rtt > 0 {
		l.c.e.cfg.Paths.note(l.c.peer.Load().Addr(), Rate(rate), rtt, time.Now())
	}
}

// awake notes that the goroutine works again, after it waited since idle, and returns the time.
func (l *connLoop) awake(idle time.Duration) time.Duration {
	l.woke = l.c.e.now()
	l.busy.idled(l.woke - idle)
	return l.woke
}

// receive handles the packets of one delivery. For the path it arrived when it came to this host, and as long after that as the session has
// been at work: while it is, packets wait for it as they would in any queue, and what it cannot take in is not to be sent. That it got no processor before is no queue.
func (l *connLoop) receive(now time.Duration, d delivery) {
	d.at = now - max(0, l.woke-d.at)
	for i := range d.train.Len() {
		if l.fatal != nil {
			break
		}
		if err := l.receivePacket(now, d.packet(i)); err != nil {
			l.fail(now, err)
		}
	}
	l.c.done(d)
}

// receiveKept handles what came while a client's handshake was under way.
func (l *connLoop) receiveKept() {
	now := l.c.e.now()
	for _, p := range l.kept {
		if err := l.receivePacket(now, p); err != nil {
			l.fail(now, err)
			break
		}
	}
	l.kept = nil
}

func (l *connLoop) receivePacket(now time.Duration, p packet) error {
	h, err := wire.ParseShort(p.data)
	if err != nil {
		l.forged++
		return nil
	}
	pn, replay := l.core.ExpandPN(h.PN)
	if replay {
		l.forged++
		return nil
	}
	newest := pn >= l.core.HighestReceived()
	l.core.Arrived(p.at)
	l.core.Mark(p.ecn)
	if !h.Data {
		frames, err := l.rx.open(l.scratch[:0], &h, pn, p.data)
		if err != nil {
			l.forged++
			return nil
		}
		l.authentic(now, p.from, newest, len(p.data))
		from := p.from
		if l.core.Tight = !l.roomForStranger(); !l.core.Tight {
			l.charge(len(frames)) // messages are kept
		}
		err = l.core.OnFrames(now, pn, h.Echo, frames, len(p.data)+l.c.overhead, func(f *wire.Frame) error { return l.frame(now, from, f) })
		l.chargeBegun()
		return err
	}
	if !l.roomForStranger() {
		l.refused++
		return nil
	}
	n := len(p.data) - wire.DataOverhead
	size := l.core.SymbolSize(h.Class)
	off := int(h.Symbol) * size
	// A symbol that is not there yet is opened straight into its place; if it does not authenticate the place is still empty.
	dst := l.scratch[:0]
	in := l.core.Lookup(h.Block)
	placed := false
	if in != nil && h.Class != wire.ClassParity && in.Symbol == size && !in.Has(int(h.Symbol)) && n <= size {
		if buf, _ := in.Ref.(*buffer); buf != nil && off+n <= len(buf.data) {
			dst, placed = buf.data[off:off:off+n], true
		}
	}
	payload, err := l.rx.open(dst, &h, pn, p.data)
	if err != nil {
		l.forged++
		return nil
	}
	l.authentic(now, p.from, newest, len(p.data))
	r, err := l.core.OnData(now, pn, &h, n)
	l.chargeBegun()
	if r.Restarted != nil {
		l.dropParity(r.Restarted)
	}
	if err != nil || r.Duplicate {
		return err
	}
	if r.Parity {
		l.keepParity(r.Block, int(h.Symbol), payload)
	} else if !placed {
		l.place(r.Block, r.Offset, payload)
	}
	if r.Whole {
		l.decode(r.Block, r.Decode)
		buf := r.Block.Ref.(*buffer)
		n := r.Block.Size
		l.partial -= int64(len(buf.data))
		l.lastClass = bufferClass(n)
		if l.lastClass < buf.class {
			// The guess was too large, and the layer above may keep the block for long.
			fit := l.c.e.buffers.get(n)
			copy(fit.data, buf.data[:n])
			l.c.e.buffers.put(buf)
			buf = fit
		}
		l.inBlocks = append(l.inBlocks, NewBlock(buf.data[:n], func(*Block) { l.c.release(buf, n) }))
		l.core.RecycleIn(r.Block)
	}
	return nil
}

// place copies a symbol into the block's buffer, which it makes or enlarges.
func (l *connLoop) place(b *core.InBlock, off int, payload []byte) {
	buf, _ := b.Ref.(*buffer)
	end := off + len(payload)
	if buf == nil || end > len(buf.data) {
		// How large the block is shows only with its last symbol; the last block's size is a good guess, as long as guesses
		// do not take more than credit stands for.
		want := max(end, b.Size)
		if guess := bufferClasses[l.lastClass]; b.Size == 0 && l.partial+int64(guess) <= l.core.Window() {
			want = max(want, guess)
		}
		bigger := l.c.e.buffers.get(want)
		l.charge(len(bigger.data))
		l.partial += int64(len(bigger.data))
		if buf != nil {
			copy(bigger.data, buf.data)
			l.partial -= int64(len(buf.data))
			l.c.e.buffers.put(buf)
		}
		buf = bigger
		b.Ref = buf
	}
	copy(buf.data[off:], payload)
}

// authentic does what every packet that opened causes.
func (l *connLoop) authentic(now time.Duration, from netip.AddrPort, newest bool, n int) {
	if !l.early {
		l.finish = nil // the server sends short packets only when it has our Finished
	}
	l.path.heard(l, now, from, newest, n)
}

// frame handles the frames that the core leaves to us.
func (l *connLoop) frame(now time.Duration, from netip.AddrPort, f *wire.Frame) error {
	switch f.Type {
	case wire.FrameClose:
		if l.fatal == nil {
			l.fatal = peerError(f.Code, f.Data)
		}
	case wire.FrameConfirmed:
		l.finish = nil
	case wire.FrameTicket:
		return l.ticket(f.Data)
	case wire.FramePathChallenge:
		l.path.challenged(l, from, f.Data)
	case wire.FramePathResponse:
		l.path.answered(l, from, f.Data)
	}
	return nil
}

// transmit sends what the core has to send now; it returns true if there may be more.
func (l *connLoop) transmit(now time.Duration) (more bool) {
	if l.finish != nil && now >= l.finish.next {
		l.c.e.send(l.finish.take(now), *l.c.peer.Load())
		if l.finish.over(now) {
			l.finish = nil
		}
	}
	l.path.turn(l, now)
	if l.tickets.due(now) && l.closing == nil {
		l.core.Control(l.tickets.frame, 0)
	}
	limit := turnPackets
	if l.closing != nil {
		if now < l.closeAt[l.closeSent] {
			return false
		}
		l.closeSent++
		// The peer learns with the end what arrived before it, and does not take its last messages for lost.
		l.core.Control(append(l.core.LastReport(now), l.closing...), 0)
		limit = 1
	}
	main := *l.c.peer.Load()
	l.trains = l.trains[:0]
	var sealed *sealedPackets
	n := 0
	for ; n < limit && !l.muted() && l.core.Next(now, &l.packet); n++ {
		p := &l.packet
		if sealed == nil {
			// One of the packets may be a probe of the largest size there is.
			sealed = takeSealed((turnPackets-1)*l.core.Datagram() + l.core.LargestDatagram())
			l.sendBuf = sealed.buf
		}
		if l.tx.phase != l.wantPhase(p.PN) {
			l.tx.rekey(p.PN)
			l.rekeys++
		}
		h := wire.Short{CID: l.peerCID, PN: uint32(p.PN), Echo: p.Echo}
		payload := p.Frames
		to := main
		if p.Data {
			h.Data, h.Class, h.Block, h.Symbol, h.Last, h.Train = true, p.Block.Class, p.Block.ID, p.Symbol, p.Last, p.Train
			data := p.Block.Ref.(*Block).Data
			if p.Parity {
				h.Class = wire.ClassParity
				payload = l.parity.row(p, data)
			} else {
				payload = data[p.Offset : p.Offset+p.Len]
			}
		} else if p.Path == candidate {
			to = l.path.candidate
		}
		start := len(l.sendBuf)
		l.sendBuf = l.tx.seal(l.sendBuf, &h, p.PN, payload)
		l.append(to, start, p.ECT)
		if !l.confirmed {
			l.beforehand += len(l.sendBuf) - start + l.c.overhead
		}
	}
	if len(l.trains) > 0 {
		l.c.departed.Add(int64(len(l.sendBuf) + n*l.c.overhead))
		if err := l.c.e.writeTo(l.c.reader().sock, l.trains); err != nil {
			var tooLarge *udp.SizeError
			if errors.As(err, &tooLarge) {
				l.core.Refused(now, tooLarge.Size)
			}
		}
	}
	if sealed != nil {
		sealed.release()
		l.sendBuf = nil
	}
	return n == limit && l.closing == nil
}

// muted tells that the session has sent all that it may before the client's Finished is there.
func (l *connLoop) muted() bool {
	return !l.confirmed && l.beforehand >= maxUnconfirmed && l.closing == nil
}

// append adds the packet at the end of sendBuf to the last train, if it fits there, or to a new one.
func (l *connLoop) append(to netip.AddrPort, start int, ect bool) {
	n := len(l.sendBuf) - start
	mark := uint8(wire.NotECT)
	if ect {
		mark = wire.ECT0
	}
	if k := len(l.trains) - 1; k >= 0 {
		t := &l.trains[k]
		if t.Addr == to && t.ECN == mark && n <= t.Seg && len(t.Buf)%t.Seg == 0 {
			t.Buf = t.Buf[:len(t.Buf)+n]
			return
		}
	}
	l.trains = append(l.trains, udp.Train{Addr: to, Buf: l.sendBuf[start:len(l.sendBuf):cap(l.sendBuf)], Seg: n, ECN: mark})
}

// rekeyEvery is the number of packets a key seals (docs/protocol.md section 5.3).
const rekeyEvery = 1 << 22

// wantPhase tells the phase that packet pn should have.
func (l *connLoop) wantPhase(pn uint64) bool {
	n := pn - l.tx.since
	if n < l.c.e.rekeyEvery {
		return l.tx.phase
	}
	if l.tx.since == 0 || l.core.PhaseReported(l.tx.since) {
		return !l.tx.phase
	}
	if n == l.c.e.rekeyEvery || n%64 == 0 {
		l.core.Ping() // a side that only reports gets no reports itself, unless it asks
	}
	return l.tx.phase
}
