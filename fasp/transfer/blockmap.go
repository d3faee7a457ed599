package transfer

import (
	"iter"
	"math/bits"
	"slices"
)

// blockMap knows which blocks of a file are there, and their hashes. It grows with what arrives, not with
// the size that a peer claims. Not safe for concurrent use.
type blockMap struct {
	pages  map[int64]*blockPage
	n      int64     // blocks done, zeros included
	zeroed int64     // of them zeros
	zeros  []span    // done as zeros: ascending, apart, none of them in pages
	making []span    // claimed as zeros and not done, by one worker each; in any order
	zero   blockHash // of a whole block of zeros, once there are any
}

// blockPage covers 64 blocks.
type blockPage struct {
	claimed uint64 // being written, or done
	done    uint64 // written
	hashes  [64]blockHash
}

// claim reserves block i for writing; false if it is taken.
func (m *blockMap) claim(i int64) bool {
	if len(m.zeros) > 0 && inSpans(m.zeros, uint64(i)) {
		return false
	}
	for _, s := range m.making {
		if s.has(uint64(i)) {
			return false
		}
	}
	p := m.pages[i>>6]
	if p == nil {
		if m.pages == nil {
			m.pages = make(map[int64]*blockPage)
		}
		p = new(blockPage)
		m.pages[i>>6] = p
	}
	bit := uint64(1) << (i & 63)
	if p.claimed&bit != 0 {
		return false
	}
	p.claimed |= bit
	return true
}

// unclaim gives the claim on block i back.
func (m *blockMap) unclaim(i int64) { m.pages[i>>6].claimed &^= 1 << (i & 63) }

// finish notes that the claimed block i is written.
func (m *blockMap) finish(i int64, h blockHash) {
	p := m.pages[i>>6]
	p.done |= 1 << (i & 63)
	p.hashes[i&63] = h
	m.n++
}

// beyond says whether a block from n on was claimed.
func (m *blockMap) beyond(n int64) bool {
	for k, p := range m.pages {
		if k<<6 >= n && p.claimed != 0 || k == n>>6 && p.claimed>>(n&63) != 0 {
			return true
		}
	}
	return false
}

// drop forgets the done block i.
func (m *blockMap) drop(i int64) {
	p := m.pages[i>>6]
	bit := uint64(1) << (i & 63)
	if p != nil && p.done&bit != 0 {
		p.done &^= bit
		p.claimed &^= bit
		m.n--
	}
}

// each calls fn for every done block that came as data, in order.
func (m *blockMap) each(fn func(i int64, h blockHash)) {
	for _, k := range m.keys() {
		p := m.pages[k]
		for d := p.done; d != 0; d &= d - 1 {
			b := bits.TrailingZeros64(d)
			fn(k<<6+int64(b), p.hashes[b])
		}
	}
}

func (m *blockMap) keys() []int64 {
	keys := make([]int64, 0, len(m.pages))
	for k := range m.pages {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// spans lists the done blocks.
func (m *blockMap) spans() []span {
	var out []span
	for s := range m.runs() {
		if n := len(out); n > 0 && out[n-1].end() == s.First {
			out[n-1].Count += s.Count
			continue
		}
		out = append(out, s)
	}
	return out
}

// runs goes over the done blocks in order, with their hashes: one by one, but for zeros a run at a time.
func (m *blockMap) runs() iter.Seq2[span, blockHash] {
	return func(yield func(span, blockHash) bool) {
		zeros := m.zeros
		for _, k := range m.keys() {
			p := m.pages[k]
			for d := p.done; d != 0; d &= d - 1 {
				b := bits.TrailingZeros64(d)
				i := uint64(k)<<6 + uint64(b)
				for ; len(zeros) > 0 && zeros[0].First < i; zeros = zeros[1:] {
					if !yield(zeros[0], m.zero) {
						return
					}
				}
				if !yield(span{i, 1}, p.hashes[b]) {
					return
				}
			}
		}
		for _, s := range zeros {
			if !yield(s, m.zero) {
				return
			}
		}
	}
}

// cost is about how many bytes a checkpoint of the done blocks has.
func (m *blockMap) cost() int64 {
	return (m.n-m.zeroed)*blockHashSize + int64(len(m.zeros))*16
}

// root is the root of a file with these blocks, but for those in skip, which ascends
// (docs/protocol-transfer.md section 23.4).
func (m *blockMap) root(size int64, blockSize int, skip []span) [rootSize]byte {
	h := newRoot(size, blockSize)
	for s, hash := range m.runs() {
		if s.Count == 1 {
			if !inSpans(skip, s.First) {
				h.add(s, hash)
			}
			continue
		}
		for _, s := range minus([]span{s}, skip) {
			h.add(s, hash)
		}
	}
	return h.sum()
}
