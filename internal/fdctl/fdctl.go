//go:build linux || darwin

// Package fdctl makes system calls on open files.
package fdctl

import (
	"os"

	"golang.org/x/sys/unix"
)

// Control runs fn on f's descriptor, again while a signal interrupts it, and returns fn's error, or that of a closed f. The
// descriptor is valid while fn runs; calls for one f may run at a time.
func Control(f *os.File, fn func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var op error
	err = c.Control(func(fd uintptr) {
		for {
			if op = fn(int(fd)); op != unix.EINTR {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return op
}
