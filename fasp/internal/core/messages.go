package core

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// Limits of docs/protocol.md sections 5.2 and 12.
const (
	maxMessage     = 64 << 10
	maxUnsettled   = 1 << 20
	maxMessageHeld = 2 << 20
	// firstMessages is how much of the stream is taken even if memory is tight: two messages of any size, for the first one says who the peer is.
	firstMessages = 2 * maxMessage
	// maxPieces bounds the pieces of the stream that wait for those before them, each as small as the peer likes.
	maxPieces = 2048
)

// MessageCost is what a message of n bytes counts for while the layer above has not taken it: the memory around it included, so that
// a flood of tiny ones is bounded, too.
func MessageCost(n int) int { return n + 64 }

// chunk is a piece of the message stream as it was cut when it was first sent.
type chunk struct {
	off, n int // off is relative to the start of outMessages.buf's stream
	lastPN uint64
	lastAt time.Duration
	tx     int
	acked  bool
	lost   bool
}

// outMessages is the sending half of the message stream.
type outMessages struct {
	buf    []byte // bytes from base on
	base   int    // stream offset of buf[0]
	sent   int    // stream offset of the first byte never sent
	chunks []chunk
	first  uint32 // number of chunks[0]
	nLost  int
}

func (m *outMessages) end() int { return m.base + len(m.buf) }

func (m *outMessages) unsettled() int { return len(m.buf) }

func (m *outMessages) add(msg []byte) {
	m.buf = binary.AppendUvarint(m.buf, uint64(len(msg)))
	m.buf = append(m.buf, msg...)
}

func (m *outMessages) pending() bool { return m.nLost > 0 || m.sent < m.end() }

// take returns the number of the chunk to send next, cut to room bytes if it is new.
func (m *outMessages) take(room int) uint32 {
	if m.nLost > 0 {
		for i := range m.chunks {
			if m.chunks[i].lost {
				return m.first + uint32(i)
			}
		}
	}
	n := min(room, m.end()-m.sent)
	m.chunks = append(m.chunks, chunk{off: m.sent, n: n})
	m.sent += n
	return m.first + uint32(len(m.chunks)-1)
}

func (m *outMessages) get(id uint32) *chunk {
	if i := id - m.first; int(i) < len(m.chunks) {
		return &m.chunks[i]
	}
	return nil
}

func (m *outMessages) data(c *chunk) []byte { return m.buf[c.off-m.base : c.off-m.base+c.n] }

func (m *outMessages) onSent(c *chunk, pn uint64, now time.Duration) {
	if c.lost {
		c.lost = false
		m.nLost--
	}
	c.lastPN, c.lastAt = pn, now
	c.tx++
}

func (m *outMessages) onLost(id uint32, pn uint64) {
	if c := m.get(id); c != nil && !c.acked && !c.lost && c.lastPN == pn {
		c.lost = true
		m.nLost++
	}
}

func (m *outMessages) onAcked(id uint32) {
	c := m.get(id)
	if c == nil || c.acked {
		return
	}
	c.acked = true
	if c.lost {
		c.lost = false
		m.nLost--
	}
	n := 0
	for n < len(m.chunks) && m.chunks[n].acked {
		n++
	}
	if n > 0 {
		done := m.chunks[n-1].off + m.chunks[n-1].n - m.base
		m.buf = m.buf[done:]
		m.base += done
		m.chunks = m.chunks[n:]
		m.first += uint32(n)
		if len(m.buf) == 0 {
			m.buf = nil
		}
	}
}

// repeatLast is how many chunks need copies, the last ones: the loss of an earlier one shows by the arrival of a later one.
const repeatLast = 4

// repeatAfter is how long the next copy of a chunk that was sent tx times waits, of which early ones follow soon (section 8.3): later than as many
// new ones could have gone, each of which takes air, so that copies do not take the rate from them.
func repeatAfter(tx, early int, rtt, air time.Duration) time.Duration {
	d := max(5*time.Millisecond, rtt/4)
	if tx <= early {
		return min(d, max(5*time.Millisecond, (repeatLast+1)*air)<<(2*(tx-1)))
	}
	for range tx - early - 4 {
		if d += d / 2; d > time.Second {
			return time.Second
		}
	}
	return d
}

// repeat returns the chunk whose copy is due first, and when.
func (m *outMessages) repeat(rtt, air time.Duration, early int) (id uint32, at time.Duration, ok bool) {
	for i := max(0, len(m.chunks)-repeatLast); i < len(m.chunks); i++ {
		c := &m.chunks[i]
		if c.acked || c.lost {
			continue
		}
		if t := c.lastAt + repeatAfter(c.tx, early, rtt, air); !ok || t < at {
			id, at, ok = m.first+uint32(i), t, true
		}
	}
	return id, at, ok
}

type interval struct{ lo, hi uint64 }

// inMessages is the receiving half: it puts pieces in order and cuts them into messages.
type inMessages struct {
	buf   []byte // bytes from base on, with holes
	base  uint64 // stream offset of buf[0]
	have  []interval
	ready [][]byte
	held  int // cost of what the layer above has not taken
}

// fits tells whether a piece may be stored now; if not, its packet is dropped and will come again.
func (m *inMessages) fits(off uint64, n int) bool {
	if off > m.base && len(m.have) >= maxPieces {
		return false
	}
	return off+uint64(n) <= m.base+uint64(maxMessageHeld-min(m.held, maxMessageHeld))
}

func (m *inMessages) add(off uint64, data []byte) error {
	end := off + uint64(len(data))
	if end <= m.base || len(data) == 0 {
		return nil
	}
	if off < m.base {
		data, off = data[m.base-off:], m.base
	}
	if need := int(end - m.base); need > len(m.buf) {
		m.buf = slices.Grow(m.buf, need-len(m.buf))[:need]
	}
	copy(m.buf[off-m.base:], data)
	m.insert(interval{off, end})
	return m.cut()
}

func (m *inMessages) insert(v interval) {
	i := 0
	for i < len(m.have) && m.have[i].hi < v.lo {
		i++
	}
	j := i
	for ; j < len(m.have) && m.have[j].lo <= v.hi; j++ {
		v.lo, v.hi = min(v.lo, m.have[j].lo), max(v.hi, m.have[j].hi)
	}
	m.have = slices.Replace(m.have, i, j, v)
}

// EarlyMessage takes bytes of the message stream that came before the session had packets: those that come again in packets are
// duplicates. What finds no room is dropped. The only error is *ProtocolError.
func (c *Conn) EarlyMessage(off uint64, data []byte) error {
	if !c.msgIn.fits(off, len(data)) {
		return nil
	}
	return c.msgIn.add(off, data)
}

// cut moves whole messages from the front of the stream to ready.
func (m *inMessages) cut() error {
	if m.have[0].lo != m.base {
		return nil
	}
	avail := m.buf[:m.have[0].hi-m.base]
	used := 0
	for {
		r := wire.NewReader(avail[used:])
		n := r.Uvarint()
		if r.Err() != nil {
			if len(avail)-used >= 10 {
				return protocolError("malformed message length")
			}
			break
		}
		if n == 0 || n > maxMessage {
			return protocolError("message length out of range")
		}
		body := r.Bytes(int(n))
		if r.Err() != nil {
			break
		}
		m.ready = append(m.ready, slices.Clone(body))
		m.held += MessageCost(len(body))
		used = len(avail) - r.Len()
	}
	if used > 0 {
		// Moving the rest down is cheap: it is at most one partial message and what came out of order.
		m.buf = m.buf[:copy(m.buf, m.buf[used:])]
		m.base += uint64(used)
		m.have[0].lo = m.base
		if m.have[0].lo == m.have[0].hi {
			m.have = m.have[1:]
		}
	}
	return nil
}
