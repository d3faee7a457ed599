package fasp

import (
	"errors"
	"net"
	"runtime"

	"github.com/tradewind-io/tradewind/fasp/internal/udp"
)

// sockets is how many Listen opens.
func (c *Config) sockets() int {
	switch {
	case c.Identity == nil || !udp.CanShare:
		return 1 // one peer as a rule, which the system gives to one socket anyway
	case c.Sockets > 0:
		return min(c.Sockets, maxSockets)
	}
	return max(1, min(runtime.GOMAXPROCS(0)/processorsPerSocket, maxSockets))
}

const (
	maxSockets          = 64
	processorsPerSocket = 4
)

// listenAll opens n sockets of one address. Only those of this call can share it: the first must have it for itself.
func listenAll(a *net.UDPAddr, n int) ([]net.PacketConn, error) {
	first, err := net.ListenUDP("udp", a)
	if err != nil {
		return nil, err
	}
	pcs := []net.PacketConn{first}
	for len(pcs) < n {
		pc, err := udp.Share(first)
		if err != nil {
			for _, pc := range pcs {
				pc.Close()
			}
			return nil, err
		}
		pcs = append(pcs, pc)
	}
	return pcs, nil
}

func (e *Endpoint) closeSockets() error {
	var errs []error
	for _, r := range e.readers {
		errs = append(errs, r.sock.Close())
	}
	return errors.Join(errs...)
}

func (e *Endpoint) socketStats() (s udp.Stats) {
	for _, r := range e.readers {
		s.Add(r.sock.Stats())
	}
	return s
}

// kernelDrops is how many datagrams the system dropped because a socket had no room.
func (e *Endpoint) kernelDrops() (n uint64) {
	for _, r := range e.readers {
		n += r.sock.Stats().KernelDrops
	}
	return n
}
