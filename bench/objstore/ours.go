package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/s3"
)

// ours is a Bucket with the settings that a program would give it, but for the parallelism, which is the others'.
type ours struct{ b *objstore.Bucket }

func newOurs(j job) (client, error) {
	sum, err := s3.ParseChecksum(j.Sum)
	if err != nil {
		return nil, err
	}
	d, err := s3.New(j.Place.config(sum))
	if err != nil {
		return nil, err
	}
	return &ours{objstore.NewBucket(d, objstore.Config{PartSize: j.Part, Parallel: j.Parallel})}, nil
}

func (o *ours) upload(ctx context.Context, j job, f *os.File) error {
	_, err := o.b.Write(ctx, largeKey, f, objstore.CreateOptions{Size: j.Size})
	return err
}

func (o *ours) download(ctx context.Context, j job, f *os.File) error {
	w := io.WriterAt(nowhere{})
	if f != nil {
		w = f
	}
	obj, err := o.b.Download(ctx, largeKey, w, objstore.ReadOptions{ReadAhead: j.Parallel})
	if err == nil && obj.Size != j.Size {
		err = fmt.Errorf("%d bytes came of %d", obj.Size, j.Size)
	}
	return err
}

// nowhere takes everything.
type nowhere struct{}

func (nowhere) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

func (o *ours) put(ctx context.Context, key string, p []byte) error {
	_, err := o.b.Put(ctx, key, bytes.NewReader(p), int64(len(p)), objstore.PutOptions{})
	return err
}

func (o *ours) get(ctx context.Context, key string) ([]byte, error) {
	p, _, err := o.b.Get(ctx, key, smallSize)
	return p, err
}

func (o *ours) close() error { return o.b.Close() }
