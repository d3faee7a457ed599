package objstore

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// retried is the Driver of WithRetry.
type retried struct {
	d     Driver
	rules *Bucket // for again only: timeout, logger and whether it is closed
	stop  func()
}

// WithRetry returns a Driver that makes requests of d again by the rules of a Bucket, for those who use a Driver without
// one; a Bucket does so by itself. timeout is as Config.RetryTimeout. log is told at level Debug; nil means silent. A body
// that breaks off goes on from where it stopped, with the same version of the object. The Driver takes over d; closing it
// ends waits with an error that matches ErrClosed.
//
// When the answer to a request is lost, nobody knows whether it was done, and here less is known than a Bucket finds out:
//   - Begin may leave an upload that nobody knows. Uploads lists it.
//   - Put and Complete with IfAbsent may return Exists for the object that they made themselves.
//   - Complete may return NoUpload, or NotFound, for an upload that it has completed.
//   - Put, Copy and Delete may undo what somebody else did between two tries.
//
// In the second and third case the error's Hint says so.
func WithRetry(d Driver, timeout time.Duration, log *slog.Logger) Driver {
	b := &Bucket{cfg: Config{RetryTimeout: timeout, Logger: log}.resolved(d.Caps()), closed: make(chan struct{})}
	return &retried{d: d, rules: b, stop: sync.OnceFunc(func() { close(b.closed) })}
}

// Caps implements Driver.
func (w *retried) Caps() Caps { return w.d.Caps() }

// Close implements Driver.
func (w *retried) Close() error {
	w.stop()
	return w.d.Close()
}

// lostHint is that of errors that an earlier try may be the reason of.
const lostHint = "the answer to an earlier try was lost; that one may have succeeded"

// do makes a request until it succeeds or is not worth another try. unsure are the kinds of failure that may come from an
// earlier try that succeeded.
func (w *retried) do(ctx context.Context, op, key string, f func() error, unsure ...Kind) error {
	r := newRetrier(w.rules.cfg.RetryTimeout)
	lost := false
	for {
		err := f()
		if err == nil {
			return nil
		}
		if lost {
			for _, kind := range unsure {
				if KindOf(err) == kind {
					return &Error{Op: op, Key: key, Kind: kind, Err: err, Hint: lostHint}
				}
			}
		}
		lost = true
		if err := w.rules.again(ctx, r, op, key, err); err != nil {
			return err
		}
	}
}

// Stat implements Driver.
func (w *retried) Stat(ctx context.Context, key string) (o Object, err error) {
	err = w.do(ctx, "stat", key, func() error { o, err = w.d.Stat(ctx, key); return err })
	return o, err
}

// List implements Driver.
func (w *retried) List(ctx context.Context, o ListOptions) (p Page, err error) {
	err = w.do(ctx, "list", o.Prefix, func() error { p, err = w.d.List(ctx, o); return err })
	return p, err
}

// Read implements Driver.
func (w *retried) Read(ctx context.Context, key string, off, length int64, etag string) (io.ReadCloser, Object, error) {
	b := &retriedBody{w: w, ctx: ctx, key: key, off: off, length: length, pin: pin{etag: etag}, r: newRetrier(w.rules.cfg.RetryTimeout)}
	for {
		o, err := b.open()
		if err == nil {
			return b, o, nil
		}
		if err := w.rules.again(ctx, b.r, "read", key, err); err != nil {
			return nil, Object{}, err
		}
	}
}

// retriedBody is a body that goes on when it has broken off.
type retriedBody struct {
	w    *retried
	ctx  context.Context // of the call that opened it
	key  string
	off  int64 // of the next byte
	pin  pin
	r    *retrier
	err  error // that all further calls return
	left int64 // known once it is open

	length int64 // as asked for

	mu     sync.Mutex // protects the rest
	rc     io.ReadCloser
	closed bool
}

// open asks for what is left.
func (b *retriedBody) open() (Object, error) {
	length, first := b.length, !b.pin.whole
	if !first {
		length = b.left
	}
	rc, o, err := b.w.d.Read(b.ctx, b.key, b.off, length, b.pin.etag)
	if err != nil {
		return Object{}, err
	}
	if err := b.pin.check(&o); err != nil {
		_ = rc.Close() // nobody wants its bytes
		return Object{}, err
	}
	b.pin = b.pin.with(o)
	if first {
		if b.left = o.Size - b.off; length >= 0 {
			b.left = min(b.left, length)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		_ = rc.Close() // nobody wants its bytes
		return Object{}, &Error{Kind: Closed}
	}
	b.rc = rc
	return o, nil
}

func (b *retriedBody) current() io.ReadCloser {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rc
}

// Read reads what comes. An error comes without bytes.
func (b *retriedBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	for {
		if b.left <= 0 {
			return 0, io.EOF
		}
		var n int
		err := b.broken()
		if rc := b.current(); rc != nil {
			n, err = rc.Read(p[:min(int64(len(p)), b.left)])
		} else if err == nil {
			_, err = b.open()
			if err == nil {
				continue
			}
		}
		b.off, b.left = b.off+int64(n), b.left-int64(n)
		if n > 0 {
			b.r.progress()
			return n, nil
		}
		if err == nil {
			return 0, nil
		}
		if err == io.EOF {
			err = truncated(b.left)
		}
		b.drop()
		if b.err = b.w.rules.again(b.ctx, b.r, "read", b.key, bodyError(err)); b.err != nil {
			return 0, b.err
		}
	}
}

// broken says whether the body was closed.
func (b *retriedBody) broken() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return &Error{Kind: Closed}
	}
	return nil
}

// drop ends the request under way; what it says now does not matter.
func (b *retriedBody) drop() {
	b.mu.Lock()
	rc := b.rc
	b.rc = nil
	b.mu.Unlock()
	if rc != nil {
		_ = rc.Close()
	}
}

// Close implements io.Closer.
func (b *retriedBody) Close() error {
	b.mu.Lock()
	rc := b.rc
	b.rc, b.closed = nil, true
	b.mu.Unlock()
	if rc == nil {
		return nil
	}
	return rc.Close()
}

// Put implements Driver.
func (w *retried) Put(ctx context.Context, key string, body *io.SectionReader, o PutOptions) (obj Object, err error) {
	const op = "put"
	err = w.do(ctx, op, key, func() error {
		return lend(op, key, body, body.Size(), func(body *io.SectionReader) error { obj, err = w.d.Put(ctx, key, body, o); return err })
	}, Exists)
	return obj, err
}

// Delete implements Driver.
func (w *retried) Delete(ctx context.Context, keys ...string) error {
	return w.do(ctx, "delete", "", func() error { return w.d.Delete(ctx, keys...) })
}

// Copy implements Driver.
func (w *retried) Copy(ctx context.Context, src, etag, dst string, o *PutOptions) (obj Object, err error) {
	err = w.do(ctx, "copy", src, func() error { obj, err = w.d.Copy(ctx, src, etag, dst, o); return err })
	return obj, err
}

// CopyFrom implements CrossCopier where d does.
func (w *retried) CopyFrom(ctx context.Context, src Driver, srcKey, etag, dstKey string, o *PutOptions) (obj Object, err error) {
	err = w.do(ctx, "copy", srcKey, func() error {
		obj, err = crossCopy(ctx, w.d, src, srcKey, etag, dstKey, o)
		return err
	})
	return obj, err
}

// Begin implements Driver.
func (w *retried) Begin(ctx context.Context, u Upload, o PutOptions) (v Upload, err error) {
	err = w.do(ctx, "begin upload", u.Key, func() error { v, err = w.d.Begin(ctx, u, o); return err })
	return v, err
}

// PutPart implements Driver.
func (w *retried) PutPart(ctx context.Context, u Upload, spec PartSpec, body *io.SectionReader) (p Part, err error) {
	op := fmt.Sprintf("put part %d", spec.N)
	err = w.do(ctx, op, u.Key, func() error {
		return lend(op, u.Key, body, body.Size(), func(body *io.SectionReader) error { p, err = w.d.PutPart(ctx, u, spec, body); return err })
	})
	return p, err
}

// Parts implements Driver.
func (w *retried) Parts(ctx context.Context, u Upload) (list []Part, err error) {
	err = w.do(ctx, "list parts", u.Key, func() error { list, err = w.d.Parts(ctx, u); return err })
	return list, err
}

// Complete implements Driver.
func (w *retried) Complete(ctx context.Context, u Upload, parts []Part, o PutOptions) (obj Object, err error) {
	err = w.do(ctx, "complete upload", u.Key, func() error { obj, err = w.d.Complete(ctx, u, parts, o); return err }, Exists, NoUpload, NotFound)
	return obj, err
}

// Abort implements Driver.
func (w *retried) Abort(ctx context.Context, u Upload) error {
	return w.do(ctx, "abort upload", u.Key, func() error { return w.d.Abort(ctx, u) })
}

// Uploads implements Driver.
func (w *retried) Uploads(ctx context.Context, prefix, token string) (list []UploadInfo, next string, err error) {
	err = w.do(ctx, "list uploads", prefix, func() error { list, next, err = w.d.Uploads(ctx, prefix, token); return err })
	return list, next, err
}
