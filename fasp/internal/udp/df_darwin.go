package udp

import "golang.org/x/sys/unix"

// setDontFragment asks for unfragmented datagrams of both families. A socket
// refuses the option of the family it does not speak, hence no error is kept.
func setDontFragment(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_DONTFRAG, 1)
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1)
}
