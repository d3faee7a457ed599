package fdctl

import (
	"bytes"
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// A struct linux_dirent64 is the inode, the offset of the next one, the length of this one, the type and the name, behind which is
// a NUL; see getdents64(2).
const (
	direntNext   = 8  // offset of the position of the next one, 64 bits
	direntLength = 16 // offset of the length, 16 bits
	direntName   = 19
)

// ReadDirents reads what the folder that f has open lists next into buf, for EachName, and returns its length; 0 is the end. buf has
// room for an entry of the longest name, 280 bytes, and better for thousands. It is not to be mixed with methods of f that read.
func ReadDirents(f *os.File, buf []byte) (n int, err error) {
	err = Control(f, func(fd int) (err error) {
		n, err = unix.Getdents(fd, buf)
		return err
	})
	return max(n, 0), err
}

// EachName calls fn with the names in what ReadDirents has read, without "." and "..". They lie in b. It stops at fn's first error and
// returns it. The error is unix.EIO if b is something else.
func EachName(b []byte, fn func(name []byte) error) error {
	for len(b) > 0 {
		if len(b) <= direntName {
			return unix.EIO
		}
		n := int(binary.NativeEndian.Uint16(b[direntLength:]))
		if n <= direntName || n > len(b) {
			return unix.EIO
		}
		name := b[direntName:n]
		b = b[n:]
		end := bytes.IndexByte(name, 0)
		if end <= 0 {
			return unix.EIO
		}
		name = name[:end:end]
		if string(name) == "." || string(name) == ".." {
			continue
		}
		if err := fn(name); err != nil {
			return err
		}
	}
	return nil
}

// Before returns the entries of b, which ReadDirents has read from position pos on, that stand before limit, and the position behind the last one of them. Positions are those of the folder that was read;
// that they ascend is for the caller to know. With a limit of 0 all are taken. The error is unix.EIO if b is something else.
func Before(b []byte, pos, limit int64) (part []byte, next int64, err error) {
	for i := 0; i < len(b); {
		if limit > 0 && pos >= limit {
			return b[:i], pos, nil
		}
		if len(b)-i <= direntName {
			return nil, pos, unix.EIO
		}
		n := int(binary.NativeEndian.Uint16(b[i+direntLength:]))
		if n <= direntName || n > len(b)-i {
			return nil, pos, unix.EIO
		}
		pos = int64(binary.NativeEndian.Uint64(b[i+direntNext:]))
		i += n
	}
	return b, pos, nil
}
