package transfer

import (
	"context"
	"io/fs"
	"os"
	"sync"

	"github.com/tradewind-io/tradewind/internal/fdctl"
)

// direntBufs has buffers to list folders into. One holds some thousand names: with the 8 KiB of package os, which also makes a string of each name, a folder of a million took half as long again.
var direntBufs = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// listNames is the lister of this system.
func listNames(ctx context.Context, f *os.File, fn func(base []byte) error) error {
	buf := direntBufs.Get().(*[128 << 10]byte)
	defer direntBufs.Put(buf)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := fdctl.ReadDirents(f, buf[:])
		if err == nil && n > 0 {
			err = fdctl.EachName(buf[:n], fn)
		} else if err != nil {
			err = &fs.PathError{Op: "readdirent", Path: f.Name(), Err: err}
		}
		if err != nil || n == 0 {
			return err
		}
	}
}
