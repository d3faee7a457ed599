//go:build !windows

package udp

import (
	"errors"
	"syscall"
)

// isPathError says whether err, from reading, tells of the fate of datagrams
// sent earlier (ICMP) and not of the socket.
func isPathError(err error) bool {
	var no syscall.Errno
	return errors.As(err, &no) && pathErrno(no)
}

func pathErrno(no syscall.Errno) bool {
	switch no {
	case syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EHOSTUNREACH, syscall.ENETUNREACH,
		syscall.EHOSTDOWN, syscall.ENETDOWN, syscall.ENOPROTOOPT, syscall.EPROTO, syscall.EMSGSIZE:
		return true
	}
	return false
}

// isRetryable says whether a send that failed with err may well succeed at
// once. ECONNREFUSED concerns an earlier datagram; the first send through a
// fresh packet filter state can give EPERM on Linux.
func isRetryable(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EPERM)
}

func isTooBig(err error) bool { return errors.Is(err, syscall.EMSGSIZE) }

func isNoBuffers(err error) bool {
	return errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.EAGAIN)
}
