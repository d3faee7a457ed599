package faux

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"github.com/tradewind-io/tradewind/objstore"
)

// readOnly refuses to store. It is what a Source answers to half of what a Driver can be asked.
type readOnly struct{ closed atomic.Bool }

// Close implements objstore.Driver.
func (r *readOnly) Close() error { r.closed.Store(true); return nil }

func (r *readOnly) check(ctx context.Context, op, key string) error {
	return check(ctx, &r.closed, op, key)
}

// check is what every call begins with.
func check(ctx context.Context, closed *atomic.Bool, op, key string) error {
	if err := context.Cause(ctx); err != nil {
		return &objstore.Error{Op: op, Key: key, Err: err}
	}
	if closed.Load() {
		return &objstore.Error{Op: op, Key: key, Kind: objstore.Closed}
	}
	return nil
}

func (r *readOnly) refuse(ctx context.Context, op, key string) error {
	if err := r.check(ctx, op, key); err != nil {
		return err
	}
	return &objstore.Error{Op: op, Key: key, Kind: objstore.Unsupported, Err: errors.New("what is made up cannot be changed"), Hint: "faux:// takes what is to be thrown away"}
}

// Put implements objstore.Driver.
func (r *readOnly) Put(ctx context.Context, key string, _ *io.SectionReader, _ objstore.PutOptions) (objstore.Object, error) {
	return objstore.Object{}, r.refuse(ctx, "put", key)
}

// Delete implements objstore.Driver.
func (r *readOnly) Delete(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return r.check(ctx, "delete", "")
	}
	return r.refuse(ctx, "delete", keys[0])
}

// Copy implements objstore.Driver.
func (r *readOnly) Copy(ctx context.Context, src, _, _ string, _ *objstore.PutOptions) (objstore.Object, error) {
	return objstore.Object{}, r.refuse(ctx, "copy", src)
}

// Begin implements objstore.Driver.
func (r *readOnly) Begin(ctx context.Context, u objstore.Upload, _ objstore.PutOptions) (objstore.Upload, error) {
	return objstore.Upload{}, r.refuse(ctx, "begin upload", u.Key)
}

// noUpload is the answer about an upload, of which there are none.
func (r *readOnly) noUpload(ctx context.Context, op, key string) error {
	if err := r.check(ctx, op, key); err != nil {
		return err
	}
	return &objstore.Error{Op: op, Key: key, Kind: objstore.NoUpload}
}

// PutPart implements objstore.Driver.
func (r *readOnly) PutPart(ctx context.Context, u objstore.Upload, _ objstore.PartSpec, _ *io.SectionReader) (objstore.Part, error) {
	return objstore.Part{}, r.noUpload(ctx, "put part", u.Key)
}

// Parts implements objstore.Driver.
func (r *readOnly) Parts(ctx context.Context, u objstore.Upload) ([]objstore.Part, error) {
	return nil, r.noUpload(ctx, "list parts", u.Key)
}

// Complete implements objstore.Driver.
func (r *readOnly) Complete(ctx context.Context, u objstore.Upload, _ []objstore.Part, _ objstore.PutOptions) (objstore.Object, error) {
	return objstore.Object{}, r.noUpload(ctx, "complete upload", u.Key)
}

// Abort implements objstore.Driver.
func (r *readOnly) Abort(ctx context.Context, u objstore.Upload) error {
	return r.check(ctx, "abort upload", u.Key)
}

// Uploads implements objstore.Driver.
func (r *readOnly) Uploads(ctx context.Context, prefix, _ string) ([]objstore.UploadInfo, string, error) {
	return nil, "", r.check(ctx, "list uploads", prefix)
}
