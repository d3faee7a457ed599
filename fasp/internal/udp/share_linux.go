package udp

import (
	"context"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// CanShare tells whether there is Share.
const CanShare = true

// Share opens another socket of the address of first; the system spreads senders over all that share it. It must be called before anything is read. Other
// programs cannot join: they would have to be of the same user, and to ask for it.
func Share(first *net.UDPConn) (*net.UDPConn, error) {
	rc, err := first.SyscallConn()
	if err != nil {
		return nil, err
	}
	if err := reusePort(rc); err != nil {
		return nil, err
	}
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error { return reusePort(rc) }}
	pc, err := lc.ListenPacket(context.Background(), "udp", first.LocalAddr().String())
	if err != nil {
		return nil, err
	}
	return pc.(*net.UDPConn), nil
}

func reusePort(rc syscall.RawConn) error {
	var opErr error
	err := rc.Control(func(fd uintptr) {
		opErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	if err != nil {
		return err
	}
	return opErr
}
