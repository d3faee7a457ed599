//go:build !linux

package main

import (
	"errors"
	"os"
	"syscall"
)

func congestion(string) func(network, address string, c syscall.RawConn) error {
	return func(string, string, syscall.RawConn) error { return errors.ErrUnsupported }
}

func allocated(info os.FileInfo) int64 { return info.Size() }
