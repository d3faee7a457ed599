//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package state

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes the lock file at path for this caller alone, or returns ErrLocked. The lock ends with unlock, or with the process.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EINTR {
			break
		}
	}
	if err == unix.EWOULDBLOCK {
		err = fmt.Errorf("%w: a node, or a command that looks after it; wait for it, or stop it", ErrLocked)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// syncDir makes names in the folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
