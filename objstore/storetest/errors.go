package storetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
)

func testErrors(s *suite) {
	ctx := s.Context()
	_, err := s.d.Stat(ctx, "no/such key")
	s.fails(err, objstore.NotFound, "no/such key")
	require.ErrorIs(s, err, objstore.ErrNotFound)
	_, _, err = s.d.Read(ctx, "no/such key", 0, -1, "")
	s.fails(err, objstore.NotFound, "no/such key")
	_, _, err = s.d.Read(ctx, "no/such key", 7, 10, `"etag"`)
	s.fails(err, objstore.NotFound, "no/such key")
}

// testCancelled calls everything with a context that has ended.
func testCancelled(s *suite) {
	s.put("key", []byte("x"))
	data := s.object(2)
	u := s.begin("upload", int64(len(data)))
	spec, size := u.Spec(0)
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	for name, call := range map[string]func() error{
		"Stat":   func() error { _, err := s.d.Stat(ctx, "key"); return err },
		"List":   func() error { _, err := s.d.List(ctx, objstore.ListOptions{}); return err },
		"Read":   func() error { _, _, err := s.d.Read(ctx, "key", 0, -1, ""); return err },
		"Put":    func() error { _, err := s.d.Put(ctx, "new", section([]byte("x")), objstore.PutOptions{}); return err },
		"Delete": func() error { return s.d.Delete(ctx, "key") },
		"Begin": func() error {
			_, err := s.d.Begin(ctx, objstore.Upload{Key: "b", Plan: u.Plan}, objstore.PutOptions{})
			return err
		},
		"PutPart":  func() error { _, err := s.d.PutPart(ctx, u, spec, section(data[:size])); return err },
		"Parts":    func() error { _, err := s.d.Parts(ctx, u); return err },
		"Complete": func() error { _, err := s.d.Complete(ctx, u, nil, objstore.PutOptions{}); return err },
		"Abort":    func() error { return s.d.Abort(ctx, u) },
		"Uploads":  func() error { _, _, err := s.d.Uploads(ctx, "", ""); return err },
	} {
		require.ErrorIs(s, call(), context.Canceled, name)
	}
	s.missing("new")
	s.holds("key", []byte("x"))
}

// cancelling is a body that cancels the call that reads it.
type cancelling struct {
	io.ReaderAt
	cancel context.CancelFunc
	at     int64 // the offset whose reading cancels
	done   atomic.Bool
}

func (c *cancelling) ReadAt(b []byte, off int64) (int, error) {
	if off+int64(len(b)) > c.at && c.done.CompareAndSwap(false, true) {
		c.cancel()
	}
	return c.ReaderAt.ReadAt(b, off)
}

// testCancelledInBody ends the context while a body is being read. Nothing of it may be seen, nor may the body be read
// once the call is over.
func testCancelledInBody(s *suite) {
	data := s.bytes(max(s.partSize(), s.caps.MinPart, 4<<20))
	size := int64(len(data))
	u := s.begin("upload", size)
	for name, call := range map[string]func(ctx context.Context, body *io.SectionReader) error{
		"Put": func(ctx context.Context, body *io.SectionReader) error {
			_, err := s.d.Put(ctx, "put", body, objstore.PutOptions{})
			return err
		},
		"PutPart": func(ctx context.Context, body *io.SectionReader) error {
			spec, n := u.Spec(0)
			_, err := s.d.PutPart(ctx, u, spec, io.NewSectionReader(body, 0, n))
			return err
		},
	} {
		ctx, cancel := context.WithCancel(s.Context())
		g := &guarded{ReaderAt: &cancelling{ReaderAt: bytes.NewReader(data), cancel: cancel}}
		err := call(ctx, io.NewSectionReader(g, 0, size))
		g.over.Store(true)
		cancel()
		require.ErrorIs(s, err, context.Canceled, name)
		s.missing("put")
		s.missing("upload")
		require.False(s, g.late.Load(), "%s: the body was read after the call", name)
	}
	s.putParts(u, data)
	s.complete(u)
	s.holds("upload", data)
}

// testParallel uses one Driver from many goroutines.
func testParallel(s *suite) {
	const workers, rounds = 8, 5
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				if errs[w] = s.use(fmt.Sprintf("w%d/%d", w, i)); errs[w] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(s, err)
	}
	require.Empty(s, s.list(objstore.ListOptions{}))
}

// use puts, reads and deletes an object.
func (s *suite) use(key string) error {
	data := bytes.Repeat([]byte(key), 1000)
	if _, err := s.d.Put(s.Context(), key, section(data), objstore.PutOptions{}); err != nil {
		return err
	}
	r, _, err := s.d.Read(s.Context(), key, 0, -1, "")
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if !bytes.Equal(data, got) {
		return fmt.Errorf("%q has other bytes", key)
	}
	if _, err := s.d.List(s.Context(), objstore.ListOptions{Prefix: key}); err != nil {
		return err
	}
	return s.d.Delete(s.Context(), key)
}

func testClose(s *suite) {
	s.put("key", []byte("x"))
	require.NoError(s, s.d.Close())
	require.NoError(s, s.d.Close(), "again")
}
