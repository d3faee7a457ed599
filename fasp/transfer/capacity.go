package transfer

import "context"

// Capacity returns how many bytes the file system of the folder holds, free ones included, or -1 if that is not known.
func (d *Dir) Capacity(context.Context) (int64, error) { return totalBytes(d.handle) }
