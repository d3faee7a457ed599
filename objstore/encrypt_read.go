package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// keptHeaders is how many headers a Driver remembers, so that a range of an object that is read in many takes one request.
const keptHeaders = 1024

// headerID names a version of an object. Without an ETag there is no way to know one again.
type headerID struct{ key, etag string }

// seenHeader is what is remembered of an object.
type seenHeader struct {
	seg    *segments
	stored int64 // size
}

// Read implements Driver. The header and the range are one request where the range begins in the first segment or the
// header is remembered, else two, of the same version of the object.
func (w *encrypted) Read(ctx context.Context, key string, off, length int64, etag string) (io.ReadCloser, Object, error) {
	const op = "read"
	if off < 0 {
		return nil, Object{}, &Error{Op: op, Key: key, Kind: Invalid, Err: fmt.Errorf("offset %d", off)}
	}
	r := &opening{w: w, ctx: ctx, key: key, off: off, length: length}
	seen, known := w.seen(key, etag)
	var o Object
	var err error
	switch {
	case known:
		r.seg = seen.seg
		err = r.limit(seen.stored)
		if KindOf(err) == Range {
			// The end was not looked at; it is when the object is opened anew.
			known = false
		} else if err == nil {
			o, err = r.request(etag)
		}
	}
	if !known {
		o, err = r.begin(etag)
	}
	if err != nil {
		r.close()
		return nil, Object{}, failure(ctx, op, key, err)
	}
	return r, shownPlain(o), nil
}

func (w *encrypted) seen(key, etag string) (seenHeader, bool) {
	if etag == "" {
		return seenHeader{}, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.headers.get(headerID{key, etag})
}

func (w *encrypted) remember(o Object, seg *segments) {
	if o.ETag == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.headers.put(headerID{o.Key, o.ETag}, seenHeader{seg, o.Size})
}

// opening is a range of an object, opened: the body that Read returns.
type opening struct {
	w           *encrypted
	ctx         context.Context // of the call that opened it, as an HTTP body has it
	key         string
	off, length int64 // as asked for

	seg   *segments
	rc    io.ReadCloser // stored bytes from segment next on
	next  int64         // index of the segment that is read next
	end   int64         // index of the last that is wanted
	last  int64         // index of the object's last
	tail  int64         // stored bytes of that
	left  int64         // plaintext bytes that are still to be returned
	skip  int64         // bytes of the next segment in front of the range
	buf   *[]byte
	plain []byte // decrypted, to be returned
	err   error  // that all further calls return
}

// limit works out, from how many bytes are stored, which segments hold the range. The error is Range behind the end, or
// says that the size is none of an encrypted object.
func (r *opening) limit(stored int64) error {
	size, ok := plainSize(stored)
	if !ok {
		return headerError("read", r.key, fmt.Errorf("%w: %d bytes cannot be all of an object", ErrTampered, stored))
	}
	r.last, r.tail = size/segmentSize, size%segmentSize+segmentOverhead
	if r.off >= size {
		r.next, r.end = r.last, r.last
		return &Error{Op: "read", Key: r.key, Kind: Range, Err: fmt.Errorf("offset %d of %d bytes", r.off, size)}
	}
	r.left = size - r.off
	if r.length >= 0 {
		r.left = min(r.left, r.length)
	}
	r.next, r.skip = r.off/segmentSize, r.off%segmentSize
	r.end = max(r.next, (r.off+r.left-1)/segmentSize)
	if r.off+r.left == size {
		r.end = r.last // which may have no bytes, but says that here is the end
	}
	return nil
}

// request asks for the segments from next to end of the version etag.
func (r *opening) request(etag string) (Object, error) {
	length := (r.end - r.next + 1) * segmentStored
	if r.end == r.last {
		length += r.tail - segmentStored
	}
	rc, o, err := r.w.d.Read(r.ctx, r.key, headerSize+r.next*segmentStored, length, etag)
	if err != nil {
		return Object{}, err
	}
	r.rc = rc
	return o, nil
}

// begin opens an object of which nothing is known. With its first request come the header and, if the range begins there,
// the first segments.
func (r *opening) begin(etag string) (Object, error) {
	want := int64(headerSize)
	near := r.off < segmentSize && r.length != 0
	switch {
	case near && r.length < 0:
		want = -1
	case near && r.length <= 1<<50:
		// Behind the segments of the range may come a last one without bytes.
		want += (r.off+r.length-1)/segmentSize*segmentStored + segmentStored + segmentOverhead
	case near:
		want = -1
	}
	rc, o, err := r.w.d.Read(r.ctx, r.key, 0, want, etag)
	if KindOf(err) == Range { // without any bytes
		if isMarker(r.key, 0) {
			return Object{}, err
		}
		return Object{}, headerError("read", r.key, ErrNotEncrypted)
	}
	if err != nil {
		return Object{}, err
	}
	r.rc = rc
	if err := r.header(o); err != nil {
		return Object{}, err
	}
	out := r.limit(o.Size)
	if out != nil && KindOf(out) != Range {
		return Object{}, out
	}
	if out == nil {
		r.w.remember(o, r.seg)
	}
	if near && out == nil {
		return o, nil
	}
	if near && r.last == 0 {
		// What has come is all of it. It counts as empty, or as short, only when its end is authentic.
		if _, err := r.segment(); err != nil {
			return Object{}, err
		}
		if r.tail == segmentOverhead {
			r.w.remember(o, r.seg) // Stat relies on its end having been found authentic
		}
		return Object{}, out
	}
	if err := r.rc.Close(); err != nil {
		return Object{}, bodyError(err)
	}
	r.rc = nil
	if out == nil && r.length == 0 {
		return o, nil
	}
	again, err := r.request(o.ETag)
	if err != nil {
		return Object{}, err
	}
	if err := pinOf(o).check(&again); err != nil {
		return Object{}, err
	}
	if out != nil {
		if _, err := r.segment(); err != nil {
			return Object{}, err
		}
		return Object{}, out
	}
	return again, nil
}

// header reads and checks the header of object o, which is what comes first.
func (r *opening) header(o Object) error {
	const op = "read"
	b := make([]byte, min(o.Size, headerSize))
	if _, err := io.ReadFull(r.rc, b); err != nil {
		return bodyError(err)
	}
	h, err := parseHeader(b)
	if err != nil {
		return headerError(op, r.key, err)
	}
	key, err := r.w.ring.key(r.ctx, keyID{h.params, h.salt})
	if err != nil {
		return err
	}
	if r.seg, err = h.unlock(key); err != nil {
		return headerError(op, r.key, err)
	}
	return nil
}

// segment reads and decrypts the next segment.
func (r *opening) segment() ([]byte, error) {
	if r.buf == nil {
		r.buf = r.w.bufs.Get().(*[]byte)
	}
	stored := *r.buf
	if r.next == r.last {
		stored = stored[:r.tail]
	}
	if n, err := io.ReadFull(r.rc, stored); err != nil {
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) && KindOf(err) == Other {
			return nil, truncated(int64(len(stored) - n))
		}
		return nil, bodyError(err)
	}
	plain, err := r.seg.open(stored, r.next, r.next == r.last)
	if err != nil {
		return nil, headerError("read", r.key, err)
	}
	r.next++
	return plain, nil
}

// Read returns bytes of segments that were found authentic. Before the object's last byte its end is.
func (r *opening) Read(p []byte) (int, error) {
	switch {
	case r.err != nil:
		return 0, r.err
	case r.left == 0:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	case len(r.plain) == 0:
		if r.err = r.fill(); r.err != nil {
			r.err = failure(r.ctx, "read", r.key, r.err)
			return 0, r.err
		}
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	r.left -= int64(n)
	return n, nil
}

// fill decrypts the segment that is due, and with the last that has bytes the one behind it that has none.
func (r *opening) fill() error {
	plain, err := r.segment()
	if err != nil {
		return err
	}
	plain = plain[r.skip:]
	r.skip = 0
	r.plain = plain[:min(int64(len(plain)), r.left)]
	if r.next == r.end && r.end == r.last && r.tail == segmentOverhead {
		kept := r.buf
		r.buf = nil
		_, err := r.segment()
		if r.buf != nil {
			r.w.bufs.Put(r.buf)
		}
		r.buf = kept
		return err
	}
	return nil
}

// Close implements io.Closer.
func (r *opening) Close() error {
	if r.err == nil {
		r.err = &Error{Op: "read", Key: r.key, Kind: Closed}
	}
	return r.close()
}

func (r *opening) close() error {
	if r.buf != nil {
		r.w.bufs.Put(r.buf)
		r.buf, r.plain = nil, nil
	}
	if r.rc == nil {
		return nil
	}
	rc := r.rc
	r.rc = nil
	return rc.Close()
}
