package main

import (
	"errors"
	"os"
	"syscall"
)

// congestion sets the congestion control of a socket.
func congestion(name string) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var op error
		err := c.Control(func(fd uintptr) {
			op = syscall.SetsockoptString(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CONGESTION, name)
		})
		return errors.Join(err, op)
	}
}

// allocated returns the bytes that a file really has: some programs write at offsets.
func allocated(info os.FileInfo) int64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Blocks * 512
	}
	return info.Size()
}
