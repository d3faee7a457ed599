//go:build linux || darwin

package filestore

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/tradewind-io/tradewind/internal/fdctl"
)

// getAttr reads an extended attribute of at most limit bytes.
func getAttr(f *os.File, name string, limit int) (b []byte, err error) {
	b = make([]byte, 1<<10)
	err = fdctl.Control(f, func(fd int) error {
		n, err := unix.Fgetxattr(fd, name, b)
		if errors.Is(err, unix.ERANGE) {
			b = make([]byte, limit)
			n, err = unix.Fgetxattr(fd, name, b)
		}
		b = b[:max(n, 0)]
		return err
	})
	return b, err
}

// putAttr sets an extended attribute. File systems without them keep none.
func putAttr(f *os.File, name string, b []byte) error {
	err := fdctl.Control(f, func(fd int) error { return unix.Fsetxattr(fd, name, b, 0) })
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}
