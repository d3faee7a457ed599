package transfer

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/tradewind-io/tradewind/internal/fdctl"
)

// The file systems ext3 and ext4 keep a folder in the order of the hashes of its names. Where an entry stands, as getdents64(2) and lseek(2) have it, is its hash, of 63 bits, and to read from
// a position on is to read the names of that hash and above, whatever hash it is and whatever was added or removed meanwhile. Hashes are spread evenly.

// hashed is a position that none of a folder without hashes has, where they are bytes and a folder has gigabytes at most.
const hashed = 1 << 32

// halves leaves r the first half of what it has not read, and returns a reader of the other, whose file is to be closed. Where that cannot be done, and where there is one processor, it returns nil.
func (r *namesReader) halves() (*namesReader, error) {
	if runtime.GOMAXPROCS(0) < 2 || r.at < hashed {
		return nil, nil
	}
	var fd int
	err := fdctl.Control(r.f, func(dir int) error {
		var st unix.Statfs_t
		if err := unix.Fstatfs(dir, &st); err != nil {
			return err
		}
		if st.Type != unix.EXT4_SUPER_MAGIC {
			return errors.ErrUnsupported
		}
		var err error
		fd, err = unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: r.f.Name(), Err: err}
	}
	f := os.NewFile(uintptr(fd), r.f.Name())
	middle := r.at + (math.MaxInt64-r.at)/2
	if _, err := unix.Seek(fd, middle, io.SeekStart); err != nil {
		return nil, errors.Join(&fs.PathError{Op: "seek", Path: r.f.Name(), Err: err}, f.Close())
	}
	r.limit = middle
	return &namesReader{f: f, at: middle}, nil
}
