package s3

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/encrypt"

	"github.com/tradewind-io/tradewind/objstore"
)

const (
	copyPart   = 512 << 20 // bytes of one part of a large copy; larger ones may take a store longer than a time-out
	copyAtOnce = 8
	abortWait  = 30 * time.Second // to clean up after a copy whose context has ended
)

// Copy copies an object within the bucket.
func (d *driver) Copy(ctx context.Context, src, etag, dst string, o *objstore.PutOptions) (objstore.Object, error) {
	return d.copy(ctx, d, src, etag, dst, o)
}

// CopyFrom copies an object of another bucket of the same store into this one, without its bytes passing here. etag is as in
// Driver.Read, o as in Driver.Copy. Unsupported unless src is of this package and has the same Caps.Store.
func (d *driver) CopyFrom(ctx context.Context, src objstore.Driver, srcKey, etag, dstKey string, o *objstore.PutOptions) (objstore.Object, error) {
	from, ok := src.(*driver)
	if !ok || from.store != d.store {
		return objstore.Object{}, &objstore.Error{Op: "copy to", Key: dstKey, Kind: objstore.Unsupported, Err: errors.New("the source is not in the same store with the same account")}
	}
	return d.copy(ctx, from, srcKey, etag, dstKey, o)
}

func (d *driver) copy(ctx context.Context, from *driver, src, etag, dst string, o *objstore.PutOptions) (objstore.Object, error) {
	// What is copied is pinned by its ETag, so that its size and attributes are those that were seen.
	obj, err := from.Stat(ctx, src)
	if err != nil {
		return objstore.Object{}, err
	}
	if etag != "" && obj.ETag != etag {
		return objstore.Object{}, &objstore.Error{Op: "copy", Key: src, Kind: objstore.Changed, Err: fmt.Errorf("its ETag is %q now", obj.ETag)}
	}
	if err := d.checkNew("copy to", dst, obj.Size); err != nil {
		return objstore.Object{}, err
	}
	attrs := obj.Attr
	if o != nil {
		attrs = o.Attr
		if err := d.lookFirst(ctx, "copy to", dst, o.IfAbsent); err != nil {
			return objstore.Object{}, err
		}
	}
	h := map[string]string{}
	if obj.ETag != "" {
		h["X-Amz-Copy-Source-If-Match"] = `"` + obj.ETag + `"`
	}
	if key := from.customer(); key != nil {
		sseHeaders(h, encrypt.SSECopy(key))
	}
	var made objstore.Object
	if obj.Size > d.copyMax {
		made, err = d.copyParts(ctx, from, obj, dst, objstore.PutOptions{Attr: attrs}, h)
	} else {
		made, err = d.copyWhole(ctx, from, obj, dst, o, h)
	}
	if err != nil {
		return objstore.Object{}, err
	}
	made.HasAttr, made.Attr = true, attrs
	return made, nil
}

// copyWhole copies by one request.
func (d *driver) copyWhole(ctx context.Context, from *driver, obj objstore.Object, dst string, o *objstore.PutOptions, h map[string]string) (objstore.Object, error) {
	h["X-Amz-Metadata-Directive"] = "COPY"
	if o != nil {
		meta, err := metadata("copy to", dst, o.Attr)
		if err != nil {
			return objstore.Object{}, err
		}
		h["X-Amz-Metadata-Directive"] = "REPLACE"
		h["Content-Type"] = octetStream
		if o.Attr.ContentType != "" {
			h["Content-Type"] = o.Attr.ContentType
		}
		for k, v := range meta {
			h[k] = v
		}
	}
	if d.cfg.StorageClass != "" {
		h[classHeader] = d.cfg.StorageClass
	}
	sseHeaders(h, d.sse)
	ctx, c := d.call(ctx, "copy to", dst)
	c.mayFailLate = true
	info, err := d.core.CopyObject(ctx, from.cfg.Bucket, obj.Key, d.cfg.Bucket, dst, h, minio.CopySrcOptions{}, minio.PutObjectOptions{})
	if err != nil {
		return objstore.Object{}, c.fail(ctx, err)
	}
	if info.ETag == "" {
		return objstore.Object{}, &objstore.Error{Op: "copy to", Key: dst, Kind: objstore.Temporary, Err: errors.New("the store gave no ETag")}
	}
	made := d.taken(dst, obj.Size, info.ETag, c)
	if !info.LastModified.IsZero() {
		made.Modified = info.LastModified.UTC()
	}
	return made, nil
}

// copyParts copies by an upload whose parts are ranges of the source.
func (d *driver) copyParts(ctx context.Context, from *driver, obj objstore.Object, dst string, o objstore.PutOptions, h map[string]string) (objstore.Object, error) {
	plan, err := d.Caps().Plan(obj.Size, min(int64(copyPart), d.copyMax), 1<<20)
	if err != nil {
		return objstore.Object{}, err
	}
	u, err := d.begin(ctx, objstore.Upload{Key: dst, Size: obj.Size, Plan: plan}, o, false)
	if err != nil {
		return objstore.Object{}, err
	}
	sseHeaders(h, d.customer())
	made, err := d.copyRanges(ctx, from, obj, u, h)
	if err == nil {
		return made, nil
	}
	// The parts cost money until they are gone, also when the caller has given up.
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortWait)
	defer cancel()
	if abortErr := d.Abort(after, u); abortErr != nil {
		err = errors.Join(err, abortErr)
	}
	return objstore.Object{}, err
}

func (d *driver) copyRanges(ctx context.Context, from *driver, obj objstore.Object, u objstore.Upload, h map[string]string) (objstore.Object, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parts := make([]objstore.Part, u.Plan.Count(obj.Size))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(copyAtOnce, len(parts)) {
		wg.Go(func() {
			for n := range next {
				p, err := d.copyRange(ctx, from, obj, u, n, h)
				if err != nil {
					cancel(err) // the first one is kept
					continue
				}
				parts[n] = p
			}
		})
	}
	for n := range parts {
		if ctx.Err() != nil {
			break
		}
		next <- n
	}
	close(next)
	wg.Wait()
	if ctx.Err() != nil {
		err := context.Cause(ctx)
		var known *objstore.Error
		if !errors.As(err, &known) {
			err = &objstore.Error{Op: "copy to", Key: u.Key, Err: err}
		}
		return objstore.Object{}, err
	}
	return d.Complete(ctx, u, parts, objstore.PutOptions{})
}

func (d *driver) copyRange(ctx context.Context, from *driver, obj objstore.Object, u objstore.Upload, n int, h map[string]string) (objstore.Part, error) {
	spec, size := u.Spec(n)
	ctx, c := d.call(ctx, fmt.Sprintf("copy part %d to", n), u.Key)
	c.mayFailLate = true
	p, err := d.core.CopyObjectPart(ctx, from.cfg.Bucket, obj.Key, d.cfg.Bucket, u.Key, u.ID, n+1, spec.Off, size, h)
	if err != nil {
		return objstore.Part{}, c.fail(ctx, err)
	}
	if p.ETag == "" {
		return objstore.Part{}, &objstore.Error{Op: c.op, Key: u.Key, Kind: objstore.Temporary, Err: errors.New("the store gave no ETag")}
	}
	return objstore.Part{N: n, Size: size, ETag: partETag(p.ETag, p.ChecksumCRC32C)}, nil
}
