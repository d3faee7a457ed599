//go:build !linux

package filestore

import (
	"io/fs"
	"os"
	"time"
)

// sysInfo returns the number of a file and when anything of it last changed; here all that is known is when it was
// written.
func sysInfo(fi fs.FileInfo) (ino uint64, changed time.Time) { return 0, fi.ModTime() }

func fdatasync(f *os.File) error { return f.Sync() }
