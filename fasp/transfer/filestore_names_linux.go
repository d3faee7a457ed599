package transfer

import (
	"context"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/tradewind-io/tradewind/internal/fdctl"
)

// listNames is the lister of this system.
func listNames(ctx context.Context, f *os.File, fn func(base []byte) error) error {
	return readAlone.list(ctx, f, fn)
}

// direntLister lists folders. Nearly all the time of a large one goes to the system, which reads for one reader on one processor; so two read half of it each where that can be done (halves).
type direntLister struct {
	bufs  *sync.Pool // of *[]byte
	alone int        // buffers that one reader fills before it is two
}

// readAlone has buffers of 128 KiB, some thousand names. With the 8 KiB of package os, which also makes a string of each name, a folder of a million took half as long again. What one reader reads alone takes some milliseconds.
var readAlone = direntLister{bufs: &sync.Pool{New: func() any { b := make([]byte, 128<<10); return &b }}, alone: 8}

func (x direntLister) list(ctx context.Context, f *os.File, fn func(base []byte) error) error {
	r := namesReader{f: f}
	buf := x.bufs.Get().(*[]byte)
	defer x.bufs.Put(buf)
	for n := 0; ; n++ {
		if n == x.alone {
			other, err := r.halves()
			if err != nil {
				return err
			}
			if other != nil {
				defer other.f.Close()
				return x.both(ctx, &r, other, fn)
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		part, err := r.read(*buf)
		if err == nil && len(part) > 0 {
			err = fdctl.EachName(part, fn)
		}
		if err != nil || len(part) == 0 {
			return err
		}
	}
}

// both lets two readers read beside each other. Calls of fn do not overlap.
func (x direntLister) both(ctx context.Context, one, two *namesReader, fn func(base []byte) error) error {
	type filled struct {
		buf  *[]byte
		part []byte // of it
	}
	g, ctx := errgroup.WithContext(ctx)
	full := make(chan filled, 2)
	var reading sync.WaitGroup
	for _, r := range []*namesReader{one, two} {
		reading.Add(1)
		g.Go(func() error {
			defer reading.Done()
			for {
				buf := x.bufs.Get().(*[]byte)
				part, err := r.read(*buf)
				if err != nil || len(part) == 0 {
					x.bufs.Put(buf)
					return err
				}
				select {
				case full <- filled{buf, part}:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
		})
	}
	g.Go(func() error {
		for b := range full {
			err := fdctl.EachName(b.part, fn)
			x.bufs.Put(b.buf)
			if err != nil {
				return err
			}
		}
		return nil
	})
	reading.Wait()
	close(full)
	return g.Wait()
}

// namesReader reads the entries of a folder from one position on up to another.
type namesReader struct {
	f     *os.File
	at    int64 // position of the next entry
	limit int64 // of the first entry that is not for this reader; 0 is none
}

// read reads some entries into buf, for fdctl.EachName; none is the end.
func (r *namesReader) read(buf []byte) ([]byte, error) {
	if r.limit > 0 && r.at >= r.limit {
		return nil, nil
	}
	n, err := fdctl.ReadDirents(r.f, buf)
	part := buf[:n]
	if err == nil {
		part, r.at, err = fdctl.Before(part, r.at, r.limit)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "readdirent", Path: r.f.Name(), Err: err}
	}
	return part, nil
}
