package admin

import (
	"fmt"
	"os"
	"path/filepath"
)

// nearby returns a short name of the socket in dir, good until done is called: names of sockets are short, those of folders need not be.
func nearby(dir string) (name string, done func(), err error) {
	if name = filepath.Join(dir, SocketName); len(name) <= maxSocketName {
		return name, func() {}, nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), SocketName), func() { f.Close() }, nil
}
