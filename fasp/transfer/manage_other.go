//go:build !linux

package transfer

import (
	"errors"
	"io/fs"
	"syscall"
)

// rename gives old the name name. Without replace the error wraps fs.ErrExist if that is taken; what comes between the look
// and the renaming is replaced.
func (d *Dir) rename(old, name string, replace bool) error {
	if !replace {
		_, err := d.root.Lstat(name)
		switch {
		case err == nil:
			return &fs.PathError{Op: "rename", Path: name, Err: syscall.EEXIST}
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return d.root.Rename(old, name)
}
