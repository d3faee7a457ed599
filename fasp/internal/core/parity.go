package core

import (
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/fifo"
	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// Limits of docs/protocol.md section 6.
const (
	GroupMax  = 96  // data symbols of a group at most
	GroupRows = 256 // data and parity symbols of a group: what a code over GF(2^8) has

	maxGroups = (maxSymbols + GroupMax - 1) / GroupMax
	// maxParity is above every parity number that a block can have: 256 G - K.
	maxParity = GroupRows * maxGroups
)

// Groups returns how many groups a block of k symbols is cut into.
func Groups(k int) int { return (k + GroupMax - 1) / GroupMax }

// GroupSize returns how many of a block's k data symbols belong to group g: those numbered g modulo Groups(k).
func GroupSize(k, g int) int {
	n := Groups(k)
	return (k - g + n - 1) / n
}

// inParity is what the receiver knows of a block of which it has parity. Its existence means that the block's length is known.
type inParity struct {
	got  [(maxParity + 63) / 64]uint64
	have [maxGroups]int // data and parity symbols held, per group
	open int            // groups with fewer than they need
	kept int            // parity symbols whose payload the driver holds
}

func (q *inParity) has(j int) bool { return q.got[j>>6]&(1<<(j&63)) != 0 }
func (q *inParity) set(j int)      { q.got[j>>6] |= 1 << (j & 63) }

// startParity begins to count a block by groups, when the first of its parity arrives.
func (b *InBlock) startParity() *inParity {
	q := &inParity{open: Groups(b.total)}
	n := q.open
	for sym := range b.total {
		if b.got.has(sym) {
			q.have[sym%n]++
		}
	}
	for g := range n {
		if q.have[g] == GroupSize(b.total, g) {
			q.open--
		}
	}
	return q
}

// add counts one more symbol of group g.
func (q *inParity) add(total, g int) {
	q.have[g]++
	if q.have[g] == GroupSize(total, g) {
		q.open--
	}
}

// onParity records an authentic parity packet. A packet that cannot be kept is left out of what is reported, so that the
// sender takes it for lost: it settles a block by counting parity that was reported (section 8.3).
func (c *Conn) onParity(now time.Duration, pn uint64, h *wire.Short, n int) (DataResult, error) {
	j := int(h.Symbol)
	class := c.sizes.Of(n) // all symbols of parity are full, so that their length says how the block is cut
	if class < 0 || h.Last || j >= maxParity {
		return DataResult{}, protocolError("parity symbol of a wrong size or number")
	}
	i := h.Block - c.inBase
	var b *InBlock
	if i < 1<<31 {
		if err := c.mayBegin(i); err != nil {
			return DataResult{}, err
		}
		if int(i) >= len(c.in) || c.in[i] == nil || c.in[i].Size == 0 && !c.in[i].done {
			// Which group it belongs to follows from the block's length, which is not known.
			c.Stats.ParityDropped++
			return DataResult{Duplicate: true}, nil
		}
		b = c.in[i]
	}
	unused := func() (DataResult, error) {
		c.arrived(now, pn, h.Echo, n+wire.DataOverhead+c.cfg.IPOverhead)
		c.elicited(now)
		c.Stats.ParityIn++
		return DataResult{Duplicate: true}, nil
	}
	if b == nil || b.done || b.Symbol != 0 && n > b.Symbol {
		return unused()
	}
	var r DataResult
	if b.Symbol != n {
		if err := c.cutIn(b, class, &r); err != nil {
			return DataResult{}, err
		}
	}
	groups := Groups(b.total)
	g, row := j%groups, j/groups
	need := GroupSize(b.total, g)
	if row >= GroupRows-need {
		return DataResult{}, protocolError("parity symbol of a wrong size or number")
	}
	q := b.parity
	if q == nil {
		q = b.startParity()
		b.parity = q
	}
	if q.has(j) || q.have[g] >= need {
		u, err := unused()
		u.Restarted = r.Restarted
		return u, err
	}
	if c.parityHeld+int64(n) > c.window/4 {
		c.Stats.ParityDropped++
		r.Duplicate = true
		return r, nil
	}
	c.arrived(now, pn, h.Echo, n+wire.DataOverhead+c.cfg.IPOverhead)
	c.elicited(now)
	c.work(now)
	c.Stats.ParityIn++
	c.parityHeld += int64(n)
	q.kept++
	q.set(j)
	q.add(b.total, g)
	c.LastNew = now
	r.Block, r.Parity = b, true
	c.wholeBy(i, &r)
	return r, nil
}

// wholeBy finishes a block if what is held of it is enough.
func (c *Conn) wholeBy(i uint32, r *DataResult) {
	b := r.Block
	q := b.parity
	if b.nGot != b.total && (q == nil || q.open > 0) {
		return
	}
	if q != nil {
		c.parityHeld -= int64(q.kept) * int64(b.Symbol)
		if b.nGot < b.total {
			r.Decode = true
			c.Stats.BlocksDecoded++
			c.Stats.ParityUsed += uint64(b.total - b.nGot)
		}
		b.parity = nil
	}
	c.in[i] = wholeIn
	r.Whole = true
	c.whole += charge(b.Size)
	c.Stats.BlocksIn++
	c.Stats.BlockBytesIn += uint64(b.Size)
	for len(c.in) > 0 && c.in[0] != nil && c.in[0].done {
		c.in = c.in[1:]
		c.inBase++
		c.inBegun--
	}
}

// mayBegin tells whether a block that is i above the oldest may be spoken of.
func (c *Conn) mayBegin(i uint32) error {
	if i >= maxAhead {
		return protocolError("block too far ahead of the oldest")
	}
	if int(i) >= len(c.in) {
		// Each block before it that has not begun needs its own part of the credit that is left.
		if left := c.creditGiven - min(c.creditGiven, c.freed+c.inHeld); uint64(int(i)+1-c.inBegun)*minCharge > left {
			return protocolError("block beyond the credit")
		}
	}
	return nil
}

// begin returns the block that is i above the oldest, which is not whole, and begins it if it has not begun.
func (c *Conn) begin(i uint32) (*InBlock, error) {
	if err := c.mayBegin(i); err != nil {
		return nil, err
	}
	for int(i) >= len(c.in) {
		c.in = fifo.Push(c.in, nil)
	}
	b := c.in[i]
	if b == nil {
		b = c.newIn(c.inBase + i)
		c.in[i] = b
		c.inBegun++
		c.Begun++
		c.inHeld += minCharge
		c.raiseCredit()
	}
	return b, nil
}

// onBlockSize learns a block's length from a BLOCK_SIZE frame (section 5.1).
func (c *Conn) onBlockSize(block uint32, size int) error {
	i := block - c.inBase
	if i >= 1<<31 || int(i) < len(c.in) && c.in[i] != nil && c.in[i].done {
		return nil
	}
	if c.Tight && (int(i) >= len(c.in) || c.in[i] == nil) {
		return nil
	}
	b, err := c.begin(i)
	if err != nil {
		return err
	}
	if b.Size != 0 {
		if b.Size != size {
			return protocolError("BLOCK_SIZE disagrees on the length of a block")
		}
		return nil
	}
	// What has been seen was not the last symbol, so there is more.
	if b.reach >= size {
		return protocolError("BLOCK_SIZE disagrees on the length of a block")
	}
	b.Size = size
	if b.Symbol != 0 {
		b.total = (size + b.Symbol - 1) / b.Symbol
	}
	c.inHeld += charge(size) - charge(b.reach)
	b.reach = size
	if c.freed+c.inHeld > c.creditGiven {
		return protocolError("more data than the credit allows")
	}
	return nil
}

// blockSizes handles the body of a BLOCK_SIZE frame.
func (c *Conn) blockSizes(body []byte) error { return wire.ReadBlockSizes(body, c.onBlockSize) }

// goodBlockSizes tells whether the body of a BLOCK_SIZE frame is well formed.
func goodBlockSizes(body []byte) bool {
	return wire.ReadBlockSizes(body, func(uint32, int) error { return nil }) == nil
}
