package objstore

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// Sizes of the format, docs/encryption-at-rest.md section 61.
const (
	segmentSize     = 64 << 10                                                // plaintext of every segment but the last, which has less
	segmentOverhead = chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead // in front of and behind a segment's bytes
	segmentStored   = segmentSize + segmentOverhead
	attemptSize     = 16 // of a nonce; the index of the segment follows
)

// sealedSize returns how many bytes are stored for size bytes of a whole object, without its header. There is always a
// last segment, and it is always shorter than the others: one without bytes if need be.
func sealedSize(size int64) int64 {
	return size/segmentSize*segmentStored + size%segmentSize + segmentOverhead
}

// storedSize returns how large the stored object is of one that has size bytes.
func storedSize(size int64) int64 { return headerSize + sealedSize(size) }

// plainSize returns how many bytes the object has of which so many are stored. ok is false if no encrypted object is
// stored in so many.
func plainSize(stored int64) (size int64, ok bool) {
	body := stored - headerSize
	if body < segmentOverhead || body%segmentStored < segmentOverhead {
		return 0, false
	}
	return body/segmentStored*segmentSize + body%segmentStored - segmentOverhead, true
}

// mostPlain returns the size of the largest object that fits into limit stored bytes, below 0 if none does.
func mostPlain(limit int64) int64 {
	body := limit - headerSize
	if body < segmentOverhead {
		return -1
	}
	// Where the last segment would have no room, the one before it is the last and gives up a byte.
	return body/segmentStored*segmentSize + max(body%segmentStored-segmentOverhead, -1)
}

// segments seals and opens the segments of one object (section 63). Its methods may be called by several goroutines.
type segments struct {
	aead cipher.AEAD
	mac  [macSize]byte // of the header; part of the associated data
}

// data returns the associated data of a segment: header, place and whether it is the last, so that none can be moved,
// left out at the end or taken from another object.
func (s *segments) data(index int64, last bool) []byte {
	b := make([]byte, 0, macSize+9)
	b = append(b, s.mac[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(index))
	if last {
		return append(b, 1)
	}
	return append(b, 0)
}

// seal encrypts the bytes that stand in buf behind room for the nonce, in place, and returns all that is stored. buf needs
// room for the tag behind them.
func (s *segments) seal(buf []byte, attempt [attemptSize]byte, index int64, last bool) []byte {
	nonce := buf[:chacha20poly1305.NonceSizeX]
	copy(nonce, attempt[:])
	binary.BigEndian.PutUint64(nonce[attemptSize:], uint64(index))
	plain := buf[len(nonce):]
	return buf[:len(nonce)+len(s.aead.Seal(plain[:0], nonce, plain, s.data(index, last)))]
}

// open decrypts a stored segment in place.
func (s *segments) open(stored []byte, index int64, last bool) ([]byte, error) {
	if len(stored) < segmentOverhead {
		return nil, fmt.Errorf("%w: segment %d is cut off", ErrTampered, index)
	}
	nonce, sealed := stored[:chacha20poly1305.NonceSizeX], stored[chacha20poly1305.NonceSizeX:]
	plain, err := s.aead.Open(sealed[:0], nonce, sealed, s.data(index, last))
	if err != nil {
		return nil, fmt.Errorf("%w: segment %d is not what was written there", ErrTampered, index)
	}
	return plain, nil
}
