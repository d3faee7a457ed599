package transfer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"

	"github.com/zeebo/blake3"
)

// blockMap knows which blocks of a file are there, and their hashes. It grows with what arrives, not with
// the size that a peer claims. Not safe for concurrent use.
type blockMap struct {
	pages map[int64]*blockPage
	n     int64 // blocks done
}

// blockPage covers 64 blocks.
type blockPage struct {
	claimed uint64 // being written, or done
	done    uint64 // written
	hashes  [64]blockHash
}

// claim reserves block i for writing; false if it is taken.
func (m *blockMap) claim(i int64) bool {
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

// each calls fn for every done block in order.
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
	m.each(func(i int64, _ blockHash) {
		if n := len(out); n > 0 && out[n-1].First+out[n-1].Count == uint64(i) {
			out[n-1].Count++
			return
		}
		out = append(out, span{uint64(i), 1})
	})
	return out
}

// checkpoint is the state that is kept beside a partial file (docs/protocol-transfer.md section 28). Its
// blocks were durable before it was written.
type checkpoint struct {
	Size      int64
	Mtime     int64 // of the source, nanoseconds
	BlockSize int
	Run       uint64 // of the Run that wrote it
	Blocks    blockMap
}

const (
	checkpointMagic  = "TWCKPT1\n"
	checkpointHeader = len(checkpointMagic) + 8 + 8 + 8 + 8 + 8
	checkpointSum    = 16
)

var errCheckpoint = errors.New("checkpoint is damaged or of another version")

// encode writes, big-endian: magic, size, mtime, block size, run, number of pages; for each page of 64
// blocks its number, a bitmap and the hashes of the set bits from the lowest up; BLAKE3 of all that, 16 bytes.
func (c *checkpoint) encode() []byte {
	b := make([]byte, 0, checkpointHeader+len(c.Blocks.pages)*16+int(c.Blocks.n)*blockHashSize+checkpointSum)
	b = append(b, checkpointMagic...)
	b = binary.BigEndian.AppendUint64(b, uint64(c.Size))
	b = binary.BigEndian.AppendUint64(b, uint64(c.Mtime))
	b = binary.BigEndian.AppendUint64(b, uint64(c.BlockSize))
	b = binary.BigEndian.AppendUint64(b, c.Run)
	at := len(b)
	b = binary.BigEndian.AppendUint64(b, 0)
	pages := uint64(0)
	for _, k := range c.Blocks.keys() {
		p := c.Blocks.pages[k]
		if p.done == 0 {
			continue
		}
		pages++
		b = binary.BigEndian.AppendUint64(b, uint64(k))
		b = binary.BigEndian.AppendUint64(b, p.done)
		for d := p.done; d != 0; d &= d - 1 {
			h := p.hashes[bits.TrailingZeros64(d)]
			b = append(b, h[:]...)
		}
	}
	binary.BigEndian.PutUint64(b[at:], pages)
	sum := blake3.Sum256(b)
	return append(b, sum[:checkpointSum]...)
}

func decodeCheckpoint(b []byte) (*checkpoint, error) {
	if len(b) < checkpointHeader+checkpointSum || string(b[:len(checkpointMagic)]) != checkpointMagic {
		return nil, errCheckpoint
	}
	body, want := b[:len(b)-checkpointSum], b[len(b)-checkpointSum:]
	if sum := blake3.Sum256(body); !bytes.Equal(sum[:checkpointSum], want) {
		return nil, errCheckpoint
	}
	body = body[len(checkpointMagic):]
	next := func() uint64 {
		v := binary.BigEndian.Uint64(body)
		body = body[8:]
		return v
	}
	c := &checkpoint{Size: int64(next()), Mtime: int64(next())}
	bs := next()
	c.Run = next()
	pages := next()
	if c.Size < 0 || c.Size > maxFileSize || !validBlockSize(bs) || pages > uint64(len(body)/16) {
		return nil, errCheckpoint
	}
	c.BlockSize = int(bs)
	blocks := blockCount(c.Size, c.BlockSize)
	last := int64(-1)
	c.Blocks.pages = make(map[int64]*blockPage, pages)
	for range pages {
		if len(body) < 16 {
			return nil, errCheckpoint
		}
		k, done := int64(next()), next()
		n := bits.OnesCount64(done)
		if k <= last || k > (blocks-1)>>6 || n == 0 || len(body) < n*blockHashSize ||
			k<<6+int64(63-bits.LeadingZeros64(done)) >= blocks {
			return nil, errCheckpoint
		}
		last = k
		p := &blockPage{done: done, claimed: done}
		for d := done; d != 0; d &= d - 1 {
			copy(p.hashes[bits.TrailingZeros64(d)][:], body)
			body = body[blockHashSize:]
		}
		c.Blocks.pages[k] = p
		c.Blocks.n += int64(n)
	}
	if len(body) != 0 {
		return nil, errCheckpoint
	}
	return c, nil
}
