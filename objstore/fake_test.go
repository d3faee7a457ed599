package objstore

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fake is a Driver that keeps objects in memory and fails as its test says.
type fake struct {
	caps Caps
	// before is called, without a lock, at the beginning of each request, after at its end, when it has had its effect.
	// What they return is the request's answer.
	before, after func(ctx context.Context, c call) error
	// body may replace the body of a Read.
	body func(ctx context.Context, c call, rc io.ReadCloser) io.ReadCloser

	mu      sync.Mutex // protects the rest
	objects map[string]fakeObject
	uploads map[string]*fakeUpload
	calls   []call
	tries   map[string]int
	now     int // requests under way
	most    int // at once
	serial  int
	closed  int
}

type fakeObject struct {
	data []byte
	Object
}

type fakeUpload struct {
	Upload
	data  map[int][]byte
	parts map[int]Part
	o     PutOptions
}

// call is a request as its test sees it.
type call struct {
	op       string // name of the method
	key      string
	n        int // part
	off, len int64
	etag     string
	etags    []string // of Complete
	try      int      // from 1, among equal op, key, n
}

func newFake() *fake {
	return &fake{
		caps:    Caps{MaxParts: 100, MaxPart: 1 << 30, Resume: true, IfAbsent: true, Copy: true, Attrs: true, Sorted: true},
		objects: map[string]fakeObject{}, uploads: map[string]*fakeUpload{}, tries: map[string]int{},
	}
}

// do is one request; it says in c which try it is.
func (f *fake) do(ctx context.Context, c *call, effect func() error) error {
	f.mu.Lock()
	id := fmt.Sprint(c.op, "/", c.key, "/", c.n)
	f.tries[id]++
	c.try = f.tries[id]
	f.calls = append(f.calls, *c)
	f.now++
	f.most = max(f.most, f.now)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.now--
		f.mu.Unlock()
	}()
	if f.before != nil {
		if err := f.before(ctx, *c); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f.mu.Lock()
	err := effect()
	f.mu.Unlock()
	if err == nil && f.after != nil {
		err = f.after(ctx, *c)
	}
	return err
}

// count returns how many requests of that name there were.
func (f *fake) count(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		if c.op == op {
			n++
		}
	}
	return n
}

func (f *fake) find(op string) []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.calls), func(c call) bool { return c.op != op })
}

func (f *fake) data(key string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.objects[key].data
}

// set stores an object without a request.
func (f *fake) set(key string, data []byte, attr Attr) Object {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.store(key, data, PutOptions{Attr: attr})
}

func (f *fake) store(key string, data []byte, o PutOptions) Object {
	f.serial++
	obj := Object{Key: key, Size: int64(len(data)), ETag: fmt.Sprintf("%d-%s", f.serial, sum(data)), Modified: time.Now(), HasAttr: true, Attr: o.Attr}
	f.objects[key] = fakeObject{slices.Clone(data), obj}
	return obj
}

func sum(p []byte) string {
	h := md5.Sum(p)
	return hex.EncodeToString(h[:4])
}

func (f *fake) Caps() Caps { return f.caps }

func (f *fake) Stat(ctx context.Context, key string) (o Object, err error) {
	err = f.do(ctx, &call{op: "Stat", key: key}, func() error {
		found, ok := f.objects[key]
		if !ok {
			return &Error{Op: "stat", Key: key, Kind: NotFound}
		}
		o = found.Object
		return nil
	})
	return o, err
}

func (f *fake) List(ctx context.Context, o ListOptions) (p Page, err error) {
	err = f.do(ctx, &call{op: "List", key: o.Prefix}, func() error {
		limit := o.Max
		if limit == 0 {
			limit = 2
		}
		for _, key := range slices.Sorted(maps.Keys(f.objects)) {
			if !strings.HasPrefix(key, o.Prefix) || key <= max(o.After, o.Token) {
				continue
			}
			if len(p.Objects) == limit {
				p.Next = p.Objects[limit-1].Key
				break
			}
			p.Objects = append(p.Objects, f.objects[key].Object)
		}
		return nil
	})
	return p, err
}

func (f *fake) Read(ctx context.Context, key string, off, length int64, etag string) (rc io.ReadCloser, o Object, err error) {
	c := call{op: "Read", key: key, off: off, len: length, etag: etag}
	var data []byte
	err = f.do(ctx, &c, func() error {
		found, ok := f.objects[key]
		switch {
		case !ok:
			return &Error{Op: "read", Key: key, Kind: NotFound}
		case etag != "" && found.ETag != etag:
			return &Error{Op: "read", Key: key, Kind: Changed}
		case off >= found.Size:
			return &Error{Op: "read", Key: key, Kind: Range}
		}
		end := found.Size
		if length >= 0 {
			end = min(end, off+length)
		}
		data, o = found.data[off:end], found.Object
		return nil
	})
	if err != nil {
		return nil, Object{}, err
	}
	rc = io.NopCloser(ctxReader{ctx, bytes.NewReader(data)})
	if f.body != nil {
		rc = f.body(ctx, c, rc)
	}
	return rc, o, nil
}

type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (r ctxReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, r.ctx.Err()
	}
	return r.r.Read(p[:min(len(p), 5000)])
}

func (f *fake) Put(ctx context.Context, key string, body *io.SectionReader, o PutOptions) (obj Object, err error) {
	err = f.do(ctx, &call{op: "Put", key: key, len: body.Size()}, func() error {
		data, err := io.ReadAll(body)
		if err != nil {
			return &Error{Op: "put", Key: key, Kind: Temporary, Err: err}
		}
		if _, ok := f.objects[key]; ok && o.IfAbsent {
			return &Error{Op: "put", Key: key, Kind: Exists}
		}
		obj = f.store(key, data, o)
		return nil
	})
	return obj, err
}

func (f *fake) Delete(ctx context.Context, keys ...string) error {
	return f.do(ctx, &call{op: "Delete", n: len(keys)}, func() error {
		for _, k := range keys {
			delete(f.objects, k)
		}
		return nil
	})
}

func (f *fake) Copy(ctx context.Context, src, etag, dst string, o *PutOptions) (Object, error) {
	return f.copyFrom(ctx, f, src, etag, dst, o)
}

func (f *fake) copyFrom(ctx context.Context, from *fake, src, etag, dst string, o *PutOptions) (obj Object, err error) {
	err = f.do(ctx, &call{op: "Copy", key: src, etag: etag}, func() error {
		found, ok := from.objects[src]
		if !ok {
			return &Error{Op: "copy", Key: src, Kind: NotFound}
		}
		if etag != "" && etag != found.ETag {
			return &Error{Op: "copy", Key: src, Kind: Changed}
		}
		with := PutOptions{Attr: found.Attr}
		if o != nil {
			with = *o
		}
		obj = f.store(dst, found.data, with)
		return nil
	})
	return obj, err
}

func (f *fake) Begin(ctx context.Context, u Upload, o PutOptions) (Upload, error) {
	err := f.do(ctx, &call{op: "Begin", key: u.Key}, func() error {
		f.serial++
		u.ID = fmt.Sprint("upload ", f.serial)
		f.uploads[u.ID] = &fakeUpload{Upload: u, data: map[int][]byte{}, parts: map[int]Part{}, o: o}
		return nil
	})
	return u, err
}

func (f *fake) upload(u Upload) (*fakeUpload, error) {
	if up := f.uploads[u.ID]; up != nil {
		return up, nil
	}
	return nil, &Error{Op: "upload", Key: u.Key, Kind: NoUpload}
}

func (f *fake) PutPart(ctx context.Context, u Upload, p PartSpec, body *io.SectionReader) (part Part, err error) {
	err = f.do(ctx, &call{op: "PutPart", key: u.Key, n: p.N, off: p.Off, len: body.Size()}, func() error {
		up, err := f.upload(u)
		if err != nil {
			return err
		}
		data, err := io.ReadAll(body)
		if err != nil {
			return &Error{Op: "put part", Key: u.Key, Kind: Temporary, Err: err}
		}
		// As with encryption at the store, each time a part is put it gets another ETag.
		f.serial++
		part = Part{N: p.N, Size: int64(len(data)), ETag: fmt.Sprint("part ", f.serial)}
		up.data[p.N], up.parts[p.N] = data, part
		return nil
	})
	return part, err
}

func (f *fake) Parts(ctx context.Context, u Upload) (list []Part, err error) {
	err = f.do(ctx, &call{op: "Parts", key: u.Key}, func() error {
		up, err := f.upload(u)
		if err != nil {
			return err
		}
		list = slices.SortedFunc(maps.Values(up.parts), func(a, b Part) int { return a.N - b.N })
		return nil
	})
	return list, err
}

func (f *fake) Complete(ctx context.Context, u Upload, parts []Part, o PutOptions) (obj Object, err error) {
	c := call{op: "Complete", key: u.Key}
	for _, p := range parts {
		c.etags = append(c.etags, p.ETag)
	}
	err = f.do(ctx, &c, func() error {
		up, err := f.upload(u)
		if err != nil {
			return err
		}
		if _, ok := f.objects[u.Key]; ok && o.IfAbsent {
			return &Error{Op: "complete", Key: u.Key, Kind: Exists}
		}
		var data []byte
		for i, p := range parts {
			if p.N != i || up.parts[i].ETag != p.ETag {
				return &Error{Op: "complete", Key: u.Key, Kind: BadPart, Err: fmt.Errorf("part %d", i)}
			}
			data = append(data, up.data[i]...)
		}
		delete(f.uploads, u.ID)
		obj = f.store(u.Key, data, o)
		return nil
	})
	return obj, err
}

func (f *fake) Abort(ctx context.Context, u Upload) error {
	return f.do(ctx, &call{op: "Abort", key: u.Key}, func() error {
		delete(f.uploads, u.ID)
		return nil
	})
}

func (f *fake) Uploads(ctx context.Context, prefix, token string) (list []UploadInfo, next string, err error) {
	err = f.do(ctx, &call{op: "Uploads", key: prefix}, func() error {
		for _, id := range slices.Sorted(maps.Keys(f.uploads)) {
			if id <= token || !strings.HasPrefix(f.uploads[id].Key, prefix) {
				continue
			}
			if len(list) == 1 {
				next = list[0].ID
				break
			}
			list = append(list, UploadInfo{Key: f.uploads[id].Key, ID: id})
		}
		return nil
	})
	return list, next, err
}

func (f *fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed++
	return nil
}

// open returns how many uploads were neither completed nor aborted.
func (f *fake) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.uploads)
}

// fail returns a before or after that fails the tries up to that one of the requests of that name.
func fail(op string, tries int, kind Kind) func(context.Context, call) error {
	return func(_ context.Context, c call) error {
		if c.op == op && c.try <= tries {
			return &Error{Kind: kind, Err: fmt.Errorf("scripted, try %d", c.try)}
		}
		return nil
	}
}

// random returns n bytes of a seed that it prints.
func random(t testing.TB, n int) []byte {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	p := make([]byte, n)
	_, err := rand.NewChaCha8(key).Read(p)
	require.NoError(t, err)
	return p
}

// streamOf is p without the methods of an io.ReaderAt.
func streamOf(p []byte) io.Reader { return struct{ io.Reader }{bytes.NewReader(p)} }

// requireIdle demands that nothing is held any more.
func requireIdle(t testing.TB, b *Bucket) {
	t.Helper()
	require.Zero(t, b.Pool().Used(), "bytes of the pool are still taken")
	b.limiter.mu.Lock()
	defer b.limiter.mu.Unlock()
	require.Zero(t, b.limiter.used, "turns of the limiter are still taken")
	require.Empty(t, b.limiter.waiting)
}

// block waits until the request's context ends, as one whose answer never comes.
func block(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}
