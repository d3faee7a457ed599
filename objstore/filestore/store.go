package filestore

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tradewind-io/tradewind/objstore"
)

// Config is how a Store writes. The zero Config is the good default.
type Config struct {
	// NoSync leaves it to the system when objects that were Put become durable. They are still never seen in part, unless
	// the machine itself fails. Uploads are always durable.
	NoSync bool
}

// Store is a Driver whose place is a folder.
type Store struct {
	root   *os.Root
	cfg    Config
	closed atomic.Bool
	parts  partLocks
}

// Open opens the folder dir, which must exist.
func Open(dir string, cfg Config) (*Store, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, failure("open folder", dir, err)
	}
	return New(root, cfg), nil
}

// New makes a Store of a folder that is open, and takes it over.
func New(root *os.Root, cfg Config) *Store { return &Store{root: root, cfg: cfg} }

// OpenURI is the objstore.Opener of file:///FOLDER/KEY. The place is the whole file system, or the drive; its own folder
// structure is the keys'.
func OpenURI(_ context.Context, u objstore.URI) (objstore.Driver, string, error) {
	const op = "open"
	if err := u.Unknown("none"); err != nil {
		return nil, "", &objstore.Error{Op: op, Kind: objstore.Invalid, Err: err}
	}
	if u.Host != "" && u.Host != "localhost" {
		return nil, "", &objstore.Error{Op: op, Kind: objstore.Invalid, Err: fmt.Errorf("file URIs name no host, and this one names %q", u.Host), Hint: "write file:///PATH"}
	}
	top, key := "/", u.Path
	if runtime.GOOS == "windows" { // file:///C:/folder
		drive, rest, _ := strings.Cut(u.Path, "/")
		top, key = drive+`\`, rest
		if filepath.VolumeName(top) == "" {
			return nil, "", &objstore.Error{Op: op, Kind: objstore.Invalid, Err: fmt.Errorf("%q names no drive", u.Path)}
		}
	}
	s, err := Open(top, Config{})
	if err != nil {
		return nil, "", err
	}
	return s, key, nil
}

// maxKey is what systems take of a path.
const maxKey = 4095

// Caps implements objstore.Driver.
func (s *Store) Caps() objstore.Caps {
	return objstore.Caps{
		MaxKey: maxKey, MaxParts: maxParts,
		Resume: true, IfAbsent: true, Copy: true, Attrs: true, ListAttr: true, Folders: true, Sorted: true, Local: true,
	}
}

// Close implements objstore.Driver. Readers that are open go on.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	return s.root.Close()
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

// Stat implements objstore.Driver.
func (s *Store) Stat(ctx context.Context, key string) (objstore.Object, error) {
	const op = "stat"
	if err := s.check(ctx, op, key); err != nil {
		return objstore.Object{}, err
	}
	if dir, ok := strings.CutSuffix(key, "/"); ok {
		return s.statFolder(op, key, dir)
	}
	f, o, err := s.open(op, key, "")
	if err != nil {
		return objstore.Object{}, err
	}
	return o, failure(op, key, f.Close())
}

func (s *Store) statFolder(op, key, dir string) (objstore.Object, error) {
	if !valid(dir) {
		return objstore.Object{}, fail(op, key, objstore.NotFound, nil)
	}
	fi, err := s.root.Stat(native(dir))
	if err == nil && !fi.IsDir() {
		return objstore.Object{}, fail(op, key, objstore.NotFound, nil)
	}
	if err != nil {
		return objstore.Object{}, failure(op, key, reading(err))
	}
	return markerOf(key, fi), nil
}

// open opens the object at key for reading, which must have the etag if that is not empty.
func (s *Store) open(op, key, etag string) (*os.File, objstore.Object, error) {
	if !valid(key) {
		return nil, objstore.Object{}, fail(op, key, objstore.NotFound, nil) // nothing can be there
	}
	// Looked at first: opening a pipe would wait for its other end.
	fi, err := s.root.Stat(native(key))
	if err == nil && !fi.Mode().IsRegular() {
		return nil, objstore.Object{}, fail(op, key, objstore.NotFound, nil)
	}
	if err != nil {
		return nil, objstore.Object{}, failure(op, key, reading(err))
	}
	f, err := s.root.Open(native(key))
	if err != nil {
		return nil, objstore.Object{}, failure(op, key, reading(err))
	}
	o, err := describe(key, f)
	if err == nil && etag != "" && o.ETag != etag {
		err = &objstore.Error{Kind: objstore.Changed}
	}
	if err != nil {
		f.Close()
		return nil, objstore.Object{}, failure(op, key, err)
	}
	return f, o, nil
}

// Read implements objstore.Driver.
func (s *Store) Read(ctx context.Context, key string, off, length int64, etag string) (io.ReadCloser, objstore.Object, error) {
	const op = "read"
	if err := s.check(ctx, op, key); err != nil {
		return nil, objstore.Object{}, err
	}
	f, o, err := s.open(op, key, etag)
	if err != nil {
		return nil, objstore.Object{}, err
	}
	if off < 0 || off >= o.Size {
		f.Close()
		return nil, objstore.Object{}, fail(op, key, objstore.Range, fmt.Errorf("offset %d of %d bytes", off, o.Size))
	}
	if rest := o.Size - off; length < 0 || length > rest {
		length = rest
	}
	return &reader{ctx: ctx, f: f, o: o, off: off, left: length}, o, nil
}

// reader reads a range of a file.
type reader struct {
	ctx  context.Context // of the call that opened it, as an HTTP body has it
	f    *os.File
	o    objstore.Object
	off  int64
	left int64
}

func (r *reader) Read(b []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	n, err := r.f.ReadAt(b[:min(int64(len(b)), r.left)], r.off)
	r.off += int64(n)
	r.left -= int64(n)
	switch {
	case err == io.EOF && r.left > 0:
		return n, fail("read", r.o.Key, objstore.Changed, fmt.Errorf("the file was cut off at %d of %d bytes", r.off, r.o.Size))
	case err == io.EOF:
		err = nil
	}
	if r.left == 0 && err == nil {
		// A file may be written to in place by others, unlike an object.
		now, derr := describe(r.o.Key, r.f)
		if derr != nil {
			return n, failure("read", r.o.Key, derr)
		}
		if !sameContent(&now, &r.o) {
			return n, fail("read", r.o.Key, objstore.Changed, nil)
		}
	}
	return n, failure("read", r.o.Key, err)
}

func (r *reader) Close() error { return r.f.Close() }

// Delete implements objstore.Driver.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	const op = "delete"
	var first error
	for _, key := range keys {
		if err := s.check(ctx, op, key); err != nil {
			return err
		}
		if err := s.remove(key); err != nil && first == nil {
			first = failure(op, key, err)
		}
	}
	if len(keys) == 0 {
		return s.check(ctx, op, "")
	}
	return first
}

// remove removes a file, or an empty folder if the key ends in "/".
func (s *Store) remove(key string) error {
	name, folder := strings.CutSuffix(key, "/")
	if !valid(name) {
		return nil // nothing can be there
	}
	fi, err := s.root.Lstat(native(name))
	if err == nil && fi.IsDir() == folder {
		err = s.root.Remove(native(name))
		if folder && isNotEmpty(err) {
			return nil // the marker of a folder with something in it is not there
		}
	}
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	s.prune(name)
	return nil
}

// prune removes the folders above name that are empty now.
func (s *Store) prune(name string) {
	for {
		i := strings.LastIndexByte(name, '/')
		if i < 0 {
			return
		}
		name = name[:i]
		// It fails where something is in it, and for one that is in use or may not be removed there is no harm done.
		if s.root.Remove(native(name)) != nil {
			return
		}
	}
}

// partLocks let one PutPart of a Store at a time work on each part.
type partLocks struct {
	mu    sync.Mutex // protects taken
	taken map[partID]chan struct{}
}

type partID struct {
	upload string
	n      int
}

// lock waits for the part and returns what releases it.
func (l *partLocks) lock(ctx context.Context, id partID) (func(), error) {
	for {
		l.mu.Lock()
		if l.taken == nil {
			l.taken = make(map[partID]chan struct{})
		}
		other := l.taken[id]
		if other == nil {
			mine := make(chan struct{})
			l.taken[id] = mine
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				delete(l.taken, id)
				l.mu.Unlock()
				close(mine)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
