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

// OutBlock is a block on its way out. ID, Size and Ref may be read by the driver.
type OutBlock struct {
	ID     uint32
	Size   int
	Ref    any // the driver's own: where the bytes are
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
func (b *OutBlock) symbolLen(i, size int) (off, n int) {
	off = i * size
	return off, min(size, b.Size-off)
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
	k := (size + symbol - 1) / symbol
	if cap(b.last) < k {
		b.last, b.tx = make([]uint64, k), make([]uint8, k)
	}
	b.last, b.tx = b.last[:k], b.tx[:k]
	clear(b.tx)
	b.ID, b.Size, b.Ref, b.extent, b.symbols = q.base+uint32(len(q.blocks)), size, ref, extent, k
	q.blocks = append(q.blocks, b)
	q.unsent += int64(size)
	q.open++
	return b
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

// InBlock is a block on its way in. ID, Size and Ref may be read by the driver; it sets Ref.
type InBlock struct {
	ID   uint32
	Size int // 0 until the last symbol or a BLOCK_SIZE has been seen
	Ref  any
	// Parity is the driver's own, too: where the parity is.
	Parity any

	done  bool
	got   symSet
	nGot  int
	total int // K, 0 = not known yet
	reach int // bytes up to the end of the highest symbol seen, or Size if that is known

	parity *inParity // once parity has been seen
}

// Has tells whether the symbol is held already.
func (b *InBlock) Has(sym int) bool { return sym < maxSymbols && b.got.has(sym) }
