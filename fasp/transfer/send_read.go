package transfer

import "io"

// sizedReader reads a source in reads of one size, whatever its callers ask for: a long one feeds several calls, for which
// the rest is kept, and several short ones feed one. One goroutine uses it, for one source at a time. Calls are served best in
// order; after a gap that lies beyond what is kept, reads begin anew. The zero value has nothing to read.
type sizedReader struct {
	src  io.ReaderAt
	end  int64 // where the source ends, as far as is known: no read goes beyond
	size int   // bytes of a read; 0 = as the caller asks

	buf  []byte // kept for the next source, too
	kept []byte // of buf, what was read at off
	off  int64
}

// begin takes up a source of end bytes.
func (r *sizedReader) begin(src io.ReaderAt, end int64, size int) {
	r.src, r.end, r.size, r.kept = src, end, size, nil
}

// forget lets go of the source.
func (r *sizedReader) forget() { r.src, r.kept = nil, nil }

// ReadAt implements io.ReaderAt, for one goroutine.
func (r *sizedReader) ReadAt(p []byte, off int64) (n int, err error) {
	if r.size == 0 {
		return r.src.ReadAt(p, off)
	}
	for n < len(p) && err == nil {
		at := off + int64(n)
		if i := at - r.off; i >= 0 && i < int64(len(r.kept)) {
			n += copy(p[n:], r.kept[i:])
			continue
		}
		want := int(min(int64(r.size), r.end-at))
		if want <= 0 {
			return n, io.EOF
		}
		var k int
		if want <= len(p)-n {
			k, err = r.src.ReadAt(p[n:n+want], at)
			n += k
			continue
		}
		if cap(r.buf) < r.size {
			r.buf = make([]byte, r.size)
		}
		k, err = r.src.ReadAt(r.buf[:want], at)
		r.kept, r.off = r.buf[:k], at
		if k > 0 {
			err = nil // if what came is not enough, the next read fails the same way
		}
	}
	if n == len(p) {
		err = nil
	}
	return n, err
}

// readSize is how much of a file is read at a time, 0 = a block. What a store is asked for at a time is its own affair.
func (s *sender) readSize() int {
	if _, parts := s.store.(PartStore); parts {
		return 0
	}
	return int(s.req.ReadSize)
}
