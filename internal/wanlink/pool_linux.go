package wanlink

import "time"

// packet is a datagram under way. It belongs to the engine from pool.get to the last pool.put.
type packet struct {
	data []byte
	refs int           // copies in the link
	flow *flow         // of a relay; nil for a tun
	due  time.Duration // when it should leave; set just before it does
}

// pool recycles packets in two sizes and bounds the bytes in use. It is not safe for concurrent use.
type pool struct {
	limit int64
	used  int64
	small []*packet
	large []*packet
}

// The small size holds a packet of the usual MTU, the large one any that UDP or a TUN device can carry.
const (
	smallPacket = 2 << 10
	largePacket = 64 << 10
	maxLarge    = 1024 // large packets kept for reuse
)

// get returns a packet whose data has length n, at most largePacket, or nil when the limit is reached.
func (b *pool) get(n int) *packet {
	size, list := smallPacket, &b.small
	if n > smallPacket {
		size, list = largePacket, &b.large
	}
	if b.used+int64(size) > b.limit {
		return nil
	}
	b.used += int64(size)
	var p *packet
	if k := len(*list); k > 0 {
		p, (*list)[k-1] = (*list)[k-1], nil
		*list = (*list)[:k-1]
	} else {
		p = &packet{data: make([]byte, size)}
	}
	p.data = p.data[:n]
	p.refs = 1
	return p
}

// put gives back one reference.
func (b *pool) put(p *packet) {
	if p.refs--; p.refs > 0 {
		return
	}
	p.flow = nil
	b.used -= int64(cap(p.data))
	switch {
	case cap(p.data) == smallPacket:
		b.small = append(b.small, p)
	case len(b.large) < maxLarge:
		b.large = append(b.large, p)
	}
}
