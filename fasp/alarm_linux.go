package fasp

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// fineTimer is a timerfd, which the runtime's poller waits for like for a socket: it is some ten microseconds late.
type fineTimer struct {
	file  *os.File
	fd    int
	fired chan struct{}
}

// newFineTimer returns nil if the system has no file descriptor left.
func newFineTimer() *fineTimer {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil
	}
	t := &fineTimer{file: os.NewFile(uintptr(fd), "timerfd"), fd: fd, fired: make(chan struct{}, 1)}
	go func() {
		var count [8]byte
		for {
			if _, err := t.file.Read(count[:]); err != nil {
				return // closed
			}
			select {
			case t.fired <- struct{}{}:
			default:
			}
		}
	}()
	return t
}

// set makes the timer go off once after d, which is above 0.
func (t *fineTimer) set(d time.Duration) bool {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	return unix.TimerfdSettime(t.fd, 0, &spec, nil) == nil
}

func (t *fineTimer) close() { t.file.Close() }
