//go:build unix

package fasp

import (
	"syscall"
	"time"
)

// cpuUsed returns the processor time that this process has taken, false where the system does not tell.
func cpuUsed() (time.Duration, bool) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0, false
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), true
}
