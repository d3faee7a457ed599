package objstore

import (
	"fmt"
	"hash/maphash"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
)

// sealing is a body that is encrypted as it is read: of a whole object or of one part. It holds one segment.
//
// A nonce must never be used for two different plaintexts. Drivers read a body more than once, to sum it first or to send
// it again, and a source may change meanwhile; so may a part that is put again. Every sealing therefore has a random
// number of its own, 16 of the 24 bytes of each nonce, behind which the segment's index comes; and it remembers of each
// segment that it has encrypted which bytes those were, and fails if they are others when they are read again.
type sealing struct {
	seg     *segments
	attempt [attemptSize]byte
	head    []byte // the header, in front of part 0
	src     io.ReaderAt
	size    int64 // of src
	first   int64 // index of the first segment
	final   bool  // the object ends here

	turn chan struct{} // holds one token while the rest is used; not a lock, for src is read meanwhile
	seed maphash.Seed
	seen []uint64 // per segment, hash of its bytes or 0
	at   int64    // number of the segment in buf, from 0 here; -1 = none
	out  []byte   // what is stored of it
	buf  []byte
}

func newSealing(seg *segments, attempt [attemptSize]byte, src io.ReaderAt, size int64) *sealing {
	return &sealing{seg: seg, attempt: attempt, src: src, size: size, turn: make(chan struct{}, 1), seed: maphash.MakeSeed(), at: -1}
}

// section returns the encrypted body.
func (s *sealing) section() *io.SectionReader { return io.NewSectionReader(s, 0, s.stored()) }

// stored is how many bytes there are.
func (s *sealing) stored() int64 {
	if s.final {
		return int64(len(s.head)) + sealedSize(s.size)
	}
	return int64(len(s.head)) + s.size/segmentSize*segmentStored
}

// ReadAt implements io.ReaderAt. Calls wait for each other.
func (s *sealing) ReadAt(p []byte, off int64) (n int, err error) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	end, head := s.stored(), int64(len(s.head))
	for n < len(p) {
		switch {
		case off < 0:
			return n, fmt.Errorf("offset %d", off)
		case off >= end:
			return n, io.EOF
		case off < head:
			k := copy(p[n:], s.head[off:])
			n, off = n+k, off+int64(k)
			continue
		}
		i := (off - head) / segmentStored
		if s.at != i {
			if err := s.load(i); err != nil {
				return n, err
			}
		}
		k := copy(p[n:], s.out[(off-head)%segmentStored:])
		n, off = n+k, off+int64(k)
	}
	return n, nil
}

// load encrypts segment i of this body. The turn is the caller's.
func (s *sealing) load(i int64) error {
	if s.buf == nil {
		s.buf = make([]byte, segmentStored)
		s.seen = make([]uint64, s.size/segmentSize+1)
	}
	s.at = -1
	size := min(s.size-i*segmentSize, segmentSize)
	plain := s.buf[chacha20poly1305.NonceSizeX:][:size]
	if n, err := s.src.ReadAt(plain, i*segmentSize); n < len(plain) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("read the body at %d: %w", i*segmentSize+int64(n), err)
	}
	hash := maphash.Bytes(s.seed, plain) | 1 // 0 stands for none
	if s.seen[i] != 0 && s.seen[i] != hash {
		return fmt.Errorf("the source has other bytes at %d than before: it was changed while it was sent", i*segmentSize)
	}
	s.seen[i] = hash
	last := s.final && i == s.size/segmentSize
	s.out = s.seg.seal(s.buf[:chacha20poly1305.NonceSizeX+size], s.attempt, s.first+i, last)
	s.at = i
	return nil
}
