package transfer

import "sync"

// idSet remembers which file ids are resolved, from 1 up, in a window that slides as the lowest ones
// fill (docs/protocol-transfer.md section 22.3). Memory is one bit an id inside the window, taken in pages.
// The zero idSet is empty. Safe for concurrent use.
type idSet struct {
	mu    sync.Mutex
	base  uint64 // ids up to base*idPage are all in the set
	pages map[uint64]*idPageBits
	n     uint64 // ids in the set
}

const idPage = 4096

type idPageBits struct {
	bits [idPage / 64]uint64
	n    int
}

// add puts id in; fresh is false if it was there. ok is false if id lies outside the window.
func (s *idSet) add(id uint64) (fresh, ok bool) {
	if id == 0 {
		return false, false
	}
	i := id - 1
	s.mu.Lock()
	defer s.mu.Unlock()
	p := i / idPage
	if p < s.base {
		return false, true
	}
	if p >= s.base+idWindow/idPage {
		return false, false
	}
	pg := s.pages[p]
	if pg == nil {
		if s.pages == nil {
			s.pages = make(map[uint64]*idPageBits)
		}
		pg = new(idPageBits)
		s.pages[p] = pg
	}
	w, b := i%idPage/64, uint64(1)<<(i%64)
	if pg.bits[w]&b != 0 {
		return false, true
	}
	pg.bits[w] |= b
	pg.n++
	s.n++
	for {
		pg := s.pages[s.base]
		if pg == nil || pg.n < idPage {
			return true, true
		}
		delete(s.pages, s.base)
		s.base++
	}
}

func (s *idSet) has(id uint64) bool {
	if id == 0 {
		return false
	}
	i := id - 1
	s.mu.Lock()
	defer s.mu.Unlock()
	if i/idPage < s.base {
		return true
	}
	pg := s.pages[i/idPage]
	return pg != nil && pg.bits[i%idPage/64]&(1<<(i%64)) != 0
}

// count returns how many ids are in the set.
func (s *idSet) count() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// fits says whether id lies below the end of the window, less margin.
func (s *idSet) fits(id, margin uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return (id-1)/idPage+margin/idPage < s.base+idWindow/idPage
}

// spansOf sorts out ids into spans; ids must be ascending.
func spansOf(ids []uint64) []span {
	var out []span
	for _, id := range ids {
		if n := len(out); n > 0 && out[n-1].First+out[n-1].Count == id {
			out[n-1].Count++
			continue
		}
		out = append(out, span{id, 1})
	}
	return out
}
