package core

// pnSet remembers which packet numbers arrived: the replay window and what reports are made of. It holds
// the last size() numbers up to the highest; older ones count as seen (docs/protocol.md section 12).
type pnSet struct {
	words []uint64 // ring; the bit of pn is words[pn/64 % len], pn%64
	next  uint64   // highest + 1
	low   uint64   // what an earlier, smaller window had forgotten
}

const (
	pnSetMin = 1 << 16
	pnSetMax = 1 << 23
)

func newPNSet() pnSet { return pnSet{words: make([]uint64, pnSetMin/64)} }

func (s *pnSet) size() uint64 { return uint64(len(s.words)) * 64 }

// floor is the lowest number that is still told apart.
func (s *pnSet) floor() uint64 {
	// One word of slack: the word that next lies in is partly ahead of it.
	if keep := s.size() - 64; s.next > keep {
		return max(s.low, s.next-keep)
	}
	return s.low
}

func (s *pnSet) has(pn uint64) bool {
	switch {
	case pn >= s.next:
		return false
	case pn < s.floor():
		return true
	}
	return s.words[pn/64%uint64(len(s.words))]&(1<<(pn%64)) != 0
}

// add marks pn, which must not be in the set.
func (s *pnSet) add(pn uint64) {
	if pn >= s.next {
		n := uint64(len(s.words))
		for w := (s.next + 63) / 64; w <= pn/64 && w < (s.next+63)/64+n; w++ {
			s.words[w%n] = 0
		}
		s.next = pn + 1
	}
	s.words[pn/64%uint64(len(s.words))] |= 1 << (pn % 64)
}

// grow doubles the window, up to its limit.
func (s *pnSet) grow() {
	old := s.words
	if len(old)*64 >= pnSetMax {
		return
	}
	s.low = s.floor()
	lo := s.low / 64
	s.words = make([]uint64, 2*len(old))
	for w := lo; w <= s.next/64; w++ {
		s.words[w%uint64(len(s.words))] = old[w%uint64(len(old))]
	}
}

// all tells whether every number from lo up to hi, exclusive, is in the set.
func (s *pnSet) all(lo, hi uint64) bool {
	for ; lo < hi; lo++ {
		if !s.has(lo) {
			return false
		}
	}
	return true
}
