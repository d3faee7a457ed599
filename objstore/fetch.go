package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

var errStalled = errors.New("too little came for too long")

// slowBytes is what must come within Config.StallTimeout of waiting.
const slowBytes = 16 << 10

// pin says which object a range must be of.
type pin struct {
	etag     string // "" = not known
	whole    bool   // the rest is known
	size     int64
	modified time.Time
}

func pinOf(o Object) pin { return pin{etag: o.ETag, whole: true, size: o.Size, modified: o.Modified} }

// with is the pin after the first answer.
func (p pin) with(o Object) pin {
	if o.ETag == "" {
		o.ETag = p.etag
	}
	return pinOf(o)
}

// check says whether o is that object. Stores without ETags are asked here only.
func (p pin) check(o *Object) error {
	same := p.etag == "" || o.ETag == "" || p.etag == o.ETag
	if p.whole {
		same = same && p.size == o.Size && (p.etag != "" || p.modified.Equal(o.Modified))
	}
	if !same {
		return &Error{Kind: Changed}
	}
	return nil
}

// rangeBody is the body of one ranged request. A Read that brings nothing for too long gives the request up. Its errors,
// io.EOF excepted, are *Error.
type rangeBody struct {
	rc     io.ReadCloser
	waited time.Duration // for the last slowBytes, or what came of them
	got    int
	stall  time.Duration
	watch  *time.Timer // nil: no bound
	cancel context.CancelCauseFunc
	cause  func() error // why the request was cancelled
}

// open makes one ranged request.
func (b *Bucket) open(ctx context.Context, key string, off, length int64, pin pin) (*rangeBody, Object, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	body := &rangeBody{stall: b.cfg.StallTimeout, cancel: cancel, cause: func() error { return context.Cause(ctx) }}
	if body.stall > 0 {
		body.watch = time.AfterFunc(body.stall, func() { cancel(errStalled) })
	}
	rc, o, err := b.drv.Read(ctx, key, off, length, pin.etag)
	body.rest()
	if err != nil {
		if body.cause() == errStalled {
			err = &Error{Kind: Temporary, Err: errStalled}
		}
		cancel(nil)
		return nil, Object{}, err
	}
	body.rc = rc
	if err = pin.check(&o); err == nil && (off > o.Size || off == o.Size && length != 0) {
		err = &Error{Kind: Range}
	}
	if err != nil {
		_ = body.Close() // nobody wants its bytes
		return nil, Object{}, err
	}
	return body, o, nil
}

// rest stops the clock while nobody waits for bytes.
func (r *rangeBody) rest() {
	if r.watch != nil {
		r.watch.Stop()
	}
}

// Read reads what has come.
func (r *rangeBody) Read(p []byte) (int, error) {
	if r.watch == nil {
		n, err := r.rc.Read(p)
		if err != nil && err != io.EOF {
			err = bodyError(err)
		}
		return n, err
	}
	begun := time.Now()
	r.watch.Reset(r.stall - r.waited)
	n, err := r.rc.Read(p)
	r.rest()
	r.waited += time.Since(begun)
	if r.got += n; r.got >= slowBytes {
		r.got, r.waited = 0, 0
	}
	switch {
	case err == nil && r.waited >= r.stall: // it comes by the byte
		r.cancel(errStalled)
		err = &Error{Kind: Temporary, Err: errStalled}
	case err == nil || err == io.EOF:
	case r.cause() == errStalled:
		err = &Error{Kind: Temporary, Err: errStalled}
	default:
		err = bodyError(err)
	}
	return n, err
}

// Close ends the request.
func (r *rangeBody) Close() error {
	r.rest()
	r.cancel(nil)
	return r.rc.Close()
}

// bodyError makes an error that came in the middle of a body one that is worth another try, unless the driver knows better.
func bodyError(err error) error {
	if KindOf(err) != Other {
		return err
	}
	return &Error{Kind: Temporary, Err: err}
}

// truncated is the error of a body that ends where it should not.
func truncated(missing int64) error {
	return &Error{Kind: Temporary, Err: fmt.Errorf("the body ends %d bytes early: %w", missing, io.ErrUnexpectedEOF)}
}

// readFull fills p from off on with ranged requests, each of which goes on where the one before broke off. At the end of
// the object it returns what there is and io.EOF.
func (b *Bucket) readFull(ctx context.Context, op, key string, p []byte, off int64, pin pin) (int, error) {
	return b.fetch(ctx, op, key, p, off, pin, func(int) {})
}

// fetch is readFull that tells how many bytes are there: each time that it asks for more, when its turn has come, and each
// time that it gets more.
func (b *Bucket) fetch(ctx context.Context, op, key string, p []byte, off int64, pin pin, have func(int)) (got int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	r := newRetrier(b.cfg.RetryTimeout)
	for {
		before, want := got, len(p)
		err := b.once(ctx, func(ctx context.Context) (err error) {
			have(got)
			body, o, err := b.open(ctx, key, off+int64(got), int64(len(p)-got), pin)
			if err != nil {
				return err
			}
			pin = pin.with(o)
			want = int(min(int64(len(p)), o.Size-off))
			for got < want && err == nil {
				var n int
				n, err = body.Read(p[got:want])
				got += n
				have(got)
			}
			if got == want {
				err = nil
			} else if err == io.EOF {
				err = truncated(int64(want - got))
			}
			// All bytes that are wanted are here or err says why not; how the connection ends does not matter.
			_ = body.Close()
			return err
		})
		if err == nil {
			if want < len(p) {
				return got, io.EOF
			}
			return got, nil
		}
		if got > before {
			r.progress()
		}
		if err := b.again(ctx, r, op, key, err); err != nil {
			return got, err
		}
	}
}
