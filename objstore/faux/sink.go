package faux

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tradewind-io/tradewind/objstore"
)

// Sink is a Driver of a place that takes everything and keeps nothing: whatever was put, there is no object.
type Sink struct {
	closed atomic.Bool

	mu      sync.Mutex // protects the rest
	stats   Stats
	last    uint64 // number of the last ETag or upload
	uploads map[string]*upload
}

// upload is an open upload, of which the parts are known but not kept.
type upload struct {
	key   string
	begun time.Time
	parts map[int]objstore.Part
}

// Stats counts what a Sink was given.
type Stats struct {
	Objects int64 // whole ones
	Bytes   int64 // of them
	Taken   int64 // bytes of all that was put, parts that were put again included
}

// NewSink returns a Sink.
func NewSink() *Sink { return &Sink{uploads: make(map[string]*upload)} }

// Stats returns what was put so far.
func (s *Sink) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Caps implements objstore.Driver.
func (s *Sink) Caps() objstore.Caps {
	return objstore.Caps{IfAbsent: true, Sorted: true, Local: true}
}

// Close implements objstore.Driver.
func (s *Sink) Close() error { s.closed.Store(true); return nil }

// Stat implements objstore.Driver. There is nothing.
func (s *Sink) Stat(ctx context.Context, key string) (objstore.Object, error) {
	return objstore.Object{}, s.nothing(ctx, "stat", key)
}

// Read implements objstore.Driver. There is nothing.
func (s *Sink) Read(ctx context.Context, key string, _, _ int64, _ string) (io.ReadCloser, objstore.Object, error) {
	return nil, objstore.Object{}, s.nothing(ctx, "read", key)
}

func (s *Sink) nothing(ctx context.Context, op, key string) error {
	if err := check(ctx, &s.closed, op, key); err != nil {
		return err
	}
	return &objstore.Error{Op: op, Key: key, Kind: objstore.NotFound}
}

// List implements objstore.Driver.
func (s *Sink) List(ctx context.Context, o objstore.ListOptions) (objstore.Page, error) {
	return objstore.Page{}, check(ctx, &s.closed, "list", o.Prefix)
}

// Delete implements objstore.Driver.
func (s *Sink) Delete(ctx context.Context, _ ...string) error {
	return check(ctx, &s.closed, "delete", "")
}

// Copy implements objstore.Driver.
func (s *Sink) Copy(ctx context.Context, src, _, _ string, _ *objstore.PutOptions) (objstore.Object, error) {
	if err := check(ctx, &s.closed, "copy", src); err != nil {
		return objstore.Object{}, err
	}
	return objstore.Object{}, &objstore.Error{Op: "copy", Key: src, Kind: objstore.Unsupported}
}

// Put implements objstore.Driver.
func (s *Sink) Put(ctx context.Context, key string, body *io.SectionReader, _ objstore.PutOptions) (objstore.Object, error) {
	if err := s.drain(ctx, "put", key, body); err != nil {
		return objstore.Object{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done(key, body.Size()), nil
}

// done counts an object. s.mu is held.
func (s *Sink) done(key string, size int64) objstore.Object {
	s.stats.Objects++
	s.stats.Bytes += size
	return objstore.Object{Key: key, Size: size, ETag: s.next(), Modified: time.Now()}
}

// next returns a name that was not used before. s.mu is held.
func (s *Sink) next() string {
	s.last++
	return strconv.FormatUint(s.last, 16)
}

// drain reads a body to its end, so that a source that fails does not go unnoticed.
func (s *Sink) drain(ctx context.Context, op, key string, body *io.SectionReader) error {
	if err := check(ctx, &s.closed, op, key); err != nil {
		return err
	}
	buf := make([]byte, min(256<<10, body.Size()))
	for off := int64(0); off < body.Size(); {
		b := buf[:min(int64(len(buf)), body.Size()-off)]
		n, err := body.ReadAt(b, off)
		if n < len(b) {
			return &objstore.Error{Op: op, Key: key, Err: fmt.Errorf("read the body at %d: %w", off+int64(n), err)}
		}
		off += int64(n)
		if err := check(ctx, &s.closed, op, key); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.stats.Taken += body.Size()
	s.mu.Unlock()
	return nil
}

// Begin implements objstore.Driver.
func (s *Sink) Begin(ctx context.Context, u objstore.Upload, _ objstore.PutOptions) (objstore.Upload, error) {
	if err := check(ctx, &s.closed, "begin upload", u.Key); err != nil {
		return objstore.Upload{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u.ID = s.next()
	s.uploads[u.ID] = &upload{key: u.Key, begun: time.Now(), parts: make(map[int]objstore.Part)}
	return u, nil
}

// find returns the upload that u names. s.mu is held.
func (s *Sink) find(op string, u objstore.Upload) (*upload, error) {
	up := s.uploads[u.ID]
	if up == nil || up.key != u.Key {
		return nil, &objstore.Error{Op: op, Key: u.Key, Kind: objstore.NoUpload}
	}
	return up, nil
}

// PutPart implements objstore.Driver.
func (s *Sink) PutPart(ctx context.Context, u objstore.Upload, spec objstore.PartSpec, body *io.SectionReader) (objstore.Part, error) {
	op := fmt.Sprintf("put part %d", spec.N)
	if err := s.drain(ctx, op, u.Key, body); err != nil {
		return objstore.Part{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	up, err := s.find(op, u)
	if err != nil {
		return objstore.Part{}, err
	}
	p := objstore.Part{N: spec.N, Size: body.Size(), ETag: s.next()}
	up.parts[spec.N] = p
	return p, nil
}

// Parts implements objstore.Driver.
func (s *Sink) Parts(ctx context.Context, u objstore.Upload) ([]objstore.Part, error) {
	const op = "list parts"
	if err := check(ctx, &s.closed, op, u.Key); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	up, err := s.find(op, u)
	if err != nil {
		return nil, err
	}
	list := []objstore.Part{}
	for _, n := range slices.Sorted(maps.Keys(up.parts)) {
		list = append(list, up.parts[n])
	}
	return list, nil
}

// Complete implements objstore.Driver.
func (s *Sink) Complete(ctx context.Context, u objstore.Upload, parts []objstore.Part, _ objstore.PutOptions) (objstore.Object, error) {
	const op = "complete upload"
	if err := check(ctx, &s.closed, op, u.Key); err != nil {
		return objstore.Object{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	up, err := s.find(op, u)
	if err != nil {
		return objstore.Object{}, err
	}
	var size int64
	for i, p := range parts {
		if p.N != i || up.parts[i] != p {
			return objstore.Object{}, &objstore.Error{Op: op, Key: u.Key, Kind: objstore.BadPart, Err: fmt.Errorf("part %d", p.N)}
		}
		size += p.Size
	}
	delete(s.uploads, u.ID)
	return s.done(u.Key, size), nil
}

// Abort implements objstore.Driver.
func (s *Sink) Abort(ctx context.Context, u objstore.Upload) error {
	if err := check(ctx, &s.closed, "abort upload", u.Key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.uploads, u.ID)
	return nil
}

// Uploads implements objstore.Driver, all in one page.
func (s *Sink) Uploads(ctx context.Context, prefix, _ string) (list []objstore.UploadInfo, next string, err error) {
	if err := check(ctx, &s.closed, "list uploads", prefix); err != nil {
		return nil, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, up := range s.uploads {
		if strings.HasPrefix(up.key, prefix) {
			list = append(list, objstore.UploadInfo{Key: up.key, ID: id, Begun: up.begun})
		}
	}
	return list, "", nil
}
