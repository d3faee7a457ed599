package wire

import (
	"encoding/binary"
	"errors"
)

// ErrMalformed is returned for every input that docs/protocol.md does not allow.
var ErrMalformed = errors.New("malformed")

// A Reader takes values off the front of a byte slice. After the first failure every later read fails,
// so callers check Err once.
type Reader struct {
	b      []byte
	failed bool
}

// NewReader reads from b, which it does not copy.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Err returns ErrMalformed if any read so far found too little or a non-minimal number.
func (r *Reader) Err() error {
	if r.failed {
		return ErrMalformed
	}
	return nil
}

// Len returns the number of unread bytes, 0 after a failure.
func (r *Reader) Len() int {
	if r.failed {
		return 0
	}
	return len(r.b)
}

// Rest returns the unread bytes without taking them.
func (r *Reader) Rest() []byte { return r.b }

// Bytes takes n bytes; the result shares memory with the input.
func (r *Reader) Bytes(n int) []byte {
	if r.failed || n < 0 || n > len(r.b) {
		r.failed = true
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// Byte takes one byte.
func (r *Reader) Byte() byte {
	if v := r.Bytes(1); v != nil {
		return v[0]
	}
	return 0
}

// Uint32 takes four bytes.
func (r *Reader) Uint32() uint32 {
	if v := r.Bytes(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

// Uvarint takes one minimal uvarint (section 1.2).
func (r *Reader) Uvarint() uint64 {
	if r.failed {
		return 0
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 || (n > 1 && r.b[n-1] == 0) {
		r.failed = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// Block takes a uvarint length of at most limit and that many bytes.
func (r *Reader) Block(limit int) []byte {
	n := r.Uvarint()
	if n > uint64(limit) {
		r.failed = true
		return nil
	}
	return r.Bytes(int(n))
}

// AppendUvarint appends v in its minimal form.
func AppendUvarint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

// AppendBlock appends a uvarint length and the bytes.
func AppendBlock(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// UvarintLen returns the length of v's minimal form.
func UvarintLen(v uint64) int {
	n := 1
	for v >= 0x80 {
		v >>= 7
		n++
	}
	return n
}
