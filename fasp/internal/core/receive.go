package core

import (
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// ProtocolError says which rule of docs/protocol.md the peer broke; the session must end.
type ProtocolError struct{ Reason string }

func (e *ProtocolError) Error() string { return e.Reason }

func protocolError(s string) error { return &ProtocolError{s} }

// ExpandPN turns the low bits of a header into the packet number, and tells whether a packet of that number
// arrived already or is too old to tell (a replay, to be dropped).
func (c *Conn) ExpandPN(low uint32) (pn uint64, replay bool) {
	pn = wire.ExpandPN(c.seen.next, low)
	return pn, c.seen.has(pn)
}

// HighestReceived returns one more than the highest packet number received.
func (c *Conn) HighestReceived() uint64 { return c.seen.next }

// Lookup returns the block if a part of it is held and it is not whole, so that the driver may open a symbol
// straight into place.
func (c *Conn) Lookup(id uint32) *InBlock {
	if i := id - c.inBase; int(i) < len(c.in) {
		if b := c.in[i]; b != nil && !b.done {
			return b
		}
	}
	return nil
}

// SymbolSize returns P of a class of data packets, 0 = the class is not used.
func (c *Conn) SymbolSize(class uint8) int { return c.sizes[class] }

// DataResult says what a data packet brought.
type DataResult struct {
	Block     *InBlock // where the symbol belongs; nil for a duplicate
	Offset    int      // of the symbol in the block
	Duplicate bool
	Whole     bool // the block is complete: it is the layer above's until Freed
	Parity    bool // a parity symbol whose payload the driver has to keep until the block is whole
	Decode    bool // with Whole: data symbols that Block.Has not have to be computed from parity
	// Restarted is a block that has been cut anew: its parity is of no use any more. It may be set for a duplicate, too.
	Restarted *InBlock
}

// OnData records an authentic data packet with n bytes of payload. The only error is *ProtocolError.
func (c *Conn) OnData(now time.Duration, pn uint64, h *wire.Short, n int) (DataResult, error) {
	if c.seen.has(pn) {
		c.Stats.Dropped++
		return DataResult{Duplicate: true}, nil
	}
	if h.Class == wire.ClassParity && c.cfg.Parity {
		return c.onParity(now, pn, h, n)
	}
	p := c.sizes[h.Class]
	if p == 0 {
		return DataResult{}, protocolError("symbol of a size class that was not agreed on")
	}
	c.arrived(now, pn, h.Echo, n+wire.DataOverhead+c.cfg.IPOverhead)
	c.elicited(now)
	c.work(now)
	c.draw(now)
	c.train.arrived(c.arrivalOf(now), pn, h.Train)
	off := int(h.Symbol) * p
	if n > p || !h.Last && n != p || n == 0 || off+n > maxBlock {
		return DataResult{}, protocolError("symbol of a wrong size")
	}
	i := h.Block - c.inBase
	if i >= 1<<31 { // below the base: settled long ago
		c.Stats.Duplicates++
		return DataResult{Duplicate: true}, nil
	}
	sym := int(h.Symbol)
	if int(i) < len(c.in) && c.in[i] != nil {
		// What is left of a larger cut has been given up by the sender.
		if b := c.in[i]; b.done || b.Symbol == p && b.Has(sym) || b.Symbol != 0 && p > b.Symbol {
			c.Stats.Duplicates++
			return DataResult{Duplicate: true}, nil
		}
	}
	b, err := c.begin(i)
	if err != nil {
		return DataResult{}, err
	}
	var r DataResult
	if b.Symbol != p {
		if err := c.cutIn(b, int(h.Class), &r); err != nil {
			return DataResult{}, err
		}
	}
	switch {
	case b.total != 0 && (sym >= b.total || h.Last != (sym == b.total-1) || h.Last && off+n != b.Size),
		b.total == 0 && h.Last && off+n < b.reach:
		return DataResult{}, protocolError("symbols disagree on the length of a block")
	case b.Has(sym):
		c.Stats.Duplicates++
		r.Duplicate = true
		return r, nil
	case h.Last && b.total == 0:
		b.total, b.Size = sym+1, off+n
	}
	if end := off + n; end > b.reach {
		c.inHeld += charge(end) - charge(b.reach)
		b.reach = end
	}
	if c.freed+c.inHeld > c.creditGiven {
		return DataResult{}, protocolError("more data than the credit allows")
	}
	b.got.set(sym)
	b.nGot++
	c.Stats.Symbols++
	c.Stats.SymbolBytes += uint64(n)
	if c.FirstData == 0 {
		c.FirstData = now
	}
	c.LastNew = now
	r.Block, r.Offset = b, off
	if q := b.parity; q != nil {
		q.add(b.total, sym%Groups(b.total))
	}
	c.wholeBy(i, &r)
	return r, nil
}

// wholeIn stands for every block that is whole, so that the InBlock itself can be used again.
var wholeIn = &InBlock{done: true}

func (c *Conn) newIn(id uint32) *InBlock {
	if n := len(c.inFree); n > 0 {
		b := c.inFree[n-1]
		c.inFree = c.inFree[:n-1]
		*b = InBlock{ID: id}
		return b
	}
	return &InBlock{ID: id}
}

// Freed tells that the layer above has done with a whole block of the given size: credit grows by it. To
// follow what storage takes away, call it as blocks are released, in any order.
func (c *Conn) Freed(size int) {
	n := charge(size)
	c.freed += n
	c.inHeld -= n
	c.whole -= n
	c.raiseCredit()
}

// raiseCredit keeps the outstanding credit at the window, which grows with what the network holds in
// half-arrived blocks and with what is taken in two round trips, but not with what storage is slow to take: blocks that are whole and wait.
func (c *Conn) raiseCredit() {
	window := max(c.window, min(c.cfg.WindowMax, max(c.window+2*int64(c.inHeld-c.whole), c.drawn)))
	credit := c.freed + uint64(window)
	if credit > c.creditGiven {
		c.creditGiven = credit
	}
	if c.creditGiven-c.creditReported >= uint64(c.window)/16 {
		c.reportWanted = true
	}
}

// draw notes what the layer above takes in two round trips. A path that is longer than the window would be held up by it where nothing
// is lost, and so no block is half there.
func (c *Conn) draw(now time.Duration) {
	if now-c.drawAt < max(c.receiverRTT(), 10*time.Millisecond) {
		return
	}
	c.drawn = int64(float64(c.freed-c.drawFreed) * 2 * float64(c.receiverRTT()) / float64(now-c.drawAt))
	c.drawAt, c.drawFreed = now, c.freed
}

// Arrived tells when the packet given next to OnData or OnFrames came to this host, which may be some time before it is looked at: what is measured of the
// path should not depend on when the session got a processor. Without it a packet arrived when it is given. The order is that of the calls, whatever the clocks say.
func (c *Conn) Arrived(at time.Duration) {
	if c.at != never {
		at = max(at, c.at)
	}
	c.at = at
}

// arrivalOf returns when the packet in hand arrived.
func (c *Conn) arrivalOf(now time.Duration) time.Duration { return min(c.at, now) }

// arrived does what every authentic packet causes.
func (c *Conn) arrived(now time.Duration, pn uint64, echo uint16, ipBytes int) {
	if pn >= c.seen.next {
		c.highestAt = c.arrivalOf(now)
		c.lastArrival = now
	}
	c.track(pn)
	c.ecn.arrived()
	c.lastHeard = now
	c.Stats.PacketsIn++
	c.Stats.BytesIn += uint64(ipBytes)
	c.onEcho(now, echo)
}

// elicited notes that a packet wants a report.
func (c *Conn) elicited(now time.Duration) {
	c.reportWanted = true
	if c.eliciting == 0 {
		c.firstEliciting = now
	}
	c.eliciting++
	c.lastElicited = now
}

// work notes that the peer sent something of use.
func (c *Conn) work(now time.Duration) {
	c.worked = now
	c.silence = max(time.Second, 4*c.RTT())
}

// OnFrames handles an authentic frame packet of ipBytes. Frames that concern the driver (paths, CLOSE,
// HANDSHAKE_DONE, extensions) are handed to other; their Data is valid during the call. The error is
// *ProtocolError, or what other returned.
func (c *Conn) OnFrames(now time.Duration, pn uint64, echo uint16, frames []byte, ipBytes int, other func(*wire.Frame) error) error {
	if c.seen.has(pn) {
		c.Stats.Dropped++
		return nil
	}
	f := &c.frame
	// First pass: nothing is taken from a packet that is malformed or whose messages find no room.
	elicits := false
	for r := wire.NewReader(frames); r.Len() > 0; {
		if wire.ReadFrame(&r, f) != nil || f.Type == wire.FrameCrypto {
			return protocolError("malformed frame")
		}
		if f.Type == wire.FrameBlockSize && c.cfg.Parity && !goodBlockSizes(f.Data) {
			return protocolError("malformed frame")
		}
		if f.Type == wire.FrameMessage && (!c.msgIn.fits(f.Offset, len(f.Data)) || c.Tight && f.Offset >= firstMessages) {
			c.Stats.Dropped++
			return nil
		}
		elicits = elicits || wire.Elicits(f.Type)
	}
	c.arrived(now, pn, echo, ipBytes)
	if elicits {
		c.elicited(now)
		c.urgent = true
	}
	for r := wire.NewReader(frames); r.Len() > 0; {
		if err := wire.ReadFrame(&r, f); err != nil {
			return protocolError("malformed frame")
		}
		var err error
		switch f.Type {
		case wire.FramePadding, wire.FramePing:
		case wire.FrameReport:
			err = c.onReport(now, &f.Report)
		case wire.FrameDispersion:
			err = c.onDispersion(now, f.Data)
		case wire.FrameECN:
			if c.cfg.ECN {
				err = c.onECN(f.Data)
			}
		case wire.FrameMessage:
			c.work(now)
			err = c.msgIn.add(f.Offset, f.Data)
		case wire.FrameBlockSize:
			if c.cfg.Parity {
				err = c.blockSizes(f.Data)
			}
		default:
			if other != nil {
				err = other(f)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Messages returns the messages that have arrived in order since the last call; the caller owns them.
func (c *Conn) Messages() [][]byte {
	m := c.msgIn.ready
	c.msgIn.ready = nil
	return m
}

// MessageTaken tells that the layer above has consumed messages of that MessageCost, which makes room for more.
func (c *Conn) MessageTaken(cost int) { c.msgIn.held -= cost }
