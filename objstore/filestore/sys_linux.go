package filestore

import (
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tradewind-io/tradewind/internal/fdctl"
)

// sysInfo returns the number of a file and when anything of it last changed.
func sysInfo(fi fs.FileInfo) (ino uint64, changed time.Time) {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Ino, time.Unix(st.Ctim.Unix())
	}
	return 0, fi.ModTime()
}

func fdatasync(f *os.File) error { return fdctl.Control(f, unix.Fdatasync) }
