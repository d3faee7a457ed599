package transfer

import (
	"context"
	"io"
	"os"
)

// NameLister is a Store that lists the names in a folder without looking at what they name, which takes far less time where a folder is large. *Dir is one.
type NameLister interface {
	// Names calls fn with the last element of each name in the folder at name, in no order; partial files are left out. It stops at fn's first error and returns it.
	Names(ctx context.Context, name string, fn func(base string) error) error
}

// Names implements NameLister.
func (d *Dir) Names(ctx context.Context, name string, fn func(base string) error) error {
	return d.reading(name, func(_ *dirRef, f *os.File) error {
		for {
			if err := ctx.Err(); err != nil {
				return err
			}
			list, err := f.Readdirnames(4096) // in slices: a folder may hold millions
			for _, base := range list {
				if isPartial(base) {
					continue
				}
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
