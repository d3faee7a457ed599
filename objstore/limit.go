package objstore

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits bound what a Driver does. 0 or less means no bound.
type Limits struct {
	Up        int64   // bytes per second of bodies that are put; what a driver reads twice, to sum it first, counts twice
	Down      int64   // bytes per second of bodies that are read
	Requests  int     // at a time; a Read is one until its body is closed
	PerSecond float64 // requests begun per second
}

// limited is the Driver of WithLimit.
type limited struct {
	d        Driver
	up, down *rate.Limiter // nil = no bound
	begin    *rate.Limiter
	slots    chan struct{} // holds one token for each request under way
}

// WithLimit returns a Driver that keeps to l, for all who use it together. Waits end when their context does. Who reads one
// object while writing another needs two requests at a time. A Bucket above it takes waits for those of the store: its
// Config.Parallel should be at most l.Requests, and small enough, or its StallTimeout long enough, that each range gets 16 KiB
// in that time. The Driver takes over d.
func WithLimit(d Driver, l Limits) Driver {
	w := &limited{d: d, up: byteRate(l.Up), down: byteRate(l.Down)}
	if l.PerSecond > 0 {
		w.begin = rate.NewLimiter(rate.Limit(l.PerSecond), 1)
	}
	if l.Requests > 0 {
		w.slots = make(chan struct{}, l.Requests)
	}
	return w
}

// What is let through at once: an eighth of a second's worth, within bounds.
const (
	leastBurst = 1 << 10
	mostBurst  = 1 << 20
)

func byteRate(bytes int64) *rate.Limiter {
	if bytes <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(bytes), int(min(max(bytes/8, leastBurst), mostBurst)))
}

// wait takes n of what l gives. Unlike rate.Limiter.Wait it does not give up before ctx ends, and returns its cause.
func wait(ctx context.Context, l *rate.Limiter, n int) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if l == nil {
		return nil
	}
	r := l.ReserveN(time.Now(), n)
	pause := r.Delay()
	if pause == 0 {
		return nil
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		r.Cancel()
		return context.Cause(ctx)
	}
}

// enter begins a request, and leave ends it.
func (w *limited) enter(ctx context.Context, op, key string) error {
	if ctx.Err() != nil {
		return failure(ctx, op, key, context.Cause(ctx))
	}
	if w.slots != nil {
		select {
		case w.slots <- struct{}{}:
		case <-ctx.Done():
			return failure(ctx, op, key, context.Cause(ctx))
		}
	}
	if err := wait(ctx, w.begin, 1); err != nil {
		w.leave()
		return failure(ctx, op, key, err)
	}
	return nil
}

func (w *limited) leave() {
	if w.slots != nil {
		<-w.slots
	}
}

// do makes a request.
func (w *limited) do(ctx context.Context, op, key string, f func() error) error {
	if err := w.enter(ctx, op, key); err != nil {
		return err
	}
	defer w.leave()
	return f()
}

// limitedSource is a body that is put.
type limitedSource struct {
	ctx context.Context // of the call that has it
	src io.ReaderAt
	l   *rate.Limiter
}

func (s *limitedSource) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && err == nil {
		piece := p[n:min(len(p), n+s.l.Burst())]
		if err := wait(s.ctx, s.l, len(piece)); err != nil {
			return n, err
		}
		var k int
		k, err = s.src.ReadAt(piece, off+int64(n))
		n += k
	}
	return n, err
}

// source returns the body, limited.
func (w *limited) source(ctx context.Context, body *io.SectionReader) *io.SectionReader {
	if w.up == nil {
		return body
	}
	return io.NewSectionReader(&limitedSource{ctx, body, w.up}, 0, body.Size())
}

// limitedBody is a body that is read.
type limitedBody struct {
	ctx   context.Context // of the call that opened it
	rc    io.ReadCloser
	l     *rate.Limiter // nil = no bound
	leave func()        // does nothing the second time
}

// Read pays for bytes when it has them: how many come is not known before.
func (b *limitedBody) Read(p []byte) (int, error) {
	if b.l == nil {
		return b.rc.Read(p)
	}
	n, err := b.rc.Read(p[:min(len(p), b.l.Burst())])
	if n > 0 {
		if werr := wait(b.ctx, b.l, n); werr != nil && (err == nil || err == io.EOF) {
			err = werr
		}
	}
	return n, err
}

func (b *limitedBody) Close() error {
	defer b.leave()
	return b.rc.Close()
}

// Caps implements Driver.
func (w *limited) Caps() Caps { return w.d.Caps() }

// Close implements Driver.
func (w *limited) Close() error { return w.d.Close() }

// Stat implements Driver.
func (w *limited) Stat(ctx context.Context, key string) (o Object, err error) {
	err = w.do(ctx, "stat", key, func() error { o, err = w.d.Stat(ctx, key); return err })
	return o, err
}

// List implements Driver.
func (w *limited) List(ctx context.Context, o ListOptions) (p Page, err error) {
	err = w.do(ctx, "list", o.Prefix, func() error { p, err = w.d.List(ctx, o); return err })
	return p, err
}

// Read implements Driver.
func (w *limited) Read(ctx context.Context, key string, off, length int64, etag string) (io.ReadCloser, Object, error) {
	if err := w.enter(ctx, "read", key); err != nil {
		return nil, Object{}, err
	}
	rc, o, err := w.d.Read(ctx, key, off, length, etag)
	if err != nil {
		w.leave()
		return nil, Object{}, err
	}
	return &limitedBody{ctx: ctx, rc: rc, l: w.down, leave: sync.OnceFunc(w.leave)}, o, nil
}

// Put implements Driver.
func (w *limited) Put(ctx context.Context, key string, body *io.SectionReader, o PutOptions) (obj Object, err error) {
	err = w.do(ctx, "put", key, func() error { obj, err = w.d.Put(ctx, key, w.source(ctx, body), o); return err })
	return obj, err
}

// Delete implements Driver.
func (w *limited) Delete(ctx context.Context, keys ...string) error {
	return w.do(ctx, "delete", "", func() error { return w.d.Delete(ctx, keys...) })
}

// Copy implements Driver.
func (w *limited) Copy(ctx context.Context, src, etag, dst string, o *PutOptions) (obj Object, err error) {
	err = w.do(ctx, "copy", src, func() error { obj, err = w.d.Copy(ctx, src, etag, dst, o); return err })
	return obj, err
}

// CopyFrom implements CrossCopier where d does.
func (w *limited) CopyFrom(ctx context.Context, src Driver, srcKey, etag, dstKey string, o *PutOptions) (obj Object, err error) {
	err = w.do(ctx, "copy", srcKey, func() error {
		obj, err = crossCopy(ctx, w.d, src, srcKey, etag, dstKey, o)
		return err
	})
	return obj, err
}

// Begin implements Driver.
func (w *limited) Begin(ctx context.Context, u Upload, o PutOptions) (v Upload, err error) {
	err = w.do(ctx, "begin upload", u.Key, func() error { v, err = w.d.Begin(ctx, u, o); return err })
	return v, err
}

// PutPart implements Driver.
func (w *limited) PutPart(ctx context.Context, u Upload, spec PartSpec, body *io.SectionReader) (p Part, err error) {
	err = w.do(ctx, fmt.Sprintf("put part %d", spec.N), u.Key, func() error { p, err = w.d.PutPart(ctx, u, spec, w.source(ctx, body)); return err })
	return p, err
}

// Parts implements Driver.
func (w *limited) Parts(ctx context.Context, u Upload) (list []Part, err error) {
	err = w.do(ctx, "list parts", u.Key, func() error { list, err = w.d.Parts(ctx, u); return err })
	return list, err
}

// Complete implements Driver.
func (w *limited) Complete(ctx context.Context, u Upload, parts []Part, o PutOptions) (obj Object, err error) {
	err = w.do(ctx, "complete upload", u.Key, func() error { obj, err = w.d.Complete(ctx, u, parts, o); return err })
	return obj, err
}

// Abort implements Driver.
func (w *limited) Abort(ctx context.Context, u Upload) error {
	return w.do(ctx, "abort upload", u.Key, func() error { return w.d.Abort(ctx, u) })
}

// Uploads implements Driver.
func (w *limited) Uploads(ctx context.Context, prefix, token string) (list []UploadInfo, next string, err error) {
	err = w.do(ctx, "list uploads", prefix, func() error { list, next, err = w.d.Uploads(ctx, prefix, token); return err })
	return list, next, err
}
