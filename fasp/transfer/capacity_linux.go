package transfer

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/tradewind-io/tradewind/internal/fdctl"
)

// totalBytes counts as freeBytes does: without what only the superuser may fill.
func totalBytes(f *os.File) (n int64, err error) {
	var st unix.Statfs_t
	err = fdctl.Control(f, func(fd int) error { return unix.Fstatfs(fd, &st) })
	return int64(st.Blocks-st.Bfree+st.Bavail) * int64(st.Bsize), err // Bsize is an int32 on some
}
