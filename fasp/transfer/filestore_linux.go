package transfer

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tradewind-io/tradewind/internal/fdctl"
)

const haveSyncfs = true

func sysInfo(fi fs.FileInfo, in *Info) {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		in.Atime = st.Atim.Nano()
		in.Ctime = st.Ctim.Nano()
		in.Dev, in.Ino = uint64(st.Dev), st.Ino
		in.Sparse = sparse(in.Mode, st.Size, st.Blocks)
	}
}

func fdatasync(f *os.File) error { return fdctl.Control(f, unix.Fdatasync) }

// syncfs writes back the whole file system that f lies on; since Linux 5.8 it reports write errors.
func syncfs(f *os.File) error { return fdctl.Control(f, unix.Syncfs) }

func syncFolder(f *os.File) error { return f.Sync() }

// WriteRun implements GatherTarget.
func (t *dirTarget) WriteRun(bufs [][]byte, off int64) error {
	for len(bufs) > 0 {
		n := 0
		err := fdctl.Control(t.f, func(fd int) (err error) {
			n, err = unix.Pwritev(fd, bufs, off)
			return err
		})
		if err == nil && n == 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			return &fs.PathError{Op: "write", Path: t.f.Name(), Err: err}
		}
		off += int64(n)
		for len(bufs) > 0 && n >= len(bufs[0]) {
			n -= len(bufs[0])
			bufs = bufs[1:]
		}
		if n > 0 {
			bufs[0] = bufs[0][n:]
		}
	}
	return nil
}

// lockFile takes f for this open file alone, until it is closed.
func lockFile(f *os.File) error {
	err := fdctl.Control(f, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return busy(f)
	}
	if errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil // a file system without locks
	}
	return err
}

func freeBytes(f *os.File) (n int64, err error) {
	var st unix.Statfs_t
	err = fdctl.Control(f, func(fd int) error { return unix.Fstatfs(fd, &st) })
	return int64(st.Bavail) * int64(st.Bsize), err // Bsize is an int32 on some
}

// reserve takes blocks on the disk for the first size bytes of f, where they are not taken already, and leaves the size of f
// as it is. A file system that cannot is no error.
func reserve(f *os.File, size int64) error {
	err := fdctl.Control(f, func(fd int) error { return unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, size) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return os.NewSyscallError("fallocate", err)
}

// sparse says whether a file of size bytes has less than that in blocks, which are of 512 bytes whatever those of the disk are.
func sparse(mode fs.FileMode, size, blocks int64) bool {
	return mode.IsRegular() && blocks < (size+511)/512
}

// nextData finds the next stretch of f from off on that is no hole. A file system without holes has none.
func nextData(f *os.File, off int64) (from, to int64, err error) {
	err = fdctl.Control(f, func(fd int) (err error) {
		// Both move the file's own position, which nobody uses: reads and writes say where.
		if from, err = unix.Seek(fd, off, unix.SEEK_DATA); err == nil {
			to, err = unix.Seek(fd, from, unix.SEEK_HOLE)
		}
		return err
	})
	switch {
	case errors.Is(err, unix.ENXIO): // no data behind off, or, by a change meanwhile, behind from
		fi, err := f.Stat()
		if err != nil {
			return 0, 0, err
		}
		return max(off, fi.Size()), max(off, fi.Size()), nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
		return allData(f, off)
	}
	return from, to, os.NewSyscallError("lseek", err)
}

// punch makes a hole of n bytes of f at off; the size stays. The error matches errors.ErrUnsupported where there are no holes.
func punch(f *os.File, off, n int64) error {
	err := fdctl.Control(f, func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
	return os.NewSyscallError("fallocate", err)
}
