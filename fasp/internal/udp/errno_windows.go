package udp

import (
	"errors"

	"golang.org/x/sys/windows"
)

// isPathError says whether err, from reading, tells of the fate of datagrams
// sent earlier (ICMP) and not of the socket.
func isPathError(err error) bool {
	return errors.Is(err, windows.WSAECONNRESET) || errors.Is(err, windows.WSAENETRESET) ||
		errors.Is(err, windows.WSAEHOSTUNREACH) || errors.Is(err, windows.WSAENETUNREACH)
}

// isRetryable says whether a send that failed with err may well succeed at
// once, because err concerns an earlier datagram.
func isRetryable(err error) bool { return errors.Is(err, windows.WSAECONNRESET) }

func isTooBig(err error) bool { return errors.Is(err, windows.WSAEMSGSIZE) }

func isNoBuffers(err error) bool {
	return errors.Is(err, windows.WSAENOBUFS) || errors.Is(err, windows.WSAEWOULDBLOCK)
}
