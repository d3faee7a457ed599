package transfer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
)

// ReadDir implements Store.
func (d *Dir) ReadDir(ctx context.Context, name string, fn func(Info) error) error {
	return d.reading(name, func(r *dirRef, f *os.File) error {
		l := looker{dir: r, fn: fn}
		err := d.list(ctx, f, func(base []byte) error {
			if l.names = append(l.names, string(base)); len(l.names) < lookBatch {
				return nil
			}
			return l.flush(ctx)
		})
		if ferr := l.flush(ctx); err == nil { // what was listed before an error still is
			err = ferr
		}
		return err
	})
}

const (
	lookBatch = 1024 // names of a folder, which may hold millions
	lookRun   = 64   // names that a goroutine takes at a time
	lookAlone = 256  // up to so many are not worth a second goroutine
)

// looker describes names in a folder, a batch at a time and with two goroutines: to look at each takes most of the time of a large folder.
type looker struct {
	dir   *dirRef
	fn    func(Info) error
	names []string
	found []looked
}

type looked struct {
	in  Info
	err error
}

// flush calls fn for each name that waits. None waits afterwards, also after an error.
func (l *looker) flush(ctx context.Context) error {
	defer func() { l.names = l.names[:0] }()
	if len(l.names) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	l.found = slices.Grow(l.found[:0], len(l.names))[:len(l.names)]
	var next atomic.Int64
	look := func() {
		for {
			from := int(next.Add(lookRun)) - lookRun
			for i := from; i < min(from+lookRun, len(l.names)); i++ {
				l.found[i].in, l.found[i].err = l.dir.lstat(l.names[i])
			}
			if from+lookRun >= len(l.names) {
				return
			}
		}
	}
	var second sync.WaitGroup
	if len(l.names) > lookAlone {
		second.Go(look)
	}
	look()
	second.Wait()
	for i := range l.found {
		switch f := &l.found[i]; {
		case errors.Is(f.err, fs.ErrNotExist): // gone since it was listed
		case f.err != nil:
			return f.err
		default:
			if err := l.fn(f.in); err != nil {
				return err
			}
		}
	}
	return nil
}
