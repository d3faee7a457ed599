package transfer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/tradewind-io/tradewind/internal/fdctl"
)

// A name of one element in a folder that is held open takes one system call which follows no link, so that there is no way out of
// the folder. os.Root does the same in steps, and makes an os.File of what it opens: for many small files that was a third of
// the time (docs/decisions/0011-small-files.md).

// folderHandle is a folder as the place to look up names in. It needs no right to read it.
type folderHandle struct {
	f  *os.File
	fd int // valid until f is closed, which dirCache does when nobody uses the folder
}

func openFolder(r *os.Root) (folderHandle, error) {
	f, err := r.OpenFile(".", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return folderHandle{}, err
	}
	h := folderHandle{f: f}
	err = fdctl.Control(f, func(fd int) error { h.fd = fd; return nil })
	if err != nil {
		return folderHandle{}, errors.Join(err, f.Close())
	}
	return h, nil
}

func (h folderHandle) close() error { return h.f.Close() }

// stamp tells a file apart from others, and from itself before a change.
type stamp struct {
	dev, ino           uint64
	size, mtime, ctime int64
}

func (s stamp) same(o stamp) bool { return s == o }
func (s stamp) device() uint64    { return s.dev }

func stampOfStat(st *unix.Stat_t) stamp {
	return stamp{dev: uint64(st.Dev), ino: st.Ino, size: st.Size, mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano()}
}

// again calls fn until no signal interrupts it.
func again(fn func() error) error {
	for {
		if err := fn(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func lstatAt(dir int, base string, st *unix.Stat_t) error {
	err := again(func() error { return unix.Fstatat(dir, base, st, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		return &fs.PathError{Op: "lstat", Path: base, Err: err}
	}
	return nil
}

// lstat describes what is at base.
func (r *dirRef) lstat(base string) (Info, error) {
	var st unix.Stat_t
	if err := lstatAt(r.handle.fd, base, &st); err != nil {
		return Info{}, err
	}
	return infoOfStat(base, &st), nil
}

func infoOfStat(base string, st *unix.Stat_t) Info {
	return Info{
		Name: base, Mode: modeOf(st.Mode), Size: st.Size, Mtime: st.Mtim.Nano(), Atime: st.Atim.Nano(), Ctime: st.Ctim.Nano(),
		Dev: uint64(st.Dev), Ino: st.Ino, Sparse: sparse(modeOf(st.Mode), st.Size, st.Blocks),
	}
}

func modeOf(m uint32) fs.FileMode {
	mode := fs.FileMode(m & 0o777)
	switch m & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	case unix.S_IFIFO:
		mode |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		mode |= fs.ModeSocket
	case unix.S_IFCHR:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFBLK:
		mode |= fs.ModeDevice
	default:
		mode |= fs.ModeIrregular
	}
	if m&unix.S_ISUID != 0 {
		mode |= fs.ModeSetuid
	}
	if m&unix.S_ISGID != 0 {
		mode |= fs.ModeSetgid
	}
	if m&unix.S_ISVTX != 0 {
		mode |= fs.ModeSticky
	}
	return mode
}

// stamp describes what is at base.
func (r *dirRef) stamp(base string) (stamp, error) {
	var st unix.Stat_t
	err := lstatAt(r.handle.fd, base, &st)
	return stampOfStat(&st), err
}

// open opens the file at base for reading. One that is a link is opened by os.Root.
func (r *dirRef) open(base string) (*os.File, error) {
	fd := -1
	err := again(func() (err error) {
		fd, err = unix.Openat(r.handle.fd, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	switch {
	case errors.Is(err, unix.ELOOP):
		return r.root.Open(base)
	case err != nil:
		return nil, &fs.PathError{Op: "open", Path: base, Err: err}
	}
	return os.NewFile(uintptr(fd), base), nil
}

// writeNew makes a file that holds data at base, where nothing is, and gives it its attributes. durable says whether it is to be
// synced on a device. After an error nothing stays.
func (r *dirRef) writeNew(base string, data []byte, a Attr, durable func(dev uint64) bool) (s stamp, err error) {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd := -1
	err = again(func() (err error) {
		fd, err = unix.Openat(r.handle.fd, base, flags, uint32(createMode(a)))
		return err
	})
	if err != nil {
		return s, &fs.PathError{Op: "open", Path: base, Err: err}
	}
	made, err := r.fill(fd, base, data, a, durable)
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	if err == nil {
		// Now, not before it was closed: some file systems settle times only then.
		s, err = r.stamp(base)
	}
	if err == nil && (s.dev != made.dev || s.ino != made.ino || s.size != int64(len(data))) {
		return s, fmt.Errorf("%s: %w", base, ErrBusy) // it is somebody else's
	}
	if err != nil {
		_ = unix.Unlinkat(r.handle.fd, base, 0)
		return s, &fs.PathError{Op: "write", Path: base, Err: err}
	}
	return s, nil
}

func (r *dirRef) fill(fd int, base string, data []byte, a Attr, durable func(uint64) bool) (s stamp, err error) {
	for rest := data; len(rest) > 0; {
		n := 0
		err := again(func() (err error) {
			n, err = unix.Write(fd, rest)
			return err
		})
		if err != nil {
			return s, err
		}
		rest = rest[n:]
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return s, err
	}
	s = stampOfStat(&st)
	if durable(s.dev) {
		if err := again(func() error { return unix.Fdatasync(fd) }); err != nil {
			return s, err
		}
	}
	if mode, ok := changedMode(a, fs.FileMode(st.Mode&0o777)); ok {
		if err := unix.Fchmod(fd, uint32(mode)); err != nil {
			return s, err
		}
	}
	if a.Mtime == 0 {
		return s, nil
	}
	at := a.Atime
	if at == 0 {
		at = a.Mtime
	}
	times := []unix.Timespec{unix.NsecToTimespec(at), unix.NsecToTimespec(a.Mtime)}
	return s, unix.UtimesNanoAt(r.handle.fd, base, times, unix.AT_SYMLINK_NOFOLLOW)
}

// rename gives the file old the name base. Without replace the error wraps fs.ErrExist if that is taken.
func (r *dirRef) rename(old, base string, replace bool) error {
	fd := r.handle.fd
	err := again(func() error {
		if replace {
			return unix.Renameat(fd, old, fd, base)
		}
		return unix.Renameat2(fd, old, fd, base, unix.RENAME_NOREPLACE)
	})
	switch {
	case err == nil:
		return nil
	case !replace && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP)):
		return linkNew(r.root, old, base) // a file system that cannot do it
	}
	return &os.LinkError{Op: "rename", Old: old, New: base, Err: err}
}
