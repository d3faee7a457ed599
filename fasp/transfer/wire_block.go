package transfer

import (
	"encoding/binary"
	"fmt"
)

// A block starts with a fixed header (docs/protocol-transfer.md section 23.1), big-endian:
//
//	 0  kind       1 = range, 2 = pack, 3 = zeros
//	 1  flags      bit 0: the payload is one zstd frame
//	 2  headerLen  2 bytes, where the payload begins; at least 48
//	 4  extent     4 bytes, the last of the extents it takes (section 29.2); 0 where the destination has no parts
//	 8  file       8 bytes, file id; for packs the number of files in it
//	16  offset     8 bytes, a multiple of the file's block size; 0 for packs
//	24  pages      4 bytes, how many extents it takes up to that one; 0 where the destination has no parts
//	28  rawLen     4 bytes, length of the payload before compression
//	32  hash       16 bytes, BLAKE3 of the payload before compression
const blockHeader = 48

const (
	blockRange = 1
	blockPack  = 2
	blockZeros = 3

	blockFlagCompressed = 1
)

// blockHead is a decoded block header.
type blockHead struct {
	Kind       byte
	Compressed bool
	File       uint64
	Offset     int64
	Extent     extent
	Raw        int // bytes of the payload before compression
	Hash       blockHash
	Payload    []byte // within the block
	Zeros      int64  // of a run of zeros, which begins at Offset: how many bytes it has
}

// putHead writes h's header to the front of b, whose payload stands behind it. h.Payload does not matter.
func putHead(b []byte, h *blockHead) {
	b[0], b[1] = h.Kind, 0
	if h.Compressed {
		b[1] = blockFlagCompressed
	}
	binary.BigEndian.PutUint16(b[2:], blockHeader)
	binary.BigEndian.PutUint32(b[4:], uint32(h.Extent.last))
	binary.BigEndian.PutUint64(b[8:], h.File)
	binary.BigEndian.PutUint64(b[16:], uint64(h.Offset))
	binary.BigEndian.PutUint32(b[24:], h.Extent.pages)
	binary.BigEndian.PutUint32(b[28:], uint32(h.Raw))
	copy(b[32:], h.Hash[:])
}

// parseBlock reads the header and checks it against itself; the payload is checked by receiver.expand.
func parseBlock(b []byte) (blockHead, error) {
	var h blockHead
	if len(b) < blockHeader {
		return h, fmt.Errorf("block: %w", errWire)
	}
	at := int(binary.BigEndian.Uint16(b[2:]))
	h.Kind = b[0]
	h.File = binary.BigEndian.Uint64(b[8:])
	off := binary.BigEndian.Uint64(b[16:])
	h.Extent = extent{uint64(binary.BigEndian.Uint32(b[4:])), binary.BigEndian.Uint32(b[24:])}
	raw := binary.BigEndian.Uint32(b[28:])
	copy(h.Hash[:], b[32:])
	if at < blockHeader || at > len(b) || off > maxFileSize || h.File > maxID ||
		h.Kind < blockRange || h.Kind > blockZeros {
		return h, fmt.Errorf("block: %w", errWire)
	}
	h.Compressed = b[1]&blockFlagCompressed != 0
	h.Offset = int64(off)
	h.Payload = b[at:]
	if uint64(h.Extent.pages) > h.Extent.last+1 || h.Extent.pages == 0 && h.Extent.last != 0 {
		return h, fmt.Errorf("block: extents: %w", errWire)
	}
	n := uint32(len(h.Payload))
	switch {
	case n == 0, !h.Compressed && raw != n:
		return h, fmt.Errorf("block: %w", errWire)
	case h.Compressed && (raw <= n || raw > maxBlockSize):
		return h, fmt.Errorf("block: %d bytes that were compressed from %d: %w", n, raw, errWire)
	}
	h.Raw = int(raw)
	if h.Kind == blockZeros {
		return h, h.parseZeros()
	}
	return h, nil
}

// zerosPayload is the length of the payload of a run of zeros: the number of its bytes, big-endian (section 23.7).
const zerosPayload = 8

// putZeros writes the block that says that file has n zeros at off to b.
func putZeros(b []byte, file uint64, off, n int64) {
	binary.BigEndian.PutUint64(b[blockHeader:], uint64(n))
	putHead(b, &blockHead{Kind: blockZeros, File: file, Offset: off, Raw: zerosPayload, Hash: hashBlock(b[blockHeader:])})
}

func (h *blockHead) parseZeros() error {
	if h.Compressed || h.Raw != zerosPayload || h.Extent.pages != 0 {
		return fmt.Errorf("block: zeros: %w", errWire)
	}
	n := binary.BigEndian.Uint64(h.Payload)
	if n == 0 || n > maxFileSize || h.Offset > maxFileSize-int64(n) {
		return fmt.Errorf("block: %d zeros at %d: %w", n, h.Offset, errWire)
	}
	h.Zeros = int64(n)
	return nil
}

// packed is one small file in a pack (section 23.2).
type packed struct {
	ID     uint64
	Name   string
	Mode   uint32
	Mtime  int64
	Atime  int64
	Digest []byte
	Data   []byte // within the block
}

// Pack entry flags.
const (
	packAtime  = 1
	packDigest = 2
)

// packOverhead bounds the bytes that a pack entry's header takes beside its name.
const packOverhead = 10 + 10 + 5 + 5 + 5 + 10 + 10 + 1 + 64 + 5

// appendPacked writes the entry's header; the file's bytes follow it. size is their number. The id is
// written as the distance from prevID and the name without what it shares with prevName, the values of
// the entry before it in the same block.
func appendPacked(dst []byte, p *packed, size int, prevID uint64, prevName string) []byte {
	w := wr{dst}
	w.snum(int64(p.ID) - int64(prevID))
	var f uint64
	if p.Atime != 0 {
		f |= packAtime
	}
	if len(p.Digest) > 0 {
		f |= packDigest
	}
	w.num(f)
	encodeName(&w, prevName, p.Name)
	w.num(uint64(p.Mode))
	w.snum(p.Mtime)
	if p.Atime != 0 {
		w.snum(p.Atime)
	}
	if len(p.Digest) > 0 {
		w.bytes(p.Digest)
	}
	w.num(uint64(size))
	return w.b
}

// eachPacked calls fn for each of the n files of a pack. It stops at fn's first error. The packed value
// and its Data are valid during the call.
func eachPacked(payload []byte, n uint64, fn func(*packed) error) error {
	r := rd{b: payload}
	var p packed
	for range n {
		p.ID += uint64(r.snum())
		f := r.num(1<<62 - 1)
		p.Name = decodeName(&r, p.Name)
		p.Mode = uint32(r.num(0o7777))
		p.Mtime = r.snum()
		p.Atime, p.Digest = 0, nil
		if f&packAtime != 0 {
			p.Atime = r.snum()
		}
		if f&packDigest != 0 {
			p.Digest = r.bytes(64)
		}
		p.Data = r.bytes(len(r.b))
		if r.bad || p.ID == 0 || p.ID > maxID {
			return fmt.Errorf("pack: %w", errWire)
		}
		if err := fn(&p); err != nil {
			return err
		}
	}
	return nil
}
