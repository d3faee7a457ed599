package transfer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"

	"github.com/zeebo/blake3"
)

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
// blocks its number, a bitmap and the hashes of the set bits from the lowest up; number of runs of zeros; for each its first
// block and its length in blocks; BLAKE3 of all that, 16 bytes.
func (c *checkpoint) encode() []byte {
	b := make([]byte, 0, checkpointHeader+len(c.Blocks.pages)*16+8+int(c.Blocks.cost())+checkpointSum)
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
	b = binary.BigEndian.AppendUint64(b, uint64(len(c.Blocks.zeros)))
	for _, s := range c.Blocks.zeros {
		b = binary.BigEndian.AppendUint64(b, s.First)
		b = binary.BigEndian.AppendUint64(b, s.Count)
	}
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
	if len(body) < 8 {
		return nil, errCheckpoint
	}
	runs := next()
	if runs > uint64(len(body)/16) || int(runs)*16 != len(body) {
		return nil, errCheckpoint
	}
	full, end := uint64(c.Size/int64(c.BlockSize)), uint64(0)
	for k := range runs {
		s := span{next(), next()}
		// Ascending and apart, of whole blocks, and none of them is there as data.
		if s.Count == 0 || s.First > full || s.Count > full-s.First || k > 0 && s.First <= end || len(c.Blocks.claimZeros(s)) != 1 {
			return nil, errCheckpoint
		}
		end = s.First + s.Count
		if c.Blocks.making[0] != s {
			return nil, errCheckpoint
		}
		c.Blocks.finishZeros(c.BlockSize, s)
	}
	return c, nil
}
