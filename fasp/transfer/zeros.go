package transfer

import (
	"slices"
	"sort"
)

// maxZeroRuns is how many runs of zeros a sender sends of a file in one session (docs/protocol-transfer.md section 23.7). A
// file of up to 2^17 blocks cannot have more; the zeros of larger ones beyond it come as data.
const maxZeroRuns = 1 << 16

// zeroHash is the hash of a block of n zeros.
func zeroHash(n int) blockHash { return hashBlock(make([]byte, n)) }

// end is the first behind s.
func (s span) end() uint64 { return s.First + s.Count }

func (s span) has(i uint64) bool { return s.First <= i && i < s.end() }

// from returns the spans of list, which ascends, that end behind i.
func from(list []span, i uint64) []span {
	return list[sort.Search(len(list), func(k int) bool { return list[k].end() > i }):]
}

// inSpans says whether i is in s, which ascends.
func inSpans(s []span, i uint64) bool {
	s = from(s, i)
	return len(s) > 0 && s[0].First <= i
}

// minus returns what of a is not in b. Both ascend.
func minus(a, b []span) []span {
	var out []span
	for _, s := range a {
		for _, x := range from(b, s.First) {
			if x.First >= s.end() {
				break
			}
			if x.First > s.First {
				out = append(out, span{s.First, x.First - s.First})
			}
			s = span{min(x.end(), s.end()), s.end() - min(x.end(), s.end())}
		}
		if s.Count > 0 {
			out = append(out, s)
		}
	}
	return out
}

// claimZeros reserves the blocks of s to become zeros and returns those that were not taken.
func (m *blockMap) claimZeros(s span) []span {
	free := minus([]span{s}, m.zeros)
	for _, x := range m.making {
		free = minus(free, []span{x})
	}
	free = minus(free, m.taken(s))
	m.making = append(m.making, free...)
	return free
}

// taken lists the blocks of s that are claimed as data. It takes as long as there are pages in s or in all, whichever is less.
func (m *blockMap) taken(s span) []span {
	var keys []int64
	first, last := int64(s.First>>6), int64((s.end()-1)>>6)
	if last-first < int64(len(m.pages)) {
		for k := first; k <= last; k++ {
			keys = append(keys, k)
		}
	} else {
		keys = m.keys()
	}
	var out []span
	for _, k := range keys {
		p := m.pages[k]
		if p == nil || k < first || k > last {
			continue
		}
		for b := range uint64(64) {
			if p.claimed&(1<<b) != 0 {
				out = append(out, span{uint64(k)<<6 + b, 1})
			}
		}
	}
	return out
}

// unclaimZeros gives claims back.
func (m *blockMap) unclaimZeros(list ...span) {
	for _, s := range list {
		if k := slices.Index(m.making, s); k >= 0 {
			m.making = slices.Delete(m.making, k, k+1)
		}
	}
}

// finishZeros notes that claimed blocks, which have blockSize bytes, are zeros.
func (m *blockMap) finishZeros(blockSize int, list ...span) {
	m.unclaimZeros(list...)
	if m.zero == (blockHash{}) {
		m.zero = zeroHash(blockSize)
	}
	for _, s := range list {
		m.n += int64(s.Count)
		m.zeroed += int64(s.Count)
		k := sort.Search(len(m.zeros), func(k int) bool { return m.zeros[k].First > s.First })
		if k > 0 && m.zeros[k-1].end() == s.First {
			k--
			m.zeros[k].Count += s.Count
		} else {
			m.zeros = slices.Insert(m.zeros, k, s)
		}
		if k+1 < len(m.zeros) && m.zeros[k].end() == m.zeros[k+1].First {
			m.zeros[k].Count += m.zeros[k+1].Count
			m.zeros = slices.Delete(m.zeros, k+1, k+2)
		}
	}
}

// dropZeros forgets a whole run of zeros.
func (m *blockMap) dropZeros(s span) {
	if k := slices.Index(m.zeros, s); k >= 0 {
		m.zeros = slices.Delete(m.zeros, k, k+1)
		m.n -= int64(s.Count)
		m.zeroed -= int64(s.Count)
	}
}
