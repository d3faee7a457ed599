package simnet

import "time"

// item is a packet on its way.
type item[P any] struct {
	at     time.Duration // arrival
	depart time.Duration // last byte leaves the bottleneck
	seq    uint64        // breaks ties in arrival time by order of sending
	size   int
	p      P
}

func (a *item[P]) before(b *item[P]) bool {
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

// ring is a first-in first-out queue that grows by doubling and never shrinks. The zero value is empty.
type ring[P any] struct {
	buf  []item[P] // length is a power of two
	head int
	n    int
}

func (r *ring[P]) push(it item[P]) {
	if r.n == len(r.buf) {
		grown := make([]item[P], max(64, 2*len(r.buf)))
		k := copy(grown, r.buf[r.head:])
		copy(grown[k:], r.buf[:r.head])
		r.buf, r.head = grown, 0
	}
	r.buf[(r.head+r.n)&(len(r.buf)-1)] = it
	r.n++
}

// at returns the i-th oldest item, 0 <= i < n.
func (r *ring[P]) at(i int) *item[P] { return &r.buf[(r.head+i)&(len(r.buf)-1)] }

func (r *ring[P]) pop() item[P] {
	it := &r.buf[r.head]
	out := *it
	*it = item[P]{} // lets go of what P points to
	r.head = (r.head + 1) & (len(r.buf) - 1)
	r.n--
	return out
}

// minHeap orders items by arrival. The zero value is empty. It is written out because container/heap would allocate
// for every packet.
type minHeap[P any] []item[P]

func (h *minHeap[P]) push(it item[P]) {
	s := append(*h, it)
	for i := len(s) - 1; i > 0; {
		parent := (i - 1) / 2
		if !s[i].before(&s[parent]) {
			break
		}
		s[i], s[parent] = s[parent], s[i]
		i = parent
	}
	*h = s
}

func (h *minHeap[P]) pop() item[P] {
	s := *h
	out := s[0]
	last := len(s) - 1
	s[0] = s[last]
	s[last] = item[P]{}
	s = s[:last]
	s.down(0)
	*h = s
	return out
}

func (h minHeap[P]) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child].before(&h[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// fix restores the order after arrival times have changed.
func (h minHeap[P]) fix() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}
