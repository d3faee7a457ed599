package objstore

import (
	"bytes"
	"context"

	"golang.org/x/sync/errgroup"
)

// CrossCopier is implemented by Drivers that can copy from another place of the same store, as Caps.Store names it,
// without the bytes passing here.
type CrossCopier interface {
	// CopyFrom copies srcKey of src to dstKey, with the attributes of the source, or those of o if it is not nil. etag is
	// as in Driver.Read. Unsupported if src is not a place that it can copy from; the bytes are then copied through here.
	CopyFrom(ctx context.Context, src Driver, srcKey, etag, dstKey string, o *PutOptions) (Object, error)
}

// CopyOptions says how an object is copied. The zero CopyOptions copies it as it is.
type CopyOptions struct {
	ETag string // if not empty, the source must be that version, else Changed
	Attr *Attr  // of the copy; nil = those of the source
	// IfAbsent makes it fail with Exists if there is an object at the destination.
	IfAbsent bool
	PartSize int64 // bytes; 0 = Config.PartSize of the destination
}

// Copy copies an object between places, or within one: by the store itself where both are of one that can, else through
// here, in parts that are read and written in parallel and of which each takes memory from the destination's Pool. The
// copy is of one version of the source: Changed if that is replaced meanwhile.
func Copy(ctx context.Context, dst *Bucket, dstKey string, src *Bucket, srcKey string, o CopyOptions) (Object, error) {
	const op = "copy"
	if err := dst.checkKey(op, dstKey); err != nil {
		return Object{}, err
	}
	from, err := src.Stat(ctx, srcKey)
	if err != nil {
		return Object{}, err
	}
	if o.ETag != "" && from.ETag != o.ETag {
		return Object{}, &Error{Op: op, Key: srcKey, Kind: Changed}
	}
	put := PutOptions{Attr: from.Attr, IfAbsent: o.IfAbsent}
	if o.Attr != nil {
		put.Attr = *o.Attr
	}
	obj, err := copyInside(ctx, dst, dstKey, src, from, o, put)
	if KindOf(err) != Unsupported {
		return obj, err
	}
	return copyThrough(ctx, dst, dstKey, src, from, CreateOptions{PutOptions: put, Size: from.Size, PartSize: o.PartSize})
}

// copyInside lets the store copy; Unsupported if it cannot.
func copyInside(ctx context.Context, dst *Bucket, dstKey string, src *Bucket, from Object, o CopyOptions, put PutOptions) (obj Object, err error) {
	const op = "copy"
	unsupported := &Error{Op: op, Key: from.Key, Kind: Unsupported}
	limit := dst.caps.MaxCopy
	// A copy by the store does not look whether there is an object; where a write does, that is worth the way through here.
	if !dst.caps.Copy || limit > 0 && from.Size > limit || put.IfAbsent && dst.caps.IfAbsent {
		return Object{}, unsupported
	}
	var with *PutOptions
	if o.Attr != nil || put.IfAbsent {
		with = &put
	}
	cross, ok := dst.drv.(CrossCopier)
	same := dst == src
	if !same && (!ok || dst.caps.Store == "" || dst.caps.Store != src.caps.Store) {
		return Object{}, unsupported
	}
	if err := dst.lookFirst(ctx, op, dstKey, put); err != nil {
		return Object{}, err
	}
	err = dst.retry(ctx, op, from.Key, func(ctx context.Context) error {
		if same {
			obj, err = dst.drv.Copy(ctx, from.Key, from.ETag, dstKey, with)
		} else {
			obj, err = cross.CopyFrom(ctx, src.drv, from.Key, from.ETag, dstKey, with)
		}
		return err
	})
	return obj, err
}

// copyThrough reads the object here and writes it. Each part is a buffer that is filled and then put, and who has one
// waits for no other memory: a Reader and a Write, each with memory of their own, could hold up each other.
func copyThrough(ctx context.Context, dst *Bucket, dstKey string, src *Bucket, from Object, o CreateOptions) (Object, error) {
	const op = "copy"
	plan, err := dst.plan(op, dstKey, o)
	if err != nil {
		return Object{}, err
	}
	// part hands the bytes of a part to put.
	part := func(ctx context.Context, off, size int64, put func(*bytes.Reader) error) error {
		buf, release, err := dst.acquire(ctx, op, dstKey, size)
		if err != nil {
			return err
		}
		defer release()
		if _, err := src.readFull(ctx, op, from.Key, buf, off, pinOf(from)); err != nil {
			return err
		}
		return put(bytes.NewReader(buf))
	}
	if dst.onePut(plan, o.Size) {
		var obj Object
		err := part(ctx, 0, o.Size, func(body *bytes.Reader) (err error) {
			obj, err = dst.Put(ctx, dstKey, body, o.Size, o.PutOptions)
			return err
		})
		return obj, err
	}
	w, err := dst.create(ctx, dstKey, o, plan)
	if err != nil {
		return Object{}, err
	}
	return w.finish(ctx, func(ctx context.Context) (int64, error) {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(dst.parallel())
		for n := 0; n < plan.Count(o.Size) && ctx.Err() == nil; n++ {
			g.Go(func() error {
				spec, size := w.u.Spec(n)
				return part(ctx, spec.Off, size, func(body *bytes.Reader) error { return w.PutPart(ctx, n, spec.Last, body, size) })
			})
		}
		return o.Size, g.Wait()
	})
}
