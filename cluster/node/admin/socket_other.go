//go:build !linux

package admin

import (
	"fmt"
	"path/filepath"
)

// nearby returns the name of the socket in dir.
func nearby(dir string) (name string, done func(), err error) {
	if name = filepath.Join(dir, SocketName); len(name) > maxSocketName {
		return "", nil, fmt.Errorf("%s is longer than the %d bytes that the name of a socket can have; choose a shorter state folder", name, maxSocketName)
	}
	return name, func() {}, nil
}
