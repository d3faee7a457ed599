package s3

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"unicode"

	"github.com/tradewind-io/tradewind/objstore"
)

// call is one method call on its way: what it does, and what the transport saw of it. Its requests follow one another, so
// it needs no lock.
type call struct {
	d       *driver
	op, key string
	exists  bool  // a failed condition means that there is an object, not that it has changed
	body    *body // what is sent; nil = nothing large

	mayFailLate bool // an answer with status 200 may hold an error
	object      bool // the answer is the bytes of an object, which whoever reads them watches over

	sent    http.Header
	status  int // 0 = no answer
	answer  http.Header
	netErr  error // of the network
	credErr error // of getting credentials
}

type callKey struct{}

// call returns a call and the context that its requests must have.
func (d *driver) call(ctx context.Context, op, key string) (context.Context, *call) {
	c := &call{d: d, op: op, key: key}
	return context.WithValue(ctx, callKey{}, c), c
}

// body is what a request sends. A transport may go on reading after it has returned, for instance when the answer came
// early; end stops that, so that the caller has its bytes back.
type body struct {
	src *io.SectionReader

	mu    sync.Mutex // held while the source is read, so that end waits for it; protects the rest
	ended bool
	err   error // of the source
}

var errBodyEnded = errors.New("the call has ended")

// again returns a reader of all of it from the beginning.
func (b *body) again() io.ReadCloser { return &bodyReader{b: b} }

func (b *body) end() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	return b.err
}

// bodyReader must not be an io.Seeker: minio-go sends those again by itself.
type bodyReader struct {
	b   *body
	off int64
}

func (r *bodyReader) Read(p []byte) (int, error) {
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	if r.b.ended {
		return 0, errBodyEnded
	}
	n, err := r.b.src.ReadAt(p[:min(int64(len(p)), max(r.b.src.Size()-r.off, 0))], r.off)
	r.off += int64(n)
	switch {
	case r.off >= r.b.src.Size():
		return n, io.EOF
	case err != nil:
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // the source is shorter than it said
		}
		r.b.err = err
	}
	return n, err
}

func (r *bodyReader) Close() error { return nil }

// attach makes src the body of the call. The caller calls done when the request is over.
func (c *call) attach(src *io.SectionReader) (r io.Reader, done func() error) {
	c.body = &body{src: src}
	return c.body.again(), c.body.end
}

func checkKey(op, key string) error {
	if reason := badKey(key); reason != "" {
		return &objstore.Error{Op: op, Key: key, Kind: objstore.Invalid, Err: errors.New(reason)}
	}
	return nil
}

// checkNew is checkKey for a key that an object of size bytes, -1 for not known, is to have. It refuses what servers of the
// Profile take and then keep under another key, where it would replace what is there, or cannot list.
func (d *driver) checkNew(op, key string, size int64) error {
	if err := checkKey(op, key); err != nil {
		return err
	}
	refuse := func(reason string) error {
		return &objstore.Error{Op: op, Key: key, Kind: objstore.Invalid, Err: errors.New(reason), Hint: "some stores of this kind (profile " + d.cfg.Profile.String() + ") do not keep such keys as they are"}
	}
	if d.cfg.Profile == AWS {
		return nil
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "." || part == ".." {
			return refuse("the key has a part that is . or ..")
		}
	}
	if size != 0 && strings.HasSuffix(key, "/") && (d.cfg.Profile == Generic || d.cfg.Profile == MinIO) {
		return refuse("a key that ends in / marks a folder and holds no bytes")
	}
	if d.cfg.Profile == Generic {
		if strings.Contains(key, "//") {
			return refuse("the key has an empty part")
		}
		if strings.ContainsFunc(key, unicode.IsControl) {
			return refuse("the key has control characters")
		}
	}
	return nil
}
