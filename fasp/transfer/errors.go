package transfer

import (
	"errors"
	"syscall"
)

// Conditions that callers branch on. They are matched with errors.Is; details are in *Error.
var (
	// ErrBusy: another transfer is writing the same file.
	ErrBusy = errors.New("another transfer is writing this file")
	// ErrChanged: a source changed while it was read.
	ErrChanged = errors.New("the file changed while it was read")
)

// errQuota is a disk quota used up, which is as final as a full disk.
const errQuota = syscall.EDQUOT
