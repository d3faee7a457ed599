package transfer

import (
	"context"
	"io"
	"sync"

	"github.com/tradewind-io/tradewind/objstore"
)

// bucketSource reads an object, which stays the same object for all its reads: an object that is replaced meanwhile is an
// error. Reads in order are served by reading ahead.
type bucketSource struct {
	ctx context.Context // of Open: io.ReaderAt has none
	b   *objstore.Bucket
	key string
	obj objstore.Object

	mu  sync.Mutex // protects the rest
	r   *objstore.Reader
	pos int64
}

// skipBytes is how far a reader skips what is not wanted rather than ask anew.
const skipBytes = 4 << 20

// Open implements Store. ctx holds for the Source, too.
func (s *BucketStore) Open(ctx context.Context, name string) (Source, error) {
	key := s.tree.Key(name)
	r, err := s.b.Open(ctx, key, objstore.ReadOptions{})
	if err != nil {
		return nil, err
	}
	return &bucketSource{ctx: ctx, b: s.b, key: key, obj: r.Object(), r: r}, nil
}

// Info implements Source. A store's object cannot change; that it was replaced shows in the reads.
func (s *bucketSource) Info() (Info, error) { return objectInfo(&s.obj), nil }

// ReadAt implements io.ReaderAt.
func (s *bucketSource) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if off >= s.obj.Size {
		return 0, io.EOF
	}
	if gap := off - s.pos; s.r != nil && gap > 0 && gap <= skipBytes {
		n, err := io.CopyN(io.Discard, s.r, gap)
		s.pos += n
		if err != nil {
			return 0, s.failed(err)
		}
	}
	if s.r == nil || s.pos != off {
		if err := s.drop(); err != nil {
			return 0, err
		}
		r, err := s.b.Open(s.ctx, s.key, objstore.ReadOptions{Offset: off, ETag: s.obj.ETag})
		if err != nil {
			return 0, err
		}
		s.r, s.pos = r, off
	}
	n, err := io.ReadFull(s.r, p[:min(int64(len(p)), s.obj.Size-off)])
	s.pos += int64(n)
	if err != nil {
		return n, s.failed(err)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// failed gives the reader up. s.mu is held.
func (s *bucketSource) failed(err error) error {
	_ = s.drop() // err says what happened
	return err
}

func (s *bucketSource) drop() error {
	if s.r == nil {
		return nil
	}
	r := s.r
	s.r = nil
	return r.Close()
}

// Close implements Source.
func (s *bucketSource) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drop()
}
