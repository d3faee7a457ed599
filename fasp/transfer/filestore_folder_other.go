//go:build !linux

package transfer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// folderHandle is nothing here: names are looked up by os.Root.
type folderHandle struct{}

func openFolder(*os.Root) (folderHandle, error) { return folderHandle{}, nil }

func (folderHandle) close() error { return nil }

// stamp tells a file apart from others, and from itself before a change.
type stamp struct{ fi fs.FileInfo }

func (s stamp) same(o stamp) bool {
	return os.SameFile(s.fi, o.fi) && s.fi.Size() == o.fi.Size() && s.fi.ModTime().Equal(o.fi.ModTime())
}

func (s stamp) device() uint64 { return infoOf(s.fi).Dev }

// lstat describes what is at base.
func (r *dirRef) lstat(base string) (Info, error) {
	fi, err := r.root.Lstat(base)
	if err != nil {
		return Info{}, err
	}
	in := infoOf(fi)
	in.Name = base
	return in, nil
}

// stamp describes what is at base.
func (r *dirRef) stamp(base string) (stamp, error) {
	fi, err := r.root.Lstat(base)
	return stamp{fi}, err
}

// open opens the file at base for reading.
func (r *dirRef) open(base string) (*os.File, error) { return r.root.Open(base) }

// writeNew makes a file that holds data at base, where nothing is, and gives it its attributes. durable says whether it is to be
// synced on a device. After an error nothing stays.
func (r *dirRef) writeNew(base string, data []byte, a Attr, durable func(dev uint64) bool) (s stamp, err error) {
	f, err := r.root.OpenFile(base, os.O_WRONLY|os.O_CREATE|os.O_EXCL, createMode(a))
	if err != nil {
		return s, err
	}
	var made fs.FileInfo
	_, err = f.Write(data)
	if err == nil {
		made, err = f.Stat()
	}
	if err == nil && durable(infoOf(made).Dev) {
		err = fdatasync(f)
	}
	if err == nil {
		err = setAttr(r.root, base, a, made.Mode().Perm())
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		// Now, not before it was closed: some file systems settle times only then.
		s, err = r.stamp(base)
	}
	if err == nil && (!os.SameFile(made, s.fi) || s.fi.Size() != int64(len(data))) {
		return s, fmt.Errorf("%s: %w", base, ErrBusy) // it is somebody else's
	}
	if err != nil {
		return s, errors.Join(err, r.root.Remove(base))
	}
	return s, nil
}

// rename gives the file old the name base. Without replace the error wraps fs.ErrExist if that is taken.
func (r *dirRef) rename(old, base string, replace bool) error {
	if replace {
		return r.root.Rename(old, base)
	}
	return linkNew(r.root, old, base)
}
