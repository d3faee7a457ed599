package objstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Put stores an object of size bytes in one request, of at most Caps.MaxPut bytes. body is not read after it has returned.
// With o.IfAbsent it fails with Exists if there is an object; where the platform cannot do that at once, Put looks first.
// An object that is there after an answer was lost counts as this one if size, attributes and every byte are the same.
func (b *Bucket) Put(ctx context.Context, key string, body io.ReaderAt, size int64, o PutOptions) (obj Object, err error) {
	const op = "put"
	if err := b.checkKey(op, key); err != nil {
		return Object{}, err
	}
	if limit := b.maxPut(); size < 0 || limit > 0 && size > limit {
		return Object{}, &Error{Op: op, Key: key, Kind: Invalid, Err: fmt.Errorf("%d bytes; one request of this storage takes at most %d", size, limit)}
	}
	if err := b.lookFirst(ctx, op, key, o); err != nil {
		return Object{}, err
	}
	lost := false // a try may have succeeded without our knowing
	err = b.retry(ctx, op, key, func(ctx context.Context) error {
		err := lend(op, key, body, size, func(body *io.SectionReader) (err error) {
			obj, err = b.drv.Put(ctx, key, body, o)
			return err
		})
		if err == nil && obj.Size != size {
			err = &Error{Op: op, Key: key, Kind: Corrupt, Err: fmt.Errorf("the store has %d bytes of %d", obj.Size, size)}
		}
		if lost && o.IfAbsent && KindOf(err) == Exists {
			found, same, cerr := b.isOurs(ctx, key, body, size, o.Attr)
			if cerr != nil {
				return cerr
			}
			if same {
				obj = found
				return nil
			}
		}
		lost = lost || KindOf(err).Temporary()
		return err
	})
	if err != nil {
		return Object{}, err
	}
	return obj, nil
}

// lookFirst fails with Exists for o.IfAbsent on platforms that do not look by themselves.
func (b *Bucket) lookFirst(ctx context.Context, op, key string, o PutOptions) error {
	if !o.IfAbsent || b.caps.IfAbsent {
		return nil
	}
	_, err := b.Stat(ctx, key)
	switch {
	case err == nil:
		return &Error{Op: op, Key: key, Kind: Exists}
	case KindOf(err) == NotFound:
		return nil
	}
	return err
}

// isOurs says whether the object at key is what body and attr say. The requests are part of the one that asks.
func (b *Bucket) isOurs(ctx context.Context, key string, body io.ReaderAt, size int64, attr Attr) (o Object, same bool, err error) {
	o, err = b.drv.Stat(ctx, key)
	switch {
	case KindOf(err) == NotFound:
		return o, false, nil
	case err != nil:
		return o, false, err
	case o.Size != size || !b.sameAttr(&o, attr):
		return o, false, nil
	case size == 0:
		return o, true, nil
	}
	rc, _, err := b.open(ctx, key, 0, size, pinOf(o))
	if kind := KindOf(err); kind == NotFound || kind == Changed {
		return o, false, nil
	}
	if err != nil {
		return o, false, err
	}
	defer rc.Close()
	var ours, theirs [32 << 10]byte
	for off := int64(0); off < size; {
		n := int(min(size-off, int64(len(ours))))
		if _, err := io.ReadFull(rc, theirs[:n]); err != nil {
			return o, false, bodyError(err) // io.ReadFull's own say that it was cut off
		}
		if k, err := body.ReadAt(ours[:n], off); k < n {
			return o, false, fmt.Errorf("read the source: %w", err)
		}
		if !bytes.Equal(ours[:n], theirs[:n]) {
			return o, false, nil
		}
		off += int64(n)
	}
	return o, true, nil
}

// sameAttr says whether the object has the attributes of a, as far as the platform keeps and tells them. Times are
// compared to the second: not all platforms keep more.
func (b *Bucket) sameAttr(o *Object, a Attr) bool {
	if !o.HasAttr || !b.caps.Attrs {
		return true
	}
	if !a.Mtime.IsZero() && o.Attr.Mtime.Sub(a.Mtime).Abs() > time.Second {
		return false
	}
	for name, value := range a.Metadata {
		if o.Attr.Metadata[name] != value {
			return false
		}
	}
	return true
}

// Get reads a whole object of at most limit bytes. A larger one is Invalid.
func (b *Bucket) Get(ctx context.Context, key string, limit int64) ([]byte, Object, error) {
	r, err := b.Open(ctx, key, ReadOptions{})
	if err != nil {
		return nil, Object{}, err
	}
	defer r.Close()
	o := r.Object()
	if o.Size > limit {
		return nil, o, &Error{Op: "read", Key: key, Kind: Invalid, Err: fmt.Errorf("the object has %d bytes; at most %d are wanted", o.Size, limit)}
	}
	p := make([]byte, o.Size)
	if _, err := io.ReadFull(r, p); err != nil {
		return nil, o, err
	}
	return p, o, nil
}

// ReadAt reads len(p) bytes of an object from off on, with one ranged request and its retries. With an etag that is not
// empty the object must still be that one: Changed if it is not. At the end of the object it returns what there is and
// io.EOF, as io.ReaderAt does.
func (b *Bucket) ReadAt(ctx context.Context, key string, p []byte, off int64, etag string) (int, error) {
	const op = "read"
	if off < 0 {
		return 0, &Error{Op: op, Key: key, Kind: Invalid, Err: errors.New("the offset is below 0")}
	}
	n, err := b.readFull(ctx, op, key, p, off, pin{etag: etag})
	if KindOf(err) == Range {
		err = io.EOF
	}
	return n, err
}
