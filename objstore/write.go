package objstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"

	"golang.org/x/sync/errgroup"
)

// peekSize is how much of a stream is read before memory for a whole part is taken, so that many small streams do not
// queue for part memory.
const peekSize = 256 << 10

// Write stores what r holds as an object and returns it. What fits one part is one request; more is an upload in parts,
// which go in parallel. If o.Size is known, an r that ends early or goes on is an error.
//
// If the size is known and r is an io.ReaderAt, parts are read from it as they are sent, at the same time and without
// memory: from where an io.Seeker stands, else from 0; the position does not move. Otherwise parts are gathered in memory
// that the Pool grants; one of unknown size fails when it becomes so large that a part no longer fits into the Pool. On any error the upload is aborted, after ctx has ended too; that may take half a minute. A Read
// of r that blocks is not interrupted.
func (b *Bucket) Write(ctx context.Context, key string, r io.Reader, o CreateOptions) (Object, error) {
	const op = "write"
	o.Size = max(o.Size, -1)
	if src, base, ok := randomAccess(r); ok && o.Size >= 0 {
		return b.writeAt(ctx, key, io.NewSectionReader(src, base, math.MaxInt64-base), o)
	}
	plan, err := b.plan(op, key, o)
	if err != nil {
		return Object{}, err
	}
	in := &stream{b: b, r: r, op: op, key: key, size: o.Size}
	if head, release, err := in.small(ctx, plan); err != nil {
		return Object{}, err
	} else if release != nil {
		defer release()
		return b.Put(ctx, key, bytes.NewReader(head), int64(len(head)), o.PutOptions)
	}
	w, err := b.create(ctx, key, o, plan)
	if err != nil {
		in.close()
		return Object{}, err
	}
	return w.finish(ctx, func(ctx context.Context) (int64, error) { return in.parts(ctx, w) })
}

// finish puts the parts of an upload and completes it, or else aborts it.
func (w *Writer) finish(ctx context.Context, parts func(context.Context) (size int64, err error)) (Object, error) {
	size, err := parts(ctx)
	if err == nil && ctx.Err() != nil {
		err = failure(ctx, "write", w.u.Key, context.Cause(ctx)) // perhaps not all parts were begun
	}
	var o Object
	if err == nil {
		o, err = w.Complete(ctx, size)
	}
	if err == nil {
		return o, nil
	}
	actx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	if aerr := w.Abort(actx); aerr != nil {
		w.b.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "upload was not aborted", slog.String("kind", KindOf(aerr).String()))
		var e *Error
		if errors.As(err, &e) {
			left := *e
			left.Hint = "its parts could not be removed and remain in the store"
			if hint := e.hint(); hint != "" {
				left.Hint = hint + "; " + left.Hint
			}
			err = &left
		}
	}
	return Object{}, err
}

// parallel is how many parts may be on their way at a time.
func (b *Bucket) parallel() int {
	if b.caps.Ordered {
		return 1
	}
	return b.cfg.Parallel
}

// randomAccess says whether r can be read anywhere, and where it stands.
func randomAccess(r io.Reader) (src io.ReaderAt, base int64, ok bool) {
	src, ok = r.(io.ReaderAt)
	if !ok {
		return nil, 0, false
	}
	if s, seeks := r.(io.Seeker); seeks {
		pos, err := s.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, 0, false // a pipe has the methods of a file, too
		}
		base = pos
	}
	return src, base, true
}

// writeAt writes o.Size bytes of src, without memory for parts.
func (b *Bucket) writeAt(ctx context.Context, key string, src io.ReaderAt, o CreateOptions) (Object, error) {
	const op = "write"
	plan, err := b.plan(op, key, o)
	if err != nil {
		return Object{}, err
	}
	if n, err := src.ReadAt(make([]byte, 1), o.Size); n > 0 {
		return Object{}, longer(op, key, o.Size)
	} else if err != nil && err != io.EOF {
		return Object{}, &Error{Op: op, Key: key, Err: fmt.Errorf("read the source: %w", err)}
	}
	if b.onePut(plan, o.Size) {
		return b.Put(ctx, key, src, o.Size, o.PutOptions)
	}
	w, err := b.create(ctx, key, o, plan)
	if err != nil {
		return Object{}, err
	}
	return w.finish(ctx, func(ctx context.Context) (int64, error) {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(b.parallel())
		for n := 0; n < plan.Count(o.Size) && ctx.Err() == nil; n++ {
			g.Go(func() error {
				spec, size := w.u.Spec(n)
				return w.PutPart(ctx, n, spec.Last, io.NewSectionReader(src, spec.Off, size), size)
			})
		}
		return o.Size, g.Wait()
	})
}

// onePut says whether an object of size bytes, which are known, is stored with one request.
func (b *Bucket) onePut(p Plan, size int64) bool {
	limit := b.maxPut()
	return size <= p.PartSize(0) && (limit <= 0 || size <= limit)
}

// stream cuts a reader into parts.
type stream struct {
	b       *Bucket
	r       io.Reader
	op, key string
	size    int64 // of what r must hold; -1 = not known

	off     int64   // bytes gathered
	buf     []byte  // the part that was gathered last
	release func()  // gives buf back; nil once somebody else does
	beyond  [1]byte // the byte behind buf, if ahead
	ahead   bool
	ended   bool // r has no more
}

// small reads the stream up to the end of the first part. If it ends there and fits one request, head is all of it, until
// release is called. Otherwise release is nil, and parts goes on.
func (s *stream) small(ctx context.Context, plan Plan) (head []byte, release func(), err error) {
	part := plan.PartSize(0)
	want := part
	if s.size >= 0 {
		want = min(part, s.size)
	}
	peek := min(want, peekSize)
	buf := make([]byte, peek)
	n, err := s.fill(buf)
	if err != nil {
		return nil, nil, err
	}
	if n < len(buf) || want == peek {
		s.buf, s.release = buf[:n], func() {}
	} else {
		big, release, err := s.b.acquire(ctx, s.op, s.key, want)
		if err != nil {
			return nil, nil, err
		}
		m, err := s.fill(big[copy(big, buf):])
		if err != nil {
			release()
			return nil, nil, err
		}
		s.buf, s.release = big[:n+m], release
	}
	if err := s.look(); err != nil {
		s.close()
		return nil, nil, err
	}
	if s.ended && s.b.onePut(plan, s.off) {
		return s.buf, s.release, nil
	}
	return nil, nil, nil
}

func (s *stream) close() {
	if s.release != nil {
		s.release()
		s.release = nil
	}
}

// parts puts what the stream holds as the parts of w and returns how many bytes they are.
func (s *stream) parts(ctx context.Context, w *Writer) (int64, error) {
	defer s.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(s.b.parallel())
	var failed error
	for n := 0; ; n++ {
		if n > 0 {
			if failed = s.next(ctx, w, n); failed != nil {
				cancel(failed)
				break
			}
		}
		buf, release, last := s.buf, s.release, s.ended
		s.release = nil
		g.Go(func() error {
			defer release()
			return w.PutPart(ctx, n, last, bytes.NewReader(buf), int64(len(buf)))
		})
		if last {
			break
		}
	}
	// A part that failed is why the pool no longer gave memory, not the other way round; where the stream failed, the
	// parts were cancelled because of it.
	if err := g.Wait(); err != nil && (failed == nil || !errors.Is(err, failed)) {
		return 0, err
	}
	return s.off, failed
}

// next gathers part n.
func (s *stream) next(ctx context.Context, w *Writer, n int) (err error) {
	_, size := w.u.Spec(n)
	if s.buf, s.release, err = s.b.acquire(ctx, s.op, s.key, size); err != nil {
		s.release = nil
		return err
	}
	k, err := s.fill(s.buf)
	if err != nil {
		return err
	}
	s.buf = s.buf[:k]
	return s.look()
}

// fill reads until p is full or the stream ends.
func (s *stream) fill(p []byte) (n int, err error) {
	if s.ahead && len(p) > 0 {
		p[0], s.ahead, n = s.beyond[0], false, 1
	}
	k, err := io.ReadFull(s.r, p[n:])
	n += k
	s.off += int64(n)
	if n < len(p) && (err == io.EOF || err == io.ErrUnexpectedEOF) {
		s.ended = true
		return n, nil
	}
	return n, s.readError(err)
}

// look finds out whether the stream ends behind what was gathered, and whether it may.
func (s *stream) look() error {
	// In the middle of a stream of known size there is no need.
	if !s.ended && (s.size < 0 || s.off == s.size) {
		_, err := io.ReadFull(s.r, s.beyond[:])
		s.ended = err == io.EOF
		if err != nil && !s.ended {
			return s.readError(err)
		}
		s.ahead = !s.ended
	}
	switch {
	case s.size >= 0 && s.off == s.size && s.ahead:
		return longer(s.op, s.key, s.size)
	case s.size >= 0 && s.ended && s.off < s.size:
		return &Error{Op: s.op, Key: s.key, Err: fmt.Errorf("the source ends after %d of %d bytes: %w", s.off, s.size, io.ErrUnexpectedEOF)}
	}
	return nil
}

func (s *stream) readError(err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: s.op, Key: s.key, Err: fmt.Errorf("read the source: %w", err)}
}

func longer(op, key string, size int64) error {
	return &Error{Op: op, Key: key, Err: fmt.Errorf("the source holds more than the %d bytes that it should", size)}
}
