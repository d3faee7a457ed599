package udp

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleep is a system call like any other to the runtime, which takes the processor away from the goroutine meanwhile if another needs it.
func (d *linuxDriver) sleep(t time.Duration) bool {
	ts := unix.NsecToTimespec(int64(t))
	_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil)
	return true
}
