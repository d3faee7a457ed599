package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Sizes of the ranges that a Reader asks for, in bytes, and how far it reads ahead before it knows better.
const (
	firstRange = 1 << 20  // small, so that the first byte is early
	aheadRange = 16 << 20 // of ranges ahead, at first
	leastRange = 1 << 20  // for less memory than this a request is not worth it
	firstAhead = 4
	// A range whose first byte took this long and more than this share of its time is followed by one twice as large.
	// Where asking costs little, small ranges are better: their memory is soon used again, so that it is little and warm.
	longLatency  = 50 * time.Millisecond
	latencyShare = 1. / 8
)

// ReadOptions says what Open reads. The zero ReadOptions is all of the object.
type ReadOptions struct {
	Offset int64  // first byte
	Length int64  // in bytes; 0 or less, or more than there are: up to the end
	ETag   string // if not empty, the object must be that one, else Open returns Changed
	// ReadAhead is how many ranges may be ahead of the reader. 0 or less: as many as the link and the Pool bear.
	ReadAhead int
	// PartSize is the size of the ranges in bytes. 0 or less: from 16 MiB, growing up to Config.PartSize where the wait for
	// the first byte of a range is a large share of its time.
	PartSize int64
}

// Reader reads an object in order while ranges ahead are under way. All of them are of one version of the object: if it is
// replaced, Read returns an error that matches ErrChanged. A range that breaks off or stalls goes on where it stopped.
//
// A Reader is for one goroutine, but Close may be called by another. It must be closed.
type Reader struct {
	b   *Bucket
	key string
	obj Object
	pin pin
	end int64 // offset where reading ends

	request func(off, length int64) (*rangeBody, error) // under the limiter, without retry
	again   func(r *retrier, err error) error
	start   func(*segment)
	cancel  context.CancelCauseFunc
	fetches sync.WaitGroup
	mem     *ahead
	fixed   bool // ranges do not grow

	mu     sync.Mutex // protects busy, closed and size
	busy   bool       // a Read is under way
	closed bool
	size   int64 // of the next range

	// The rest is the Read's that is under way, or Close's.
	off       int64 // next byte to hand out
	next      int64 // where the next range begins
	depth     int   // ranges ahead
	deepest   int
	ahead     []*segment
	direct    *rangeBody // the range that off lies in, if it is read without memory; nil while it is broken
	directEnd int64      // where it ends
	retrier   *retrier   // of direct
	err       error      // of an earlier Read
}

// segment is a range that is fetched into memory.
type segment struct {
	off  int64
	buf  []byte
	used int           // handed out
	more chan struct{} // a token when have or err has changed

	mu   sync.Mutex // protects the rest
	have int
	err  error
}

// Open begins to read an object. ctx is for all of the Reader's life: when it ends, so does reading. The first request
// is made here, so that NotFound, Denied and the like come from Open.
func (b *Bucket) Open(ctx context.Context, key string, o ReadOptions) (*Reader, error) {
	const op = "read"
	if err := b.checkKey(op, key); err != nil {
		return nil, err
	}
	if o.Offset < 0 {
		return nil, &Error{Op: op, Key: key, Kind: Invalid, Err: errors.New("the offset is below 0")}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	head := int64(firstRange)
	if o.Length > 0 {
		head = min(head, o.Length)
	}
	var body *rangeBody
	var obj Object
	err := b.retry(ctx, op, key, func(ctx context.Context) (err error) {
		body, obj, err = b.open(ctx, key, o.Offset, head, pin{etag: o.ETag})
		return err
	})
	if KindOf(err) == Range {
		// No range of an empty object is good.
		var serr error
		if obj, serr = b.Stat(ctx, key); serr != nil {
			err = serr
		} else if o.ETag != "" && obj.ETag != o.ETag {
			err = &Error{Op: op, Key: key, Kind: Changed}
		} else if o.Offset == obj.Size {
			err = nil
		}
	}
	if err == nil && !obj.HasAttr && b.caps.Attrs {
		err = b.describe(ctx, key, &obj)
	}
	if err != nil {
		if body != nil {
			_ = body.Close() // nobody wants its bytes
		}
		cancel(nil)
		return nil, failure(ctx, op, key, err)
	}
	end := obj.Size
	if o.Length > 0 && o.Length < end-o.Offset {
		end = o.Offset + o.Length
	}
	r := &Reader{
		b: b, key: key, obj: obj, pin: pin{etag: o.ETag}.with(obj), end: end, cancel: cancel, mem: b.cfg.Pool.readAhead(),
		fixed: o.PartSize > 0, size: min(aheadRange, b.cfg.PartSize), off: o.Offset, direct: body,
		directEnd: min(o.Offset+head, end), retrier: newRetrier(b.cfg.RetryTimeout),
		depth: min(firstAhead, b.cfg.Parallel),
		// Those that have come and wait for an earlier one must not be why fewer are under way. The limiter bounds those.
		deepest: 2 * b.cfg.Parallel,
	}
	if o.PartSize > 0 {
		r.size = o.PartSize
	}
	if o.ReadAhead > 0 {
		r.depth, r.deepest = o.ReadAhead, o.ReadAhead
	}
	r.next = r.directEnd
	r.request = func(off, length int64) (body *rangeBody, err error) {
		err = b.once(ctx, func(context.Context) (err error) {
			// The body outlives the request's turn: it goes at the pace of who reads, who may wait for turns of others.
			body, _, err = b.open(ctx, key, off, length, r.pin)
			return err
		})
		return body, err
	}
	r.again = func(t *retrier, err error) error { return b.again(ctx, t, op, key, err) }
	r.start = func(s *segment) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.closed { // Close waits for fetches, so that none may be added
			s.tell(-1, &Error{Op: op, Key: key, Kind: Closed})
			return
		}
		r.fetches.Go(func() { r.fetch(ctx, op, s) })
	}
	r.readOn()
	return r, nil
}

// describe adds what only Stat says.
func (b *Bucket) describe(ctx context.Context, key string, o *Object) error {
	found, err := b.Stat(ctx, key)
	if err != nil {
		return err
	}
	if err := pinOf(*o).check(&found); err != nil {
		return err
	}
	o.Attr, o.HasAttr = found.Attr, found.HasAttr
	if o.Class == "" {
		o.Class = found.Class
	}
	return nil
}

// Object describes the object, with its attributes where the platform keeps them. It does not change.
func (r *Reader) Object() Object { return r.obj }

// Read reads up to len(p) bytes. io.EOF comes at the end of the range that was opened and never before.
func (r *Reader) Read(p []byte) (n int, err error) {
	if err := r.enter(); err != nil {
		return 0, err
	}
	defer r.leave()
	if len(p) == 0 {
		return 0, nil
	}
	for n == 0 && r.err == nil {
		var chunk []byte
		var s *segment
		if s, r.err = r.segment(); r.err != nil {
			break
		}
		if s == nil {
			n, r.err = r.readDirect(p)
			continue
		}
		if chunk, r.err = r.wait(s); r.err == nil {
			n = copy(p, chunk)
			r.consume(s, n)
		}
	}
	if n > 0 {
		return n, nil // the error comes with the next call
	}
	return 0, r.err
}

// WriteTo writes all that is left to w, without copying what lies in memory.
func (r *Reader) WriteTo(w io.Writer) (total int64, err error) {
	if err := r.enter(); err != nil {
		return 0, err
	}
	defer r.leave()
	var p []byte
	for {
		s, err := r.segment()
		var chunk []byte
		switch {
		case err != nil:
		case s == nil:
			if p == nil {
				p = make([]byte, 64<<10)
			}
			var n int
			n, err = r.readDirect(p)
			chunk = p[:n]
		default:
			chunk, err = r.wait(s)
		}
		if len(chunk) > 0 {
			n, werr := w.Write(chunk)
			if werr == nil && n < len(chunk) {
				werr = io.ErrShortWrite
			}
			total += int64(n)
			if s != nil {
				r.consume(s, n)
			}
			if werr != nil {
				return total, werr
			}
		}
		if err != nil {
			r.err = err
			if err == io.EOF {
				err = nil
			}
			return total, err
		}
	}
}

// segment returns the range in memory that is to be handed out, or nil if the bytes at off come directly. At the end it
// returns io.EOF.
func (r *Reader) segment() (*segment, error) {
	switch {
	case r.err != nil:
		return nil, r.err
	case r.off >= r.end:
		return nil, io.EOF
	case r.off < r.directEnd:
		return nil, nil
	}
	r.readOn()
	if len(r.ahead) > 0 {
		return r.ahead[0], nil
	}
	// There is no memory: on with one request, at the pace of who reads.
	r.directEnd = min(r.off+r.b.cfg.PartSize, r.end)
	r.next = r.directEnd
	return nil, nil
}

// readOn begins as many ranges ahead as there may be.
func (r *Reader) readOn() {
	for len(r.ahead) < r.depth && r.next < r.end {
		r.mu.Lock()
		size := min(r.size, r.end-r.next)
		r.mu.Unlock()
		n := r.mem.take(size, min(size, leastRange))
		if n == 0 {
			return
		}
		s := &segment{off: r.next, buf: r.b.buffer(n), more: make(chan struct{}, 1)}
		r.next += n
		r.ahead = append(r.ahead, s)
		r.start(s)
	}
}

// fetch brings a segment into memory.
func (r *Reader) fetch(ctx context.Context, op string, s *segment) {
	buf := s.buf // s.buf goes as soon as its last byte is handed out
	var begun, first time.Time
	_, err := r.b.fetch(ctx, op, r.key, buf, s.off, r.pin, func(have int) {
		switch {
		case have == 0:
			begun = time.Now()
		case first.IsZero():
			first = time.Now()
		}
		s.tell(have, nil)
	})
	if err == io.EOF { // the pin has the size, so that this cannot be
		err = &Error{Op: op, Key: r.key, Kind: Changed}
	}
	if err != nil {
		s.tell(-1, err)
		return
	}
	if latency := first.Sub(begun); r.fixed || latency < longLatency || latency.Seconds() < latencyShare*time.Since(begun).Seconds() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if int64(len(buf)) == r.size {
		r.size = max(r.size, min(2*r.size, r.b.cfg.PartSize))
	}
}

// tell wakes who waits for the segment; have below 0 leaves that as it is.
func (s *segment) tell(have int, err error) {
	s.mu.Lock()
	if have >= 0 {
		s.have = have
	}
	s.err = err
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// wait returns the bytes of a segment that are there and not handed out yet, when there are some.
func (r *Reader) wait(s *segment) ([]byte, error) {
	for waited := false; ; waited = true {
		s.mu.Lock()
		have, err := s.have, s.err
		s.mu.Unlock()
		if have > s.used {
			return s.buf[s.used:have], nil
		}
		if err != nil {
			return nil, err
		}
		if !waited && s.used == 0 && r.depth < r.deepest {
			r.depth++ // who reads is faster than what comes
			r.readOn()
		}
		<-s.more
	}
}

// consume notes that n bytes of a segment were handed out. When it is used up its memory goes.
func (r *Reader) consume(s *segment, n int) {
	s.used += n
	r.off += int64(n)
	if s.used == len(s.buf) {
		r.ahead = r.ahead[1:]
		r.free(s)
		r.readOn()
	}
}

func (r *Reader) free(s *segment) {
	n := int64(len(s.buf))
	r.b.recycle(s.buf)
	s.buf = nil
	r.mem.give(n)
}

// readDirect reads from the range that off lies in, without memory, and goes on where it broke off.
func (r *Reader) readDirect(p []byte) (int, error) {
	p = p[:min(int64(len(p)), r.directEnd-r.off)]
	for {
		n, err := 0, error(nil)
		if r.direct == nil {
			r.direct, err = r.request(r.off, r.directEnd-r.off)
		}
		if err == nil {
			n, err = r.direct.Read(p)
			r.off += int64(n)
			if n > 0 {
				r.retrier.progress()
			}
			if missing := r.directEnd - r.off; missing == 0 {
				err = r.closeDirect(nil)
			} else if err == io.EOF {
				err = r.closeDirect(truncated(missing))
			} else if err != nil {
				err = r.closeDirect(err)
			}
		}
		if n > 0 {
			return n, nil // a broken range is opened again by the next call
		}
		if err != nil {
			if err := r.again(r.retrier, err); err != nil {
				return 0, err
			}
		}
	}
}

// closeDirect ends the direct range and returns err: all of its bytes are here or err says why not, so that how the
// connection ends does not matter.
func (r *Reader) closeDirect(err error) error {
	if r.direct != nil {
		_ = r.direct.Close()
		r.direct = nil
	}
	return err
}

// enter begins a Read.
func (r *Reader) enter() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return &Error{Op: "read", Key: r.key, Kind: Closed}
	}
	if r.busy {
		return &Error{Op: "read", Key: r.key, Kind: Invalid, Err: errors.New("another goroutine is reading")}
	}
	r.busy = true
	return nil
}

// leave ends a Read. If the Reader was closed meanwhile, Close has left the memory to it.
func (r *Reader) leave() {
	r.mu.Lock()
	r.busy = false
	closed := r.closed
	r.mu.Unlock()
	if closed {
		r.release()
	}
}

// Close ends all requests and gives the memory back; a Read that is under way returns an error that matches ErrClosed, and
// gives it back when it does. Close waits for the requests, not for that Read. Later calls do nothing.
func (r *Reader) Close() error {
	r.mu.Lock()
	first, busy := !r.closed, r.busy
	r.closed = true
	r.mu.Unlock()
	if !first {
		return nil
	}
	r.cancel(fmt.Errorf("reader: %w", ErrClosed))
	if !busy {
		r.release()
		return nil
	}
	r.fetches.Wait()
	return nil
}

// release waits for the requests and gives back what the Reader has.
func (r *Reader) release() {
	r.fetches.Wait()
	_ = r.closeDirect(nil)
	for _, s := range r.ahead {
		r.free(s)
	}
	r.ahead = nil
	r.mem.leave()
}
