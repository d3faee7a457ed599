package transfer

import (
	"errors"
	"os"
)

// NextData implements Holes.
func (s dirSource) NextData(off int64) (from, to int64, err error) { return nextData(s.File, off) }

// NextData implements Holes.
func (t *dirTarget) NextData(off int64) (from, to int64, err error) { return nextData(t.f, off) }

// allData is NextData of a file that has no holes.
func allData(f *os.File, off int64) (from, to int64, err error) {
	fi, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	return off, max(off, fi.Size()), nil
}

// Zero implements ZeroTarget.
func (t *dirTarget) Zero(off, n int64) error {
	fi, err := t.f.Stat()
	if err != nil {
		return err
	}
	if fi.Size() < off+n {
		// To set the size could cut off what another goroutine writes behind it meanwhile; a byte that is written cannot. It goes
		// with the hole before it reaches the disk.
		if _, err := t.f.WriteAt([]byte{0}, off+n-1); err != nil {
			return err
		}
	}
	err = punch(t.f, off, n)
	if fi.Size() <= off && errors.Is(err, errors.ErrUnsupported) {
		return nil // nothing was there, and what a file grows over reads as zeros
	}
	return err
}
