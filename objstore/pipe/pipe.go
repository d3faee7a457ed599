package pipe

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"

	"github.com/tradewind-io/tradewind/objstore"
)

// New returns the Driver of a place that writes to w, which is not closed. It takes so many objects, 0 is any number. Only
// writing works: the place is always empty.
func New(w io.Writer, objects int) objstore.Driver {
	return &driver{turn: make(chan struct{}, 1), w: w, limit: objects}
}

type driver struct {
	turn chan struct{} // whoever writes, or has an upload open, holds the one token

	mu     sync.Mutex // protects the rest
	w      io.Writer
	limit  int // objects that are taken, 0 = any number
	taken  int
	open   string // id of the upload that holds the token
	key    string // its object
	next   int    // its next part
	begun  bool   // something of it may have been written
	failed error  // of w: what is behind it would be torn
}

// Caps implements objstore.Driver.
func (d *driver) Caps() objstore.Caps {
	return objstore.Caps{MaxParts: 1, Ordered: true, Local: true}
}

func unsupported(op, key string) error {
	return &objstore.Error{Op: op, Key: key, Kind: objstore.Unsupported, Hint: "a stream can only be written"}
}

// Stat implements objstore.Driver.
func (d *driver) Stat(_ context.Context, key string) (objstore.Object, error) {
	return objstore.Object{}, &objstore.Error{Op: "stat", Key: key, Kind: objstore.NotFound}
}

// List implements objstore.Driver.
func (d *driver) List(context.Context, objstore.ListOptions) (objstore.Page, error) {
	return objstore.Page{}, nil
}

// Read implements objstore.Driver.
func (d *driver) Read(_ context.Context, key string, _, _ int64, _ string) (io.ReadCloser, objstore.Object, error) {
	return nil, objstore.Object{}, &objstore.Error{Op: "read", Key: key, Kind: objstore.NotFound}
}

// Put implements objstore.Driver.
func (d *driver) Put(ctx context.Context, key string, body *io.SectionReader, _ objstore.PutOptions) (objstore.Object, error) {
	if err := d.take(ctx, "put", key); err != nil {
		return objstore.Object{}, err
	}
	defer func() { <-d.turn }()
	return objstore.Object{Key: key, Size: body.Size()}, d.write("put", key, body)
}

// take takes the token for one object.
func (d *driver) take(ctx context.Context, op, key string) error {
	select {
	case d.turn <- struct{}{}:
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.limit > 0 && d.taken == d.limit {
			<-d.turn
			return &objstore.Error{Op: op, Key: key, Kind: objstore.Invalid, Err: fmt.Errorf("the stream takes %d objects and has had them", d.limit)}
		}
		d.taken++
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// write copies a body. A second try would repeat what the first wrote, so no error is temporary.
func (d *driver) write(op, key string, body *io.SectionReader) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed == nil {
		d.begun = true
		_, d.failed = io.Copy(d.w, io.NewSectionReader(body, 0, body.Size()))
	}
	if d.failed == nil {
		return nil
	}
	e := &objstore.Error{Op: op, Key: key, Err: d.failed}
	if errors.Is(d.failed, syscall.EPIPE) {
		e.Hint = "nobody reads the stream any more"
	}
	return e
}

// Delete implements objstore.Driver: there is nothing.
func (d *driver) Delete(context.Context, ...string) error { return nil }

// Copy implements objstore.Driver.
func (d *driver) Copy(_ context.Context, src, _, _ string, _ *objstore.PutOptions) (objstore.Object, error) {
	return objstore.Object{}, unsupported("copy", src)
}

// errTorn is for an object that is sent again after its first part was written.
var errTorn = errors.New("a part of it was written before it was interrupted, which cannot be taken back: begin anew, with an empty output")

// Begin implements objstore.Driver. It waits for the upload before it, unless that is of the same object: whoever began that one was interrupted, and will not end it.
func (d *driver) Begin(ctx context.Context, u objstore.Upload, _ objstore.PutOptions) (objstore.Upload, error) {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	u.ID = hex.EncodeToString(id[:])
	if again, err := d.again(u); again {
		return u, err
	}
	if err := d.take(ctx, "begin upload", u.Key); err != nil {
		return u, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open, d.key, d.next, d.begun = u.ID, u.Key, 0, false
	return u, nil
}

// again begins the open upload anew, if u is of the same object. Once something of that was written the stream is torn, for all that come after, too.
func (d *driver) again(u objstore.Upload) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.open == "" || d.key != u.Key:
		return false, nil
	case !d.begun && d.failed == nil:
		d.open = u.ID
		return true, nil
	case d.failed == nil:
		d.failed = errTorn
	}
	d.open = ""
	<-d.turn
	return true, &objstore.Error{Op: "begin upload", Key: u.Key, Kind: objstore.Invalid, Err: d.failed}
}

// PutPart implements objstore.Driver.
func (d *driver) PutPart(_ context.Context, u objstore.Upload, p objstore.PartSpec, body *io.SectionReader) (objstore.Part, error) {
	op := fmt.Sprint("put part ", p.N)
	d.mu.Lock()
	open, next := d.open, d.next
	d.mu.Unlock()
	switch {
	case open != u.ID:
		return objstore.Part{}, &objstore.Error{Op: op, Key: u.Key, Kind: objstore.NoUpload}
	case p.N != next:
		return objstore.Part{}, &objstore.Error{Op: op, Key: u.Key, Kind: objstore.Invalid, Err: fmt.Errorf("part %d comes next", next)}
	}
	if err := d.write(op, u.Key, body); err != nil {
		return objstore.Part{}, err
	}
	d.mu.Lock()
	d.next++
	d.mu.Unlock()
	return objstore.Part{N: p.N, Size: body.Size()}, nil
}

// Parts implements objstore.Driver.
func (d *driver) Parts(_ context.Context, u objstore.Upload) ([]objstore.Part, error) {
	return nil, unsupported("list parts", u.Key)
}

// Complete implements objstore.Driver.
func (d *driver) Complete(_ context.Context, u objstore.Upload, parts []objstore.Part, _ objstore.PutOptions) (objstore.Object, error) {
	if !d.end(u) {
		return objstore.Object{}, &objstore.Error{Op: "complete", Key: u.Key, Kind: objstore.NoUpload}
	}
	o := objstore.Object{Key: u.Key}
	for _, p := range parts {
		o.Size += p.Size
	}
	return o, nil
}

// Abort implements objstore.Driver.
func (d *driver) Abort(_ context.Context, u objstore.Upload) error {
	d.end(u)
	return nil
}

// end lets the next upload begin; false if u is not the open one.
func (d *driver) end(u objstore.Upload) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == "" || d.open != u.ID {
		return false
	}
	d.open = ""
	<-d.turn
	return true
}

// Uploads implements objstore.Driver.
func (d *driver) Uploads(context.Context, string, string) ([]objstore.UploadInfo, string, error) {
	return nil, "", nil
}

// Close implements objstore.Driver.
func (d *driver) Close() error { return nil }
