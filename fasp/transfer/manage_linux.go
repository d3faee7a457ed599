package transfer

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tradewind-io/tradewind/internal/fdctl"
)

// rename gives old the name name. Without replace the error wraps fs.ErrExist if that is taken, even by what came a moment
// ago.
func (d *Dir) rename(old, name string, replace bool) error {
	return d.within(old, func(from *os.Root, oldBase string) error {
		return d.within(name, func(to *os.Root, base string) error {
			a, err := from.Open(".")
			if err != nil {
				return err
			}
			defer a.Close()
			b, err := to.Open(".")
			if err != nil {
				return err
			}
			defer b.Close()
			return renameAt(a, oldBase, b, base, replace)
		})
	})
}

func renameAt(from *os.File, old string, to *os.File, name string, replace bool) error {
	at := func(call func(from, to int) error) error {
		return fdctl.Control(from, func(x int) error { return fdctl.Control(to, func(y int) error { return call(x, y) }) })
	}
	if !replace {
		err := at(func(x, y int) error { return unix.Renameat2(x, old, y, name, unix.RENAME_NOREPLACE) })
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EOPNOTSUPP) {
			return err
		}
		// A file system that cannot do it, or a folder that would move into itself, which the other call refuses, too.
		var st unix.Stat_t
		err = at(func(_, y int) error { return unix.Fstatat(y, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
		switch {
		case err == nil:
			return syscall.EEXIST
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return at(func(x, y int) error { return unix.Renameat(x, old, y, name) })
}
