//go:build !linux

package udp

import (
	"errors"
	"net"
)

// CanShare tells whether there is Share.
const CanShare = false

// Share is for Linux.
func Share(*net.UDPConn) (*net.UDPConn, error) { return nil, errors.ErrUnsupported }
