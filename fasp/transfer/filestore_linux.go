package transfer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const haveSyncfs = true

func sysInfo(fi fs.FileInfo, in *Info) {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		in.Atime = st.Atim.Nano()
		in.Ctime = st.Ctim.Nano()
		in.Dev, in.Ino = uint64(st.Dev), st.Ino
	}
}

// control runs fn on f's descriptor and repeats it while a signal interrupts it.
func control(f *os.File, fn func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var op error
	err = c.Control(func(fd uintptr) {
		for {
			if op = fn(int(fd)); op != unix.EINTR {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return op
}

func fdatasync(f *os.File) error { return control(f, unix.Fdatasync) }

// syncfs writes back the whole file system that f lies on; since Linux 5.8 it reports write errors.
func syncfs(f *os.File) error { return control(f, unix.Syncfs) }

// renameNew gives the file old the name name, both in the folder r, unless that is taken; then the error wraps
// fs.ErrExist.
func renameNew(r *os.Root, old, name string) error {
	f, err := r.Open(".")
	if err != nil {
		return linkNew(r, old, name) // a folder that may be written to but not read
	}
	defer f.Close()
	err = control(f, func(fd int) error { return unix.Renameat2(fd, old, fd, name, unix.RENAME_NOREPLACE) })
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP):
		return linkNew(r, old, name) // a file system that cannot do it
	}
	return fmt.Errorf("%s: %w", name, err)
}

func syncFolder(f *os.File) error { return f.Sync() }

// lockFile takes f for this open file alone, until it is closed.
func lockFile(f *os.File) error {
	err := control(f, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%s: %w", f.Name(), ErrBusy)
	}
	if errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil // a file system without locks
	}
	return err
}

func freeBytes(f *os.File) (n int64, err error) {
	var st unix.Statfs_t
	err = control(f, func(fd int) error { return unix.Fstatfs(fd, &st) })
	return int64(st.Bavail) * int64(st.Bsize), err // Bsize is an int32 on some
}
