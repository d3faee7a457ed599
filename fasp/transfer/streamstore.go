package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
)

// NewStreamStore returns a Store with one file, name, that is read from r once and in order: standard input, a pipe, the
// body of a request. Nothing can be written to it. A session that is lost cannot send it again, and says so.
func NewStreamStore(r io.Reader, name string) Store { return &streamStore{r: r, name: name} }

type streamStore struct {
	r    io.Reader
	name string

	mu     sync.Mutex // protects opened
	opened bool
}

var errReadOnce = errors.New("it was read once and cannot be read again: send it from its beginning in a new run")

// Stat implements Store.
func (s *streamStore) Stat(_ context.Context, name string, _ bool) (Info, error) {
	switch name {
	case s.name:
		return Info{Name: s.name, Mode: 0o644, Size: -1}, nil
	case ".":
		return Info{Name: ".", Mode: fs.ModeDir | 0o755}, nil
	}
	return Info{}, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

// ReadDir implements Store.
func (s *streamStore) ReadDir(ctx context.Context, name string, fn func(Info) error) error {
	if name != "." {
		return &fs.PathError{Op: "read folder", Path: name, Err: fs.ErrNotExist}
	}
	in, err := s.Stat(ctx, s.name, false)
	if err != nil {
		return err
	}
	return fn(in)
}

// Open implements Store.
func (s *streamStore) Open(_ context.Context, name string) (Source, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case name != s.name:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case s.opened:
		return nil, errReadOnce
	}
	s.opened = true
	return &streamSource{s: s}, nil
}

// streamSource reads the stream.
type streamSource struct {
	s *streamStore

	mu  sync.Mutex // protects pos
	pos int64
}

// ReadAt implements Source for offsets in order.
func (r *streamSource) ReadAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if off != r.pos {
		return 0, fmt.Errorf("%s: %w", r.s.name, errReadOnce)
	}
	n, err := io.ReadFull(r.s.r, p)
	r.pos += int64(n)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// Info implements Source.
func (r *streamSource) Info() (Info, error) { return Info{Name: r.s.name, Mode: 0o644, Size: -1}, nil }

// Close implements Source. The stream is its owner's.
func (r *streamSource) Close() error { return nil }

func (s *streamStore) refuse(name string) error {
	return failf(CodeReadOnlyFS, name, "a stream cannot be written to")
}

// Readlink implements Store.
func (s *streamStore) Readlink(_ context.Context, name string) (string, error) {
	return "", s.refuse(name)
}

// Mkdir implements Store.
func (s *streamStore) Mkdir(_ context.Context, name string) error { return s.refuse(name) }

// Symlink implements Store.
func (s *streamStore) Symlink(_ context.Context, _, name string, _ bool) error { return s.refuse(name) }

// SetAttr implements Store.
func (s *streamStore) SetAttr(_ context.Context, name string, _ Attr) error { return s.refuse(name) }

// Put implements Store.
func (s *streamStore) Put(_ context.Context, name, _ string, _ []byte, _ Attr, _ Sync) (Sealed, error) {
	return nil, s.refuse(name)
}

// Create implements Store.
func (s *streamStore) Create(_ context.Context, name string, _ Attr) (Target, error) {
	return nil, s.refuse(name)
}

// HasPartial implements Store.
func (s *streamStore) HasPartial(context.Context, string) (bool, error) { return false, nil }

// Flush implements Store.
func (s *streamStore) Flush(context.Context) error { return nil }

// Free implements Store.
func (s *streamStore) Free(context.Context) (int64, error) { return -1, nil }

// Close implements Store.
func (s *streamStore) Close() error { return nil }
