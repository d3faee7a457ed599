package udp

import "golang.org/x/sys/windows"

// Socket options of ws2ipdef.h that golang.org/x/sys does not name.
const (
	ipDontFragment   = 14 // IP_DONTFRAGMENT
	ipv6DontFragment = 14 // IPV6_DONTFRAG
)

// setDontFragment asks for unfragmented datagrams of both families. A socket
// refuses the option of the family it does not speak, hence no error is kept.
func setDontFragment(fd uintptr) {
	_ = windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IP, ipDontFragment, 1)
	_ = windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IPV6, ipv6DontFragment, 1)
}
