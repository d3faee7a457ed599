package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sync/errgroup"

	"github.com/tradewind-io/tradewind/objstore/s3"
)

// raw is minio-go alone, in the cheapest way that is right: bodies neither hashed nor signed, no retries, one request for
// every part or object, answers into buffers that are used again.
type raw struct {
	core   *minio.Core
	bucket string
	crc    bool
}

// rawBuffer is what raw reads and hashes with, for each request under way.
const rawBuffer = 128 << 10

func newRaw(j job) (client, error) {
	t, err := minio.DefaultTransport(false)
	if err != nil {
		return nil, err
	}
	t.MaxIdleConnsPerHost = max(t.MaxIdleConnsPerHost, j.Parallel) // else it would dial again and again
	core, err := minio.NewCore(j.Place.Endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(j.Place.AccessKey, j.Place.SecretKey, ""), Region: j.Place.Region, BucketLookup: minio.BucketLookupPath,
		Transport: t,
	})
	if err != nil {
		return nil, err
	}
	return &raw{core: core, bucket: j.Place.Bucket, crc: j.Sum == s3.CRC32C.String()}, nil
}

const (
	crc32cHeader = "X-Amz-Checksum-Crc32c"
	crc32cName   = "CRC32C"
)

func (r *raw) upload(ctx context.Context, j job, f *os.File) error {
	o := minio.PutObjectOptions{}
	if r.crc {
		o.UserMetadata = map[string]string{"X-Amz-Checksum-Algorithm": crc32cName}
	}
	id, err := r.core.NewMultipartUpload(ctx, r.bucket, largeKey, o)
	if err != nil {
		return err
	}
	parts := make([]minio.CompletePart, (j.Size+j.Part-1)/j.Part)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(j.Parallel)
	for n := range parts {
		g.Go(func() error {
			off := int64(n) * j.Part
			size := min(j.Part, j.Size-off)
			h := make(http.Header)
			if r.crc {
				sum, err := crc32c(io.NewSectionReader(f, off, size), make([]byte, rawBuffer))
				if err != nil {
					return err
				}
				h.Set(crc32cHeader, sum)
			}
			p, err := r.core.PutObjectPart(ctx, r.bucket, largeKey, id, n+1, io.NewSectionReader(f, off, size), size,
				minio.PutObjectPartOptions{DisableContentSha256: true, CustomHeader: h})
			parts[n] = minio.CompletePart{PartNumber: n + 1, ETag: p.ETag, ChecksumCRC32C: p.ChecksumCRC32C}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	_, err = r.core.CompleteMultipartUpload(context.WithoutCancel(ctx), r.bucket, largeKey, id, parts, minio.PutObjectOptions{})
	return err
}

func (r *raw) download(ctx context.Context, j job, f *os.File) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(j.Parallel)
	for off := int64(0); off < j.Size; off += j.Part {
		g.Go(func() error {
			size := min(j.Part, j.Size-off)
			var o minio.GetObjectOptions
			if err := o.SetRange(off, off+size-1); err != nil {
				return err
			}
			body, _, _, err := r.core.GetObject(ctx, r.bucket, largeKey, o)
			if err != nil {
				return err
			}
			defer body.Close()
			var w io.Writer = io.Discard
			if f != nil {
				w = io.NewOffsetWriter(f, off)
			}
			// Neither end may choose the buffer.
			n, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{body}, make([]byte, rawBuffer))
			if err == nil && n != size {
				err = fmt.Errorf("%d bytes came of %d", n, size)
			}
			return err
		})
	}
	return g.Wait()
}

func (r *raw) put(ctx context.Context, key string, p []byte) error {
	o := minio.PutObjectOptions{DisableContentSha256: true, DisableMultipart: true}
	if r.crc {
		sum, err := crc32c(bytes.NewReader(p), make([]byte, len(p)))
		if err != nil {
			return err
		}
		o.UserMetadata = map[string]string{crc32cHeader: sum}
	}
	_, err := r.core.PutObject(ctx, r.bucket, key, bytes.NewReader(p), int64(len(p)), "", "", o)
	return err
}

func (r *raw) get(ctx context.Context, key string) ([]byte, error) {
	body, info, _, err := r.core.GetObject(ctx, r.bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	p := make([]byte, info.Size)
	_, err = io.ReadFull(body, p)
	return p, err
}

func (r *raw) close() error { return nil }
