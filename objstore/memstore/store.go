package memstore

import (
	"context"
	"errors"
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

// Store is a Driver whose place is in memory.
type Store struct {
	p      *place
	closed atomic.Bool
}

// place is what all Stores of one name share.
type place struct {
	mu      sync.Mutex // protects the rest
	last    uint64     // number of the last ETag or upload
	objects map[string]*object
	keys    []string // of objects, sorted; nil when it must be made anew
	uploads map[string]*upload
}

// object is never changed.
type object struct {
	objstore.Object
	data []byte
}

// New returns a Store of an empty place.
func New() *Store { return &Store{p: newPlace()} }

func newPlace() *place {
	return &place{objects: make(map[string]*object), uploads: make(map[string]*upload)}
}

// maxKey is the limit of S3, so that what works here works there.
const maxKey = 1024

// Caps implements objstore.Driver.
func (s *Store) Caps() objstore.Caps {
	return objstore.Caps{
		MaxParts: 10_000, MaxKey: maxKey,
		Resume: true, IfAbsent: true, Copy: true, Attrs: true, ListAttr: true, Sorted: true, Local: true,
	}
}

// Close implements objstore.Driver. The objects stay.
func (s *Store) Close() error { s.closed.Store(true); return nil }

func fail(op, key string, kind objstore.Kind, err error) error {
	return &objstore.Error{Op: op, Key: key, Kind: kind, Err: err}
}

// check is what every call begins with.
func (s *Store) check(ctx context.Context, op, key string) error {
	if err := context.Cause(ctx); err != nil {
		return fail(op, key, objstore.Other, err)
	}
	if s.closed.Load() {
		return fail(op, key, objstore.Closed, nil)
	}
	return nil
}

// checkNew also says whether an object may have the key.
func (s *Store) checkNew(ctx context.Context, op, key string) error {
	switch {
	case key == "" || key[0] == '/':
		return fail(op, key, objstore.Invalid, errors.New("a key is not empty and does not begin with a slash"))
	case len(key) > maxKey:
		return fail(op, key, objstore.Invalid, fmt.Errorf("a key has at most %d bytes", maxKey))
	}
	return s.check(ctx, op, key)
}

// find returns the object at key, which must have the etag if that is not empty. p.mu is held.
func (p *place) find(op, key, etag string) (*object, error) {
	o := p.objects[key]
	if o == nil {
		return nil, fail(op, key, objstore.NotFound, nil)
	}
	if etag != "" && etag != o.ETag {
		return nil, fail(op, key, objstore.Changed, nil)
	}
	return o, nil
}

// store makes an object. p.mu is held.
func (p *place) store(op, key string, data []byte, o objstore.PutOptions) (objstore.Object, error) {
	old := p.objects[key]
	if old != nil && o.IfAbsent {
		return objstore.Object{}, fail(op, key, objstore.Exists, nil)
	}
	if old == nil {
		p.keys = nil
	}
	o.Attr.Metadata = maps.Clone(o.Attr.Metadata)
	obj := &object{data: data, Object: objstore.Object{
		Key: key, Size: int64(len(data)), ETag: `"` + p.next() + `"`, Modified: time.Now(), HasAttr: true, Attr: o.Attr,
	}}
	p.objects[key] = obj
	return obj.shown(), nil
}

// next returns a name that was not used before. p.mu is held.
func (p *place) next() string {
	p.last++
	return strconv.FormatUint(p.last, 16)
}

// shown returns the description, which the caller may change.
func (o *object) shown() objstore.Object {
	d := o.Object
	d.Attr.Metadata = maps.Clone(d.Attr.Metadata)
	return d
}

// Stat implements objstore.Driver.
func (s *Store) Stat(ctx context.Context, key string) (objstore.Object, error) {
	const op = "stat"
	if err := s.check(ctx, op, key); err != nil {
		return objstore.Object{}, err
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	o, err := s.p.find(op, key, "")
	if err != nil {
		return objstore.Object{}, err
	}
	return o.shown(), nil
}

// Read implements objstore.Driver.
func (s *Store) Read(ctx context.Context, key string, off, length int64, etag string) (io.ReadCloser, objstore.Object, error) {
	const op = "read"
	if err := s.check(ctx, op, key); err != nil {
		return nil, objstore.Object{}, err
	}
	s.p.mu.Lock()
	o, err := s.p.find(op, key, etag)
	s.p.mu.Unlock()
	if err != nil {
		return nil, objstore.Object{}, err
	}
	if off < 0 || off >= o.Size {
		return nil, objstore.Object{}, fail(op, key, objstore.Range, fmt.Errorf("offset %d of %d bytes", off, o.Size))
	}
	data := o.data[off:]
	if length >= 0 && length < int64(len(data)) {
		data = data[:length]
	}
	return &reader{ctx: ctx, data: data}, o.shown(), nil
}

// reader gives the bytes of an object until its context ends.
type reader struct {
	ctx  context.Context // of the call that opened it, as an HTTP body has it
	data []byte
}

func (r *reader) Read(b []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b, r.data)
	r.data = r.data[n:]
	return n, nil
}

func (r *reader) Close() error { r.data = nil; return nil }

// Put implements objstore.Driver.
func (s *Store) Put(ctx context.Context, key string, body *io.SectionReader, o objstore.PutOptions) (objstore.Object, error) {
	const op = "put"
	if err := s.checkNew(ctx, op, key); err != nil {
		return objstore.Object{}, err
	}
	data, err := readBody(ctx, op, key, body)
	if err != nil {
		return objstore.Object{}, err
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.p.store(op, key, data, o)
}

// readBody returns a body's bytes. A context that ends meanwhile ends it.
func readBody(ctx context.Context, op, key string, body *io.SectionReader) ([]byte, error) {
	data := make([]byte, body.Size())
	for off := int64(0); off < body.Size(); {
		piece := data[off:min(off+1<<20, body.Size())]
		n, err := body.ReadAt(piece, off)
		if n < len(piece) {
			return nil, fail(op, key, objstore.Other, fmt.Errorf("read the body at %d: %w", off+int64(n), err))
		}
		off += int64(n)
		if err := context.Cause(ctx); err != nil {
			return nil, fail(op, key, objstore.Other, err)
		}
	}
	return data, nil
}

// Delete implements objstore.Driver.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	if err := s.check(ctx, "delete", ""); err != nil {
		return err
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	for _, key := range keys {
		if s.p.objects[key] != nil {
			delete(s.p.objects, key)
			s.p.keys = nil
		}
	}
	return nil
}

// Copy implements objstore.Driver.
func (s *Store) Copy(ctx context.Context, src, etag, dst string, o *objstore.PutOptions) (objstore.Object, error) {
	const op = "copy"
	if err := s.checkNew(ctx, op, dst); err != nil {
		return objstore.Object{}, err
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	from, err := s.p.find(op, src, etag)
	if err != nil {
		return objstore.Object{}, err
	}
	if o == nil {
		o = &objstore.PutOptions{Attr: from.Attr}
	}
	return s.p.store(op, dst, from.data, *o)
}

// maxPage is how many entries a page of a listing has.
const maxPage = 1000

// List implements objstore.Driver. A token is the last key or folder of the page before.
func (s *Store) List(ctx context.Context, o objstore.ListOptions) (page objstore.Page, err error) {
	if err := s.check(ctx, "list", o.Prefix); err != nil {
		return page, err
	}
	limit := maxPage
	if o.Max > 0 {
		limit = min(o.Max, maxPage)
	}
	p := s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys == nil {
		p.keys = slices.Sorted(maps.Keys(p.objects))
	}
	i, _ := slices.BinarySearch(p.keys, o.Prefix)
	switch {
	case o.Token != "" && o.Delimited && strings.HasSuffix(o.Token, "/") && len(o.Token) > len(o.Prefix):
		i = max(i, p.behindFolder(o.Token))
	case o.Token != "" || o.After != "":
		after := o.Token
		if after == "" {
			after = o.After
		}
		n, found := slices.BinarySearch(p.keys, after)
		if found {
			n++
		}
		i = max(i, n)
	}
	for i < len(p.keys) && strings.HasPrefix(p.keys[i], o.Prefix) {
		if len(page.Objects) == limit {
			page.Next = page.Objects[limit-1].Key
			break
		}
		key := p.keys[i]
		if n := strings.IndexByte(key[len(o.Prefix):], '/'); o.Delimited && n >= 0 {
			folder := key[:len(o.Prefix)+n+1]
			page.Objects = append(page.Objects, objstore.Object{Key: folder, Folder: true})
			i = p.behindFolder(folder)
			continue
		}
		page.Objects = append(page.Objects, p.objects[key].shown())
		i++
	}
	return page, nil
}

// behindFolder returns the index of the first key that does not begin with folder and stands behind those that do.
func (p *place) behindFolder(folder string) int {
	end := folder[:len(folder)-1] + "0" // "0" comes next after "/"
	i, _ := slices.BinarySearch(p.keys, end)
	return i
}
