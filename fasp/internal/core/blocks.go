package core

import "math/bits"

// maxSymbols is the number of symbols a 1 MiB block has at the smallest datagram, rounded up to words.
const maxSymbols = 1024

// minCharge is what a block costs of the credit at least, so that credit also bounds the number of blocks.
const minCharge = 1024

func charge(size int) uint64 { return uint64(max(size, minCharge)) }

type symSet [maxSymbols / 64]uint64

func (s *symSet) has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }
func (s *symSet) set(i int)      { s[i>>6] |= 1 << (i & 63) }
func (s *symSet) clear(i int)    { s[i>>6] &^= 1 << (i & 63) }

// first returns the lowest member at or above i, or -1.
func (s *symSet) first(i int) int {
	for w := i >> 6; w < len(s); w++ {
		v := s[w]
		if w == i>>6 {
			v = v >> (i & 63) << (i & 63)
		}
		if v != 0 {
			return w<<6 + bits.TrailingZeros64(v)
		}
	}
	return -1
}

// recut returns which of the symbols of size to are covered by those of size from that are in s, and how many. The block is size bytes
// long; 0 = not known, so that its last symbol is not in s.
func (s *symSet) recut(from, to, size int) (out symSet, n int) {
	if size == 0 {
		size = maxBlock
	}
	for sym := 0; sym*to < size && sym < maxSymbols; sym++ {
		end := min(sym*to+to, size)
		i := sym * to / from
		for i*from < end && s.has(i) {
			i++
		}
		if i*from >= end {
			out.set(sym)
			n++
		}
	}
	return out, n
}

// OutBlock is a block on its way out. What is exported may be read by the driver.
type OutBlock struct {
	ID     uint32
	Size   int
	Ref    any // the driver's own: where the bytes are
	Symbol int // P: bytes of a symbol but the last
	Class  uint8
	extent uint64

	symbols int // K
	next    int // first symbol never sent
	nAcked  int
	nLost   int
	acked   symSet
	lost    symSet
	last    []uint64 // per symbol: the latest packet number that carried it
	tx      []uint8  // per symbol: how often it was sent, at most 255

	parity *outParity // once the block has been in the tail (section 8.3)
}

// symbolLen returns the offset and length of symbol i.
func (b *OutBlock) symbolLen(i int) (off, n int) {
	off = i * b.Symbol
	return off, min(b.Symbol, b.Size-off)
}

// cut divides the block into symbols, of which none was sent.
func (b *OutBlock) cut(symbol int) {
	k := (b.Size + symbol - 1) / symbol
	if cap(b.last) < k {
		b.last, b.tx = make([]uint64, k), make([]uint8, k)
	}
	b.last, b.tx = b.last[:k], b.tx[:k]
	clear(b.last)
	clear(b.tx)
	b.Symbol, b.symbols = symbol, k
}

// outQueue holds the blocks that are not settled, by number, oldest first.
type outQueue struct {
	blocks   []*OutBlock // blocks[i].ID == base+i; nil = settled
	base     uint32
	fresh    int // index of the first block with symbols never sent
	lostHint int // no block below this index has lost symbols
	nLost    int // lost symbols in all
	unsent   int64
	open     int // blocks not settled
	free     []*OutBlock
}

func (q *outQueue) add(size, symbol int, extent uint64, ref any) *OutBlock {
	var b *OutBlock
	if n := len(q.free); n > 0 {
		b = q.free[n-1]
		q.free = q.free[:n-1]
		last, tx := b.last, b.tx
		*b = OutBlock{last: last, tx: tx}
	} else {
		b = &OutBlock{}
	}
	b.ID, b.Size, b.Ref, b.extent = q.base+uint32(len(q.blocks)), size, ref, extent
	b.cut(symbol)
	q.blocks = append(q.blocks, b)
	q.unsent += int64(size)
	q.open++
	return b
}

// recut divides a block into smaller symbols. What the peer has of it stays, as far as it fills such symbols; the rest of what was sent
// counts as lost.
func (q *outQueue) recut(b *OutBlock, class uint8, symbol int) {
	sent := b.next * b.Symbol
	q.nLost -= b.nLost
	b.nLost, b.lost, b.parity = 0, symSet{}, nil
	b.acked, b.nAcked = b.acked.recut(b.Symbol, symbol, b.Size)
	b.Class = class
	b.cut(symbol)
	b.next = min((sent+symbol-1)/symbol, b.symbols)
	for sym := range b.next {
		if !b.acked.has(sym) {
			q.markLost(b, sym)
		}
	}
}

func (q *outQueue) get(id uint32) *OutBlock {
	if i := id - q.base; int(i) < len(q.blocks) {
		return q.blocks[i]
	}
	return nil
}

// settle removes a block of which enough is acknowledged.
func (q *outQueue) settle(b *OutBlock) {
	q.nLost -= b.nLost
	b.nLost = 0
	q.blocks[b.ID-q.base] = nil
	q.open--
	n := 0
	for n < len(q.blocks) && q.blocks[n] == nil {
		n++
	}
	if n > 0 {
		q.blocks = q.blocks[n:]
		q.base += uint32(n)
		q.fresh = max(0, q.fresh-n)
		q.lostHint = max(0, q.lostHint-n)
	}
}

// recycle takes back a settled block that the driver has finished with.
func (q *outQueue) recycle(b *OutBlock) {
	if len(q.free) < 256 {
		b.Ref = nil
		q.free = append(q.free, b)
	}
}

// oldest returns the oldest block that is not settled.
func (q *outQueue) oldest() *OutBlock {
	if len(q.blocks) == 0 {
		return nil
	}
	return q.blocks[0]
}

func (q *outQueue) markLost(b *OutBlock, sym int) {
	b.lost.set(sym)
	if b.parity != nil {
		b.parity.groups[sym%len(b.parity.groups)].queued++
	}
	b.nLost++
	q.nLost++
	q.lostHint = min(q.lostHint, int(b.ID-q.base))
}

// unmarkLost takes a symbol off the list of lost ones, because it is sent again or was received after all.
func (q *outQueue) unmarkLost(b *OutBlock, sym int) {
	b.lost.clear(sym)
	if b.parity != nil {
		b.parity.groups[sym%len(b.parity.groups)].queued--
	}
	b.nLost--
	q.nLost--
}

// nextLost returns the lost symbol to send first: of the oldest block, the lowest.
func (q *outQueue) nextLost() (*OutBlock, int) {
	if q.nLost == 0 {
		return nil, 0
	}
	for ; q.lostHint < len(q.blocks); q.lostHint++ {
		if b := q.blocks[q.lostHint]; b != nil && b.nLost > 0 {
			return b, b.lost.first(0)
		}
	}
	panic("BUG: lost symbols counted but not found")
}

// nextNew returns the next block with symbols never sent, or nil.
func (q *outQueue) nextNew() *OutBlock {
	for ; q.fresh < len(q.blocks); q.fresh++ {
		if b := q.blocks[q.fresh]; b != nil && b.next < b.symbols {
			return b
		}
	}
	return nil
}

// InBlock is a block on its way in. What is exported may be read by the driver; it sets Ref and Parity.
type InBlock struct {
	ID     uint32
	Size   int // 0 until the last symbol or a BLOCK_SIZE has been seen
	Symbol int // P: bytes of a symbol but the last, 0 until one has been seen
	Ref    any
	// Parity is the driver's own, too: where the parity is.
	Parity any

	done  bool
	got   symSet
	nGot  int
	total int // K, 0 until Size and Symbol are known
	reach int // bytes up to the end of the highest symbol seen, or Size if that is known

	parity *inParity // once parity has been seen
}

// Has tells whether the symbol is held already.
func (b *InBlock) Has(sym int) bool { return sym < maxSymbols && b.got.has(sym) }
