//go:build linux || darwin

package filestore

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/tradewind-io/tradewind/internal/fdctl"
)

// lock takes f for this open file: alone, or with others that want it so. It does not wait: busy says that somebody has
// it otherwise.
func lock(f *os.File, alone bool) (busy bool, err error) {
	how := unix.LOCK_SH
	if alone {
		how = unix.LOCK_EX
	}
	err = fdctl.Control(f, func(fd int) error { return unix.Flock(fd, how|unix.LOCK_NB) })
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return true, nil
	case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
		return false, nil // a file system without locks
	}
	return false, err
}
