//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// family returns handles of all processes below pid, which stay theirs when pid has ended.
func family(pid int) (fds []int, err error) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for _, f := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(f)
			if err != nil {
				return fds, err
			}
			switch fd, err := unix.PidfdOpen(child, 0); {
			case errors.Is(err, unix.ESRCH):
				continue
			case err != nil:
				return fds, err
			default:
				fds = append(fds, fd)
			}
			below, err := family(child)
			fds = append(fds, below...)
			if err != nil {
				return fds, err
			}
		}
	}
	return fds, nil
}

// end ends the processes, waits until they are gone, and closes the handles.
func end(fds []int) error {
	var errs []error
	for _, fd := range fds {
		if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, err)
		}
		for {
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			if !errors.Is(err, unix.EINTR) {
				errs = append(errs, err)
				break
			}
		}
		errs = append(errs, unix.Close(fd))
	}
	return errors.Join(errs...)
}
