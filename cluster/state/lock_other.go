//go:build !darwin && !dragonfly && !freebsd && !linux && !netbsd && !openbsd && !windows

package state

import "errors"

// lockFile fails here: without a lock two processes could share a store.
func lockFile(string) (unlock func(), err error) {
	return nil, errors.New("this system has no file locks that the state store knows")
}

// syncDir does nothing here.
func syncDir(string) error { return nil }
