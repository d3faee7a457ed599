//go:build unix

package transfer

import "syscall"

func makeFifo(name string) error { return syscall.Mkfifo(name, 0o644) }
