//go:build unix

package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

func columns(f *os.File) (int, bool) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, false
	}
	var size *unix.Winsize
	cerr := raw.Control(func(fd uintptr) { size, err = unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ) })
	if cerr != nil || err != nil {
		return 0, false
	}
	return int(size.Col), true
}
