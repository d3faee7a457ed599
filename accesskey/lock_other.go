//go:build !darwin && !dragonfly && !freebsd && !linux && !netbsd && !openbsd && !windows

package accesskey

// lockFile does nothing here: one process at a time may change the keys.
func lockFile(string) (unlock func(), err error) { return func() {}, nil }

// syncDir does nothing here.
func syncDir(string) error { return nil }
