package s3

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/minio/minio-go/v7"

	"github.com/tradewind-io/tradewind/objstore"
)

// Put stores a whole object in one request.
func (d *driver) Put(ctx context.Context, key string, src *io.SectionReader, o objstore.PutOptions) (objstore.Object, error) {
	if err := d.checkNew("put", key, src.Size()); err != nil {
		return objstore.Object{}, err
	}
	if src.Size() > maxPut {
		return objstore.Object{}, &objstore.Error{Op: "put", Key: key, Kind: objstore.Invalid, Err: fmt.Errorf("%d bytes; at most %d are possible at once", src.Size(), int64(maxPut))}
	}
	opts, err := d.putOptions("put", key, o)
	if err != nil {
		return objstore.Object{}, err
	}
	ctx, c := d.call(ctx, "put", key)
	c.exists = true
	if err := d.lookFirst(ctx, "put", key, o.IfAbsent); err != nil {
		return objstore.Object{}, err
	}
	sum, err := d.checksum(ctx, src)
	if err != nil {
		return objstore.Object{}, c.fail(ctx, err)
	}
	if sum.crc32c != "" {
		opts.UserMetadata[crc32cHeader] = sum.crc32c
	}
	r, done := c.attach(src)
	defer done()
	info, err := d.core.PutObject(ctx, d.cfg.Bucket, key, r, src.Size(), sum.md5, sum.sha256, opts)
	if err != nil {
		return objstore.Object{}, c.fail(ctx, err)
	}
	if err := sum.compare(info.ChecksumCRC32C); err != nil {
		return objstore.Object{}, &objstore.Error{Op: "put", Key: key, Kind: objstore.Corrupt, Err: err}
	}
	obj := d.taken(key, src.Size(), info.ETag, c)
	obj.HasAttr, obj.Attr = true, o.Attr
	return obj, nil
}

// putOptions returns what Put and Begin have in common.
func (d *driver) putOptions(op, key string, o objstore.PutOptions) (minio.PutObjectOptions, error) {
	meta, err := metadata(op, key, o.Attr)
	if err != nil {
		return minio.PutObjectOptions{}, err
	}
	opts := minio.PutObjectOptions{
		UserMetadata: meta, ContentType: o.Attr.ContentType, StorageClass: d.cfg.StorageClass, ServerSideEncryption: d.sse,
		DisableContentSha256: true, // else the body goes out in signed chunks over plain HTTP
	}
	if o.IfAbsent && d.ifAbsent() {
		opts.SetMatchETagExcept("*")
	}
	return opts, nil
}

// lookFirst fails with Exists if there is an object and the store would not say so itself.
func (d *driver) lookFirst(ctx context.Context, op, key string, ifAbsent bool) error {
	if !ifAbsent || d.ifAbsent() && op != "copy to" {
		return nil
	}
	_, err := d.Stat(ctx, key)
	switch {
	case err == nil:
		return &objstore.Error{Op: op, Key: key, Kind: objstore.Exists}
	case errors.Is(err, objstore.ErrNotFound):
		return nil
	}
	return err
}

// checksums is what goes with a body so that the store can verify it.
type checksums struct {
	md5, crc32c string // base64
	sha256      string // hex
}

// hashBlock is how much is hashed at once.
const hashBlock = 128 << 10

// checksum reads src for the checksum that is configured.
func (d *driver) checksum(ctx context.Context, src *io.SectionReader) (s checksums, err error) {
	var h hash.Hash
	switch d.cfg.Checksum {
	case MD5:
		h = md5.New()
	case CRC32C:
		h = crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case SHA256:
		h = sha256.New()
	default:
		return s, nil
	}
	size := src.Size()
	buf := make([]byte, min(size, hashBlock))
	for off := int64(0); off < size; {
		if ctx.Err() != nil {
			return s, context.Cause(ctx)
		}
		n, err := src.ReadAt(buf[:min(int64(len(buf)), size-off)], off)
		h.Write(buf[:n])
		off += int64(n)
		if err != nil && off < size {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return s, &sourceError{err}
		}
	}
	sum := h.Sum(nil)
	switch d.cfg.Checksum {
	case MD5:
		s.md5 = base64.StdEncoding.EncodeToString(sum)
	case CRC32C:
		s.crc32c = base64.StdEncoding.EncodeToString(sum)
	case SHA256:
		s.sha256 = hex.EncodeToString(sum)
	}
	return s, nil
}

// compare checks the sum that the store returned, if it does.
func (s checksums) compare(crc32c string) error {
	if s.crc32c != "" && crc32c != "" && s.crc32c != crc32c {
		return fmt.Errorf("the store computed the CRC32C %.20s, sent was %s", crc32c, s.crc32c)
	}
	return nil
}
