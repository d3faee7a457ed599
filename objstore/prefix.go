package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// prefixed is the Driver of WithPrefix.
type prefixed struct {
	d      Driver
	prefix string
}

// WithPrefix returns a Driver of what has prefix in front of its key in d, without it: "a" is d's prefix+"a". Where the
// prefix is meant as a folder it ends in "/". An object whose key is the prefix itself, such as a marker of that folder, is
// not seen. Tokens and upload IDs are those of d. A key whose dot-dot segments lead out of the prefix is Invalid, also where d
// takes such segments for names: what stands behind a store may not. List shows it where d has it. The Driver takes over d.
func WithPrefix(d Driver, prefix string) Driver {
	if prefix == "" {
		return d
	}
	return &prefixed{d: d, prefix: prefix}
}

// Caps implements Driver.
func (w *prefixed) Caps() Caps {
	c := w.d.Caps()
	if c.MaxKey > 0 {
		c.MaxKey = max(c.MaxKey-len(w.prefix), 1) // 0 would mean any number
	}
	return c
}

// Close implements Driver.
func (w *prefixed) Close() error { return w.d.Close() }

// check says whether key can be one.
func (w *prefixed) check(ctx context.Context, op, key string, kind Kind) error {
	switch {
	case ctx.Err() != nil:
		return nil // d says so
	case key == "":
		return &Error{Op: op, Kind: kind, Err: errors.New("an object must have a key")}
	case key[0] == '/' && kind == Invalid:
		return &Error{Op: op, Key: key, Kind: Invalid, Err: errors.New("a key does not begin with a slash")}
	case leaves(w.prefix, key):
		return &Error{Op: op, Key: key, Kind: Invalid, Err: errors.New("the key leads out of its place")}
	}
	return nil
}

// leaves says whether prefix+key, taken for a path, is one that leads out of what begins with prefix. Backslashes count as
// slashes: for some file systems they are.
func leaves(prefix, key string) bool {
	const slashes = `/\`
	part := prefix[strings.LastIndexAny(prefix, slashes)+1:] // of a name that prefix ends in the middle of
	least := 0
	if part != "" {
		least = 1
	}
	depth := 0
	for _, name := range strings.FieldsFunc(part+key, func(r rune) bool { return strings.ContainsRune(slashes, r) }) {
		switch name {
		case ".":
		case "..":
			depth--
		default:
			depth++
		}
		if depth < least {
			return true
		}
	}
	return false
}

// error returns err with the key as it is called here.
func (w *prefixed) error(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	var e *Error
	if !errors.As(err, &e) || !strings.HasPrefix(e.Key, w.prefix) {
		return err
	}
	named := *e
	named.Key = e.Key[len(w.prefix):]
	if err != error(e) {
		named.Err, named.Hint = err, "" // what was wrapped around it is not lost
	}
	return &named
}

func (w *prefixed) object(o Object, err error) (Object, error) {
	o.Key = strings.TrimPrefix(o.Key, w.prefix)
	return o, w.error(err)
}

func (w *prefixed) upload(u Upload) Upload {
	u.Key = w.prefix + u.Key
	return u
}

// Stat implements Driver.
func (w *prefixed) Stat(ctx context.Context, key string) (Object, error) {
	if err := w.check(ctx, "stat", key, NotFound); err != nil {
		return Object{}, err
	}
	return w.object(w.d.Stat(ctx, w.prefix+key))
}

// List implements Driver.
func (w *prefixed) List(ctx context.Context, o ListOptions) (Page, error) {
	o.Prefix = w.prefix + o.Prefix
	if o.After != "" {
		o.After = w.prefix + o.After
	}
	p, err := w.d.List(ctx, o)
	kept := p.Objects[:0]
	for _, obj := range p.Objects {
		if obj.Key = strings.TrimPrefix(obj.Key, w.prefix); obj.Key != "" {
			kept = append(kept, obj)
		}
	}
	p.Objects = kept
	return p, w.error(err)
}

// Read implements Driver.
func (w *prefixed) Read(ctx context.Context, key string, off, length int64, etag string) (io.ReadCloser, Object, error) {
	if err := w.check(ctx, "read", key, NotFound); err != nil {
		return nil, Object{}, err
	}
	rc, o, err := w.d.Read(ctx, w.prefix+key, off, length, etag)
	if err != nil {
		return nil, Object{}, w.error(err)
	}
	o.Key = strings.TrimPrefix(o.Key, w.prefix)
	return &prefixedBody{rc, w}, o, nil
}

// prefixedBody is a body whose errors have the key as it is called here.
type prefixedBody struct {
	rc io.ReadCloser
	w  *prefixed
}

func (b *prefixedBody) Read(p []byte) (int, error) {
	n, err := b.rc.Read(p)
	return n, b.w.error(err)
}

func (b *prefixedBody) Close() error { return b.w.error(b.rc.Close()) }

// Put implements Driver.
func (w *prefixed) Put(ctx context.Context, key string, body *io.SectionReader, o PutOptions) (Object, error) {
	if err := w.check(ctx, "put", key, Invalid); err != nil {
		return Object{}, err
	}
	return w.object(w.d.Put(ctx, w.prefix+key, body, o))
}

// Delete implements Driver.
func (w *prefixed) Delete(ctx context.Context, keys ...string) error {
	var refused error
	inner := make([]string, 0, len(keys))
	for _, key := range keys {
		if key == "" { // there is none, and the one at the prefix itself is not ours
			continue
		}
		if err := w.check(ctx, "delete", key, NotFound); err != nil {
			if refused == nil {
				refused = err
			}
			continue
		}
		inner = append(inner, w.prefix+key)
	}
	if err := w.error(w.d.Delete(ctx, inner...)); err != nil {
		return err
	}
	return refused
}

// Copy implements Driver.
func (w *prefixed) Copy(ctx context.Context, src, etag, dst string, o *PutOptions) (Object, error) {
	if err := w.check(ctx, "copy", src, NotFound); err != nil {
		return Object{}, err
	}
	if err := w.check(ctx, "copy", dst, Invalid); err != nil {
		return Object{}, err
	}
	return w.object(w.d.Copy(ctx, w.prefix+src, etag, w.prefix+dst, o))
}

// CopyFrom implements CrossCopier where d does. An error about the source has its key in the place that it really lies in.
func (w *prefixed) CopyFrom(ctx context.Context, src Driver, srcKey, etag, dstKey string, o *PutOptions) (Object, error) {
	if err := w.check(ctx, "copy", dstKey, Invalid); err != nil {
		return Object{}, err
	}
	return w.object(crossCopy(ctx, w.d, src, srcKey, etag, w.prefix+dstKey, o))
}

// Begin implements Driver.
func (w *prefixed) Begin(ctx context.Context, u Upload, o PutOptions) (Upload, error) {
	if err := w.check(ctx, "begin upload", u.Key, Invalid); err != nil {
		return Upload{}, err
	}
	u, err := w.d.Begin(ctx, w.upload(u), o)
	u.Key = strings.TrimPrefix(u.Key, w.prefix)
	return u, w.error(err)
}

// PutPart implements Driver.
func (w *prefixed) PutPart(ctx context.Context, u Upload, spec PartSpec, body *io.SectionReader) (Part, error) {
	if err := w.check(ctx, fmt.Sprintf("put part %d", spec.N), u.Key, NoUpload); err != nil {
		return Part{}, err
	}
	p, err := w.d.PutPart(ctx, w.upload(u), spec, body)
	return p, w.error(err)
}

// Parts implements Driver.
func (w *prefixed) Parts(ctx context.Context, u Upload) ([]Part, error) {
	if err := w.check(ctx, "list parts", u.Key, NoUpload); err != nil {
		return nil, err
	}
	list, err := w.d.Parts(ctx, w.upload(u))
	return list, w.error(err)
}

// Complete implements Driver.
func (w *prefixed) Complete(ctx context.Context, u Upload, parts []Part, o PutOptions) (Object, error) {
	if err := w.check(ctx, "complete upload", u.Key, NoUpload); err != nil {
		return Object{}, err
	}
	return w.object(w.d.Complete(ctx, w.upload(u), parts, o))
}

// Abort implements Driver.
func (w *prefixed) Abort(ctx context.Context, u Upload) error {
	if err := w.check(ctx, "abort upload", u.Key, NoUpload); err != nil {
		return err
	}
	return w.error(w.d.Abort(ctx, w.upload(u)))
}

// Uploads implements Driver.
func (w *prefixed) Uploads(ctx context.Context, prefix, token string) ([]UploadInfo, string, error) {
	list, next, err := w.d.Uploads(ctx, w.prefix+prefix, token)
	kept := list[:0]
	for _, u := range list {
		if u.Key = strings.TrimPrefix(u.Key, w.prefix); u.Key != "" {
			kept = append(kept, u)
		}
	}
	return kept, next, w.error(err)
}
