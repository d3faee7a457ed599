package transfer

import (
	"context"
	"io"
	"os"
)

// NameLister is a Store that lists the names in a folder without looking at what they name, which takes far less time where a folder is large. *Dir is one.
type NameLister interface {
	// Names calls fn with the last element of each name in the folder at name, in no order; partial files are left out. base is only good until fn returns. It stops at fn's first
	// error and returns it.
	Names(ctx context.Context, name string, fn func(base []byte) error) error
}

// Names implements NameLister.
func (d *Dir) Names(ctx context.Context, name string, fn func(base []byte) error) error {
	return d.reading(name, func(_ *dirRef, f *os.File) error {
		return d.list(ctx, f, func(base []byte) error {
			if mayBePartial(base) && isPartial(string(base)) {
				return nil
			}
			return fn(base)
		})
	})
}

// reading gives fn the folder at name, and the folder as a file that lists what is in it.
func (d *Dir) reading(name string, fn func(r *dirRef, f *os.File) error) error {
	r, err := d.dirs.get(name)
	if err != nil {
		return err
	}
	defer d.dirs.put(r)
	f, err := r.root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return fn(r, f)
}

// lister calls fn with each name in the folder that f has open, in no order. base is only good until fn returns. It stops at fn's first error and returns it.
type lister = func(ctx context.Context, f *os.File, fn func(base []byte) error) error

// listPortable is the lister of package os.
func listPortable(ctx context.Context, f *os.File, fn func(base []byte) error) error {
	var base []byte
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		list, err := f.Readdirnames(4096) // in slices: a folder may hold millions
		for _, name := range list {
			base = append(base[:0], name...)
			if err := fn(base); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
