package transfer

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"

	"github.com/zeebo/blake3"
)

// blockHashSize is the length of a block hash on the wire and in checkpoints, in bytes
// (docs/protocol-transfer.md section 23.3; the choice of hash is docs/decisions/0002-block-hash.md).
const blockHashSize = 16

// rootSize is the length of a file root in bytes.
const rootSize = 32

type blockHash [blockHashSize]byte

// hashBlock is the first 16 bytes of BLAKE3 over the payload.
func hashBlock(p []byte) blockHash {
	sum := blake3.Sum256(p)
	return blockHash(sum[:blockHashSize])
}

// rootHasher computes a file root: BLAKE3-256 over the label, the file's size and block size as
// 8-byte big-endian numbers, then for each run of adjacent blocks owed that have the same hash, in order, the index of the
// first, their number and the hash (docs/protocol-transfer.md section 23.4).
type rootHasher struct {
	h    *blake3.Hasher
	run  span // not written yet
	hash blockHash
}

func newRoot(size int64, blockSize int) *rootHasher {
	h := blake3.New()
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(size))
	binary.BigEndian.PutUint64(b[8:], uint64(blockSize))
	_, _ = h.WriteString("tradewind file root 1")
	_, _ = h.Write(b[:])
	return &rootHasher{h: h}
}

// add adds blocks behind those that were added before, all with the same hash. How they are divided among calls does not matter.
func (r *rootHasher) add(s span, h blockHash) {
	if r.run.Count > 0 && r.run.end() == s.First && r.hash == h {
		r.run.Count += s.Count
		return
	}
	r.flush()
	r.run, r.hash = s, h
}

func (r *rootHasher) flush() {
	if r.run.Count == 0 {
		return
	}
	var b [16 + blockHashSize]byte
	binary.BigEndian.PutUint64(b[:], r.run.First)
	binary.BigEndian.PutUint64(b[8:], r.run.Count)
	copy(b[16:], r.hash[:])
	_, _ = r.h.Write(b[:])
	r.run.Count = 0
}

func (r *rootHasher) sum() (root [rootSize]byte) {
	r.flush()
	r.h.Sum(root[:0])
	return root
}

// newDigest returns the hash that c names, or nil for none.
func newDigest(c Checksum) hash.Hash {
	switch c {
	case ChecksumMD5:
		return md5.New()
	case ChecksumSHA1:
		return sha1.New()
	case ChecksumSHA256:
		return sha256.New()
	case ChecksumSHA384:
		return sha512.New384()
	case ChecksumSHA512:
		return sha512.New()
	}
	return nil
}
