package wanlink

import (
	"net/netip"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// Endpoint is one end of a Tun.
type Endpoint struct {
	Namespace string     // name of the network namespace, as "ip netns" knows it
	Device    string     // the TUN device inside it
	Addr4     netip.Addr // its IPv4 address, in a /24 with the other end
	Addr6     netip.Addr // its IPv6 address, in a /64 with the other end; invalid where the kernel has no IPv6
}

// Start starts cmd inside the namespace.
func (p Endpoint) Start(cmd *exec.Cmd) error { return p.Do(cmd.Start) }

// Do runs f on a thread inside the namespace and returns its error. Sockets and processes that f makes belong to the
// namespace for good; goroutines that f starts run outside of it. A socket for use elsewhere must therefore be made by f
// itself, as net.ListenPacket does, not by a dialer that may try addresses in parallel.
func (p Endpoint) Do(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			result <- err
			return
		}
		defer home.Close()
		result <- enter("/run/netns/"+p.Namespace, f)
		// A thread that cannot go home ends with this goroutine, which stays locked to it.
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return <-result
}

// enter moves the thread into the namespace and runs f.
func enter(path string, f func() error) error {
	ns, err := os.Open(path)
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return os.NewSyscallError("setns", err)
	}
	return f()
}
