package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/minio/minio-go/v7"

	"github.com/tradewind-io/tradewind/objstore"
)

// Limits of Amazon S3, which the others share or exceed.
const (
	maxParts  = 10000
	minPart   = 5 << 20
	maxPart   = 5 << 30
	maxObject = 5 << 40
	maxPut    = 5 << 30
	maxKey    = 1024
)

// Caps says what the store can do.
func (d *driver) Caps() objstore.Caps {
	return objstore.Caps{
		MaxParts: maxParts, MinPart: minPart, MaxPart: maxPart, MaxObject: maxObject, MaxPut: maxPut, MaxKey: maxKey,
		Resume:   true,
		IfAbsent: d.ifAbsent(),
		Copy:     true, MaxCopy: maxObject,
		Attrs: true, ListAttr: d.cfg.Profile == MinIO,
		Sorted: true,
		Store:  d.store,
	}
}

// ifAbsent says whether the store is known to honour If-None-Match.
func (d *driver) ifAbsent() bool { return d.cfg.Profile == AWS || d.cfg.Profile == MinIO }

// Close closes idle connections.
func (d *driver) Close() error {
	if d.transport.own != nil {
		d.transport.own.CloseIdleConnections()
	}
	return nil
}

// Stat describes the object at key.
func (d *driver) Stat(ctx context.Context, key string) (objstore.Object, error) {
	if err := checkKey("stat", key); err != nil {
		return objstore.Object{}, err
	}
	ctx, c := d.call(ctx, "stat", key)
	info, err := d.core.StatObject(ctx, d.cfg.Bucket, key, minio.StatObjectOptions{ServerSideEncryption: d.customer()})
	if err != nil {
		return objstore.Object{}, c.fail(ctx, d.explain(ctx, c, err))
	}
	return objectOf(key, info.Headers, info.Size), nil
}

// explain returns a better error than that of a HEAD, which has no body to say why it was refused.
func (d *driver) explain(ctx context.Context, c *call, err error) error {
	if ctx.Err() != nil || c.answer.Get("X-Minio-Error-Code") != "" {
		return err
	}
	switch c.status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		o := minio.GetObjectOptions{ServerSideEncryption: d.customer()}
		o.Set("Range", "bytes=0-0")
		body, _, _, again := d.core.GetObject(ctx, d.cfg.Bucket, c.key, o)
		if again != nil {
			return again
		}
		body.Close()
	case http.StatusNotFound:
		if d.bucketSeen.Load() {
			return err
		}
		// The answer to another question; what is told is still about this one.
		probe := context.WithValue(ctx, callKey{}, &call{d: d, op: c.op})
		if there, probeErr := d.core.BucketExists(probe, d.cfg.Bucket); probeErr == nil && !there {
			return minio.ErrorResponse{Code: "NoSuchBucket", Message: "the bucket does not exist", StatusCode: http.StatusNotFound}
		}
	}
	return err
}

// Read opens length bytes of an object.
func (d *driver) Read(ctx context.Context, key string, off, length int64, etag string) (io.ReadCloser, objstore.Object, error) {
	if err := checkKey("read", key); err != nil {
		return nil, objstore.Object{}, err
	}
	bad := func(kind objstore.Kind, format string, args ...any) (io.ReadCloser, objstore.Object, error) {
		return nil, objstore.Object{}, &objstore.Error{Op: "read", Key: key, Kind: kind, Err: fmt.Errorf(format, args...)}
	}
	if off < 0 {
		return bad(objstore.Invalid, "offset %d", off)
	}
	o := minio.GetObjectOptions{ServerSideEncryption: d.customer()}
	o.Set("Accept-Encoding", "identity") // a Transport that was given may else unpack what the object holds
	switch {
	case length > 0:
		o.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+length-1))
	case off > 0 && length < 0:
		o.Set("Range", fmt.Sprintf("bytes=%d-", off))
	case length == 0:
		// A range cannot be empty: one byte is asked for and none returned.
		o.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off))
	}
	if etag != "" {
		o.Set("If-Match", `"`+etag+`"`)
	}
	ctx, c := d.call(ctx, "read", key)
	c.object = true
	body, _, h, err := d.core.GetObject(ctx, d.cfg.Bucket, key, o)
	if err != nil {
		return nil, objstore.Object{}, c.fail(ctx, err)
	}
	obj := objectOf(key, h, sizeOf(h))
	left := obj.Size - off
	if length >= 0 {
		left = min(left, length)
	}
	ranged := h.Get("Content-Range") != ""
	switch {
	case obj.Size < 0:
		body.Close()
		return bad(objstore.Temporary, "the store does not say how large the object is")
	case off >= obj.Size && (off > 0 || length >= 0):
		// A store may answer so instead of with 416, for objects without bytes.
		body.Close()
		return bad(objstore.Range, "offset %d of %d bytes", off, obj.Size)
	case off > 0 && !ranged:
		body.Close()
		return bad(objstore.Unsupported, "the store ignores ranges")
	case etag != "" && obj.ETag != "" && obj.ETag != etag:
		body.Close()
		return bad(objstore.Changed, "its ETag is %q now", obj.ETag)
	}
	broken := func(err error) error {
		c.netErr = err
		return c.fail(ctx, err)
	}
	return &objectReader{body: body, left: left, broken: broken}, obj, nil
}

// objectReader returns exactly the bytes that are due, and an error of ours if they do not come.
type objectReader struct {
	body   io.ReadCloser
	left   int64
	broken func(error) error // makes an *objstore.Error of an error of the body
}

func (r *objectReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.body.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	switch {
	case err == nil, r.left == 0:
		return n, nil
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("the answer ends %d bytes early: %w", r.left, io.ErrUnexpectedEOF)
	}
	return n, r.broken(err)
}

func (r *objectReader) Close() error { return r.body.Close() }

// badKey says why S3 cannot take a key; "" if it can.
func badKey(key string) string {
	switch {
	case key == "":
		return "the key is empty"
	case len(key) > maxKey:
		return fmt.Sprintf("the key has %d bytes; at most %d are possible", len(key), maxKey)
	case !utf8.ValidString(key):
		return "the key is not UTF-8"
	}
	return ""
}

// taken is the Object that a write made, as far as its answer tells.
func (d *driver) taken(key string, size int64, etag string, c *call) objstore.Object {
	o := objstore.Object{Key: key, Size: size, ETag: trimETag(etag), Modified: dateOf(c.answer, "Date"), Class: classOf(d.cfg.StorageClass)}
	if o.Modified.IsZero() {
		o.Modified = time.Now().UTC().Truncate(time.Second)
	}
	return o
}
