//go:build !linux

package transfer

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
)

// haveSyncfs is false where the batch cannot be synced as a whole: files are synced one by one.
const haveSyncfs = false

func sysInfo(fs.FileInfo, *Info) {}

func fdatasync(f *os.File) error { return f.Sync() }

func syncfs(*os.File) error { return nil }

func syncFolder(f *os.File) error {
	if runtime.GOOS == "windows" {
		return nil // Windows has no sync of a folder; its file systems log names themselves
	}
	return f.Sync()
}

// lockFile does nothing: on this system two transfers into the same file are not kept apart.
func lockFile(*os.File) error { return nil }

func freeBytes(*os.File) (int64, error) { return -1, nil }

// reserve does nothing: on this system a full disk shows when it is full.
func reserve(*os.File, int64) error { return nil }

// nextData finds no holes: they are not asked for on this system.
func nextData(f *os.File, off int64) (from, to int64, err error) { return allData(f, off) }

func punch(*os.File, int64, int64) error { return errors.ErrUnsupported }
