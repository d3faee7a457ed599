package udp

import (
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// gsoAgain is how long a socket sends without GSO after a device could not do it: another route may have another device.
const gsoAgain = 10 * time.Minute

// offload says whether datagrams are sent with GSO. The zero offload never does.
type offload struct {
	can   bool
	until atomic.Int64 // ns since 1970 until which they are sent without
}

func (o *offload) on() bool {
	if !o.can {
		return false
	}
	until := o.until.Load()
	return until == 0 || time.Now().UnixNano() >= until
}

func (o *offload) failed() { o.until.Store(time.Now().Add(gsoAgain).UnixNano()) }

// manglesEqual says whether a kernel of this release corrupts the headers of GSO messages whose segments are all of equal length: 7.0, from its first release
// candidate on, and 7.1 up to 7.1.4. Nothing shows that at run time.
func manglesEqual(release string) bool {
	num := func(s string) int {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		v, err := strconv.Atoi(s[:n])
		if err != nil {
			return -1
		}
		return v
	}
	parts := strings.SplitN(release, ".", 3)
	if len(parts) < 2 || num(parts[0]) != 7 {
		return false
	}
	switch num(parts[1]) {
	case 0:
		return true
	case 1:
		return len(parts) < 3 || num(parts[2]) <= 4
	}
	return false
}

// kernelRelease returns what uname -r does, empty if the system does not say.
func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}
