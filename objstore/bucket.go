package objstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
)

// deleteBatch is how many keys go into one Driver.Delete.
const deleteBatch = 1000

// Bucket is a place in an object store. It does through a Driver what programs want: whole objects, streams and uploads,
// with retries, adaptive parallelism and bounded memory. Methods may be called by several goroutines at once. Their errors
// are *Error, those of calls whose context ended match its cause.
type Bucket struct {
	drv     Driver
	caps    Caps
	cfg     Config // resolved
	limiter *limiter
	times   partTimes
	buffers sync.Pool // of *[]byte, of parts

	closing sync.Once
	closed  chan struct{}
	err     error // of Driver.Close
}

// NewBucket returns the Bucket of a Driver, which it takes over: Close closes it.
func NewBucket(d Driver, cfg Config) *Bucket {
	caps := d.Caps()
	cfg = cfg.resolved(caps)
	return &Bucket{drv: d, caps: caps, cfg: cfg, limiter: newLimiter(cfg.Parallel), closed: make(chan struct{})}
}

// Caps says what the platform can do.
func (b *Bucket) Caps() Caps { return b.caps }

// Driver returns the Driver, for what a Bucket does not do. Its calls are neither retried nor limited.
func (b *Bucket) Driver() Driver { return b.drv }

// PartSize returns how large parts should be, in bytes: Config.PartSize or its default.
func (b *Bucket) PartSize() int64 { return b.cfg.PartSize }

// Pool returns the Pool that bounds the memory of parts.
func (b *Bucket) Pool() *Pool { return b.cfg.Pool }

// Close closes the Driver. Calls that wait for their turn, and later ones, return an error that matches ErrClosed. Close
// Readers first.
func (b *Bucket) Close() error {
	b.closing.Do(func() {
		close(b.closed)
		b.limiter.close()
		b.err = b.drv.Close()
	})
	return b.err
}

// Stat describes the object at key. An error that matches ErrNotFound says that there is none.
func (b *Bucket) Stat(ctx context.Context, key string) (o Object, err error) {
	err = b.retry(ctx, "stat", key, func(ctx context.Context) error {
		o, err = b.drv.Stat(ctx, key)
		return err
	})
	return o, err
}

// ListPage returns one page of a listing, see Driver.List.
func (b *Bucket) ListPage(ctx context.Context, o ListOptions) (p Page, err error) {
	err = b.retry(ctx, "list", o.Prefix, func(ctx context.Context) error {
		p, err = b.drv.List(ctx, o)
		return err
	})
	return p, err
}

// List returns all objects of a listing, from o.Token or o.After on; o.Max bounds one page, not all. An error comes last.
func (b *Bucket) List(ctx context.Context, o ListOptions) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		for o := o; ; {
			p, err := b.ListPage(ctx, o)
			if err == nil && p.Next != "" && p.Next == o.Token {
				err = &Error{Op: "list", Key: o.Prefix, Err: errors.New("the store repeats a page of the listing")}
			}
			if err != nil {
				yield(Object{}, err)
				return
			}
			for _, obj := range p.Objects {
				if !yield(obj, nil) {
					return
				}
			}
			if p.Next == "" {
				return
			}
			o.Token = p.Next
		}
	}
}

// Delete removes objects, in batches of at most 1000. One that is not there is no error. All are tried; the first error
// is returned.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	var first error
	for batch := range slices.Chunk(keys, deleteBatch) {
		key := batch[0]
		if len(batch) > 1 {
			key = ""
		}
		err := b.retry(ctx, "delete", key, func(ctx context.Context) error { return b.drv.Delete(ctx, batch...) })
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return first
}

// Copy copies an object within the place, with its attributes, without its bytes passing here. Unsupported where Caps.Copy
// is false; the function Copy does it then.
func (b *Bucket) Copy(ctx context.Context, src, dst string) (o Object, err error) {
	if err := b.checkKey("copy", dst); err != nil {
		return Object{}, err
	}
	err = b.retry(ctx, "copy", src, func(ctx context.Context) error {
		o, err = b.drv.Copy(ctx, src, "", dst, nil)
		return err
	})
	return o, err
}

// Uploads returns the uploads that are open on keys that begin with prefix. An error comes last.
func (b *Bucket) Uploads(ctx context.Context, prefix string) iter.Seq2[UploadInfo, error] {
	return func(yield func(UploadInfo, error) bool) {
		for token := ""; ; {
			var list []UploadInfo
			var next string
			err := b.retry(ctx, "list uploads", prefix, func(ctx context.Context) (err error) {
				list, next, err = b.drv.Uploads(ctx, prefix, token)
				return err
			})
			if err == nil && next != "" && next == token {
				err = &Error{Op: "list uploads", Key: prefix, Err: errors.New("the store repeats a page of the listing")}
			}
			if err != nil {
				yield(UploadInfo{}, err)
				return
			}
			for _, u := range list {
				if !yield(u, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			token = next
		}
	}
}

// Abort removes an upload and its parts. One that is not there is no error.
func (b *Bucket) Abort(ctx context.Context, u Upload) error {
	return b.retry(ctx, "abort upload", u.Key, func(ctx context.Context) error { return b.drv.Abort(ctx, u) })
}

// checkKey says whether an object can have that key.
func (b *Bucket) checkKey(op, key string) error {
	switch {
	case key == "":
		return &Error{Op: op, Kind: Invalid, Err: errors.New("an object must have a key")}
	case b.caps.MaxKey > 0 && len(key) > b.caps.MaxKey:
		return &Error{Op: op, Key: key, Kind: Invalid, Err: fmt.Errorf("the key has %d bytes; this storage takes at most %d", len(key), b.caps.MaxKey)}
	}
	return nil
}

// maxPut is how many bytes one Put takes; 0 means any number.
func (b *Bucket) maxPut() int64 {
	if b.caps.MaxPut > 0 {
		return b.caps.MaxPut
	}
	return b.caps.MaxPart
}
