package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/tradewind-io/tradewind/objstore"
)

// BucketStore is a PartStore in an object store: the objects below a prefix of a bucket, shown as files and folders. Files
// of more than one part are uploaded part by part while others still arrive; smaller ones are put whole. Nothing touches a
// disk. Methods may be called by several goroutines at once.
type BucketStore struct {
	tree    *objstore.Tree
	closing func() error
	*bucketShared
}

// bucketShared is what a BucketStore and those of its folders have together.
type bucketShared struct {
	b       *objstore.Bucket
	ahead   int64
	small   *semaphore.Weighted // bytes of files that Put has taken and that are not published
	buffers sync.Map            // block size -> *sync.Pool of *[]byte

	mu   sync.Mutex          // protects open
	open map[string]struct{} // keys
}

// smallBytes bounds the memory of small files that wait for the store, beside that of parts; each counts smallCost more.
const (
	smallBytes = 32 << 20
	smallCost  = 4 << 10
)

// NewBucketStore returns the store below the folder at prefix, "" for all of the bucket. Sessions with it must not grant more extents from the start
// than ahead bytes stand for (PartLimits.Ahead); 0 means InitialBytes. Close calls closing, which may be nil.
func NewBucketStore(b *objstore.Bucket, prefix string, ahead int64, closing func() error) *BucketStore {
	if ahead == 0 {
		ahead = InitialBytes
	}
	return &BucketStore{
		tree: objstore.NewTree(b, prefix), closing: closing,
		bucketShared: &bucketShared{b: b, ahead: ahead, small: semaphore.NewWeighted(smallBytes), open: make(map[string]struct{})},
	}
}

// Folder implements Manager.
func (s *BucketStore) Folder(ctx context.Context, name string) (Manager, error) {
	name, err := cleanPath(name)
	if err != nil {
		return nil, err
	}
	if name != "." {
		in, err := s.Stat(ctx, name, false)
		if err != nil {
			return nil, err
		}
		if !in.Mode.IsDir() {
			return nil, failf(CodeNotDir, name, "it is no folder")
		}
	}
	return &BucketStore{tree: objstore.NewTree(s.b, s.tree.Key(name)), bucketShared: s.bucketShared}, nil
}

// Tree returns the folders and files, for what a transfer does not do.
func (s *BucketStore) Tree() *objstore.Tree { return s.tree }

// Parts implements PartStore.
func (s *BucketStore) Parts() PartLimits {
	return PartLimits{Caps: s.b.Caps(), Want: s.b.PartSize(), Pool: s.b.Pool(), Ahead: s.ahead}
}

// Parallel implements PartStore.
func (s *BucketStore) Parallel() int {
	if s.b.Caps().Local {
		return 4
	}
	return 32
}

// Close implements Store.
func (s *BucketStore) Close() error {
	if s.closing == nil {
		return nil
	}
	return s.closing()
}

// objectInfo describes an object as a file.
func objectInfo(o *objstore.Object) Info {
	in := Info{Name: o.Key[strings.LastIndexByte(o.Key, '/')+1:], Mode: 0o644, Size: o.Size, Ctime: nanos(o.Modified), ETag: o.ETag, Class: o.Class}
	in.Mtime = nanos(o.Mtime())
	if o.Folder {
		in.Mode, in.Size = fs.ModeDir|0o755, 0
	}
	return in
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// Stat implements Store.
func (s *BucketStore) Stat(ctx context.Context, name string, _ bool) (Info, error) {
	o, err := s.tree.Stat(ctx, name)
	if err != nil {
		return Info{}, err
	}
	return objectInfo(&o), nil
}

// ReadDir implements Store. Times of the sources are not in the listings of most stores: each object is asked for them.
func (s *BucketStore) ReadDir(ctx context.Context, name string, fn func(Info) error) error {
	var odd error
	for token := ""; ; {
		p, err := s.tree.ReadDir(ctx, name, token, 0)
		if err != nil {
			return err
		}
		if err := s.attributes(ctx, p.Objects); err != nil {
			return err
		}
		for i := range p.Objects {
			in := objectInfo(&p.Objects[i])
			switch {
			case in.Name == "" || in.Name == "." || in.Name == "..":
				// Others in the folder are no worse for it.
				odd = failf(CodeBadPath, p.Objects[i].Key, "keys below it have elements that no file can have: empty, . or ..")
				continue
			case p.Objects[i].Size < 0:
				continue // gone since it was listed
			}
			if err := fn(in); err != nil {
				return err
			}
		}
		if p.Next == "" {
			return odd
		}
		token = p.Next
	}
}

// attributes fills in what the listing does not say. What has gone gets a size of -1.
func (s *BucketStore) attributes(ctx context.Context, list []objstore.Object) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(s.Parallel())
	for i := range list {
		o := &list[i]
		if o.Folder || o.HasAttr || !s.b.Caps().Attrs {
			continue
		}
		g.Go(func() error {
			full, err := s.b.Stat(ctx, s.tree.Key(o.Key))
			switch {
			case errors.Is(err, objstore.ErrNotFound):
				o.Size = -1
				return nil
			case err != nil:
				return err
			}
			full.Key = o.Key
			*o = full
			return nil
		})
	}
	return g.Wait()
}

// Readlink implements Store: there are no links.
func (s *BucketStore) Readlink(_ context.Context, name string) (string, error) {
	return "", &fs.PathError{Op: "readlink", Path: name, Err: syscall.EINVAL}
}

// Symlink implements Store: object stores have none.
func (s *BucketStore) Symlink(_ context.Context, _, name string, _ bool) error {
	return failf(CodeNotRegular, name, "object stores hold no symbolic links")
}

// Mkdir implements Store.
func (s *BucketStore) Mkdir(ctx context.Context, name string) error {
	err := s.tree.Mkdir(ctx, name, objstore.Attr{})
	if objstore.KindOf(err) == objstore.Exists {
		return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR}
	}
	return err
}

// objectAttr is what is kept of a.
func objectAttr(a Attr) objstore.Attr {
	var o objstore.Attr
	if a.Mtime != 0 {
		o.Mtime = time.Unix(0, a.Mtime)
	}
	return o
}

// SetAttr implements Store. An object is copied onto itself.
func (s *BucketStore) SetAttr(ctx context.Context, name string, a Attr) error {
	if a.Mtime == 0 {
		return nil
	}
	o, err := s.tree.Stat(ctx, name)
	switch {
	case err != nil:
		return err
	case o.Folder:
		return s.tree.Mark(ctx, name, objectAttr(a))
	case o.HasAttr && o.Attr.Mtime.UnixNano() == a.Mtime || !s.b.Caps().Attrs:
		return nil
	}
	attr := o.Attr
	attr.Mtime = time.Unix(0, a.Mtime)
	return s.b.SetAttr(ctx, s.tree.Key(name), o.ETag, attr)
}

// HasPartial implements Store.
func (s *BucketStore) HasPartial(ctx context.Context, name string) (bool, error) {
	key := s.tree.Key(name)
	if key == "" || !s.b.Caps().Resume {
		return false, nil
	}
	_, err := s.b.Stat(ctx, key+objstore.UploadSuffix)
	if errors.Is(err, objstore.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Flush implements Store: what a store has confirmed is durable.
func (s *BucketStore) Flush(context.Context) error { return nil }

// Free implements Store.
func (s *BucketStore) Free(context.Context) (int64, error) { return -1, nil }

// Put implements Store. The object is put when it is published.
func (s *BucketStore) Put(ctx context.Context, name, _ string, data []byte, a Attr, _ Sync) (Sealed, error) {
	cost := int64(len(data)) + smallCost
	if err := s.small.Acquire(ctx, cost); err != nil {
		return nil, err
	}
	p := &smallObject{s: s, key: s.tree.Key(name), attr: objectAttr(a), data: bytes.Clone(data), cost: cost}
	return p, nil
}

// smallObject is a whole small file in memory.
type smallObject struct {
	s    *BucketStore
	key  string
	attr objstore.Attr
	data []byte
	cost int64 // 0 once it is given back
}

// Publish implements Sealed.
func (p *smallObject) Publish(ctx context.Context, _ Sync, replace bool) error {
	o := objstore.PutOptions{Attr: p.attr, IfAbsent: !replace}
	if _, err := p.s.b.Put(ctx, p.key, bytes.NewReader(p.data), int64(len(p.data)), o); err != nil {
		return err
	}
	return p.Discard(ctx)
}

// Discard implements Sealed.
func (p *smallObject) Discard(context.Context) error {
	p.s.small.Release(p.cost)
	p.cost, p.data = 0, nil
	return nil
}

// buffer returns a buffer of n bytes, the size of blocks.
func (s *BucketStore) buffer(n int) *[]byte {
	p, ok := s.buffers.Load(n)
	if !ok {
		p, _ = s.buffers.LoadOrStore(n, &sync.Pool{New: func() any { b := make([]byte, n); return &b }})
	}
	return p.(*sync.Pool).Get().(*[]byte)
}

func (s *BucketStore) recycle(b *[]byte) {
	if p, ok := s.buffers.Load(cap(*b)); ok {
		p.(*sync.Pool).Put(b)
	}
}

// claim keeps two Targets of this process from the same name.
func (s *BucketStore) claim(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := s.tree.Key(name)
	if _, taken := s.open[key]; taken {
		return fmt.Errorf("%s: %w", name, ErrBusy)
	}
	s.open[key] = struct{}{}
	return nil
}

func (s *BucketStore) unclaim(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, s.tree.Key(name))
}
