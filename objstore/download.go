package objstore

import (
	"context"
	"errors"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"
)

// copyBuffer is how much of a body is read at a time on its way to a WriterAt.
const copyBuffer = 256 << 10

// Download writes the object at key to w, in ranges that are fetched in parallel and written as they come, in no order and
// without being kept: the byte at o.Offset goes to 0. It takes no memory from the Pool, and is faster than a Reader where
// order does not matter. o.ReadAhead bounds the ranges under way, 0 = Config.Parallel; o.PartSize is their size, 0 =
// Config.PartSize. All are of one version of the object: Changed if it is replaced meanwhile. A range that breaks off goes
// on where it stopped. After an error some of w is written. It returns what Stat does.
func (b *Bucket) Download(ctx context.Context, key string, w io.WriterAt, o ReadOptions) (Object, error) {
	const op = "download"
	if err := b.checkKey(op, key); err != nil {
		return Object{}, err
	}
	obj, err := b.Stat(ctx, key)
	switch {
	case err != nil:
		return Object{}, err
	case o.ETag != "" && obj.ETag != o.ETag:
		return Object{}, &Error{Op: op, Key: key, Kind: Changed}
	case o.Offset < 0:
		return Object{}, &Error{Op: op, Key: key, Kind: Invalid, Err: errors.New("the offset is below 0")}
	case o.Offset > obj.Size:
		return Object{}, &Error{Op: op, Key: key, Kind: Range}
	}
	end := obj.Size
	if o.Length > 0 && o.Length < end-o.Offset { // the sum of both may be too large for an int64
		end = o.Offset + o.Length
	}
	size := o.PartSize
	if size <= 0 {
		size = b.cfg.PartSize
	}
	size = min(size, max(end-o.Offset, 1))
	limit := o.ReadAhead
	if limit <= 0 {
		limit = b.cfg.Parallel
	}
	d := &download{b: b, key: key, w: w, base: o.Offset, pin: pinOf(obj)}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(limit)
	for off := o.Offset; off < end && gctx.Err() == nil; off += size {
		g.Go(func() error { return d.span(gctx, off, min(size, end-off)) })
	}
	if err := g.Wait(); err != nil {
		return Object{}, failure(ctx, op, key, err)
	}
	if err := ctx.Err(); err != nil {
		return Object{}, failure(ctx, op, key, err)
	}
	return obj, nil
}

// download is one Download under way.
type download struct {
	b       *Bucket
	key     string
	w       io.WriterAt
	base    int64
	pin     pin
	buffers sync.Pool
}

// span writes n bytes from off on.
func (d *download) span(ctx context.Context, off, n int64) error {
	buf, _ := d.buffers.Get().(*[]byte)
	if buf == nil {
		b := make([]byte, copyBuffer)
		buf = &b
	}
	defer d.buffers.Put(buf)
	r := newRetrier(d.b.cfg.RetryTimeout)
	for n > 0 {
		var got int64
		var werr error // of w: another request does not help
		err := d.b.once(ctx, func(ctx context.Context) error {
			body, _, err := d.b.open(ctx, d.key, off, n, d.pin)
			if err != nil {
				return err
			}
			defer body.Close()
			for got < n {
				k, err := body.Read((*buf)[:min(int64(len(*buf)), n-got)])
				if k > 0 {
					if _, werr = d.w.WriteAt((*buf)[:k], off+got-d.base); werr != nil {
						return nil
					}
					got += int64(k)
				}
				switch {
				case got == n:
					return nil // how the connection ends does not matter
				case errors.Is(err, io.EOF):
					return truncated(n - got)
				case err != nil:
					return err
				}
			}
			return nil
		})
		if werr != nil {
			return &Error{Op: "download", Key: d.key, Err: werr}
		}
		off, n = off+got, n-got
		if err == nil {
			continue
		}
		if got > 0 {
			r.progress()
		}
		if err := d.b.again(ctx, r, "download", d.key, err); err != nil {
			return err
		}
	}
	return nil
}
