package objstore

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

var errRevoked = errors.New("the body was taken back: its request has ended")

// revocable is a body that can be taken back. A transport may read from a body for a moment after its request has ended,
// when the memory below it may hold something else already; after revoke it gets an error instead. It also keeps the
// error of the source, so that this is not taken for one of the store.
type revocable struct {
	src io.ReaderAt

	mu      sync.Mutex // protects the rest
	active  int        // ReadAt calls under way
	revoked bool
	idle    chan struct{} // made by a revoke that has to wait; closed when active is 0
	err     error         // first of the source
}

// ReadAt reads from the source; a p that goes beyond its end is an error.
func (r *revocable) ReadAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	if r.revoked {
		r.mu.Unlock()
		return 0, errRevoked
	}
	r.active++
	r.mu.Unlock()

	n, err := r.src.ReadAt(p, off)

	r.mu.Lock()
	defer r.mu.Unlock()
	r.active--
	if r.active == 0 && r.idle != nil {
		close(r.idle)
		r.idle = nil
	}
	if n == len(p) {
		return n, nil
	}
	// Only as much is asked for as there should be.
	if err == nil || err == io.EOF {
		err = fmt.Errorf("the source ends early, at byte %d: %w", off+int64(n), io.ErrUnexpectedEOF)
	}
	if r.err == nil {
		r.err = err
	}
	return n, err
}

// revoke makes later ReadAt calls fail, and returns the first error of the source when those under way have ended.
func (r *revocable) revoke() error {
	r.mu.Lock()
	r.revoked = true
	var idle chan struct{}
	if r.active > 0 {
		if r.idle == nil {
			r.idle = make(chan struct{})
		}
		idle = r.idle
	}
	r.mu.Unlock()
	if idle != nil {
		<-idle
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// lend runs one request with body, of size bytes, and takes the body back when it has ended. An error of the source takes
// the place of the request's: trying again would not help.
func lend(op, key string, body io.ReaderAt, size int64, request func(*io.SectionReader) error) error {
	r := &revocable{src: body}
	err := request(io.NewSectionReader(r, 0, size))
	if cause := r.revoke(); cause != nil {
		return &Error{Op: op, Key: key, Err: fmt.Errorf("read the source: %w", cause)}
	}
	return err
}
