//go:build !linux

package udp

import "net"

// newFastDriver returns nil: this system has no driver but the portable one.
func newFastDriver(*net.UDPConn, Options, *counters) (driver, error) { return nil, nil }

// tune sets buffers and don't-fragment. The system may refuse the sizes, which
// costs speed only.
func tune(uc *net.UDPConn, o Options) error {
	if n := bufferSize(o.ReadBuffer); n > 0 {
		_ = uc.SetReadBuffer(n)
	}
	if n := bufferSize(o.WriteBuffer); n > 0 {
		_ = uc.SetWriteBuffer(n)
	}
	rc, err := uc.SyscallConn()
	if err != nil {
		return err
	}
	return rc.Control(setDontFragment)
}
