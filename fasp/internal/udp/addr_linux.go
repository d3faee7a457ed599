package udp

import (
	"net"
	"net/netip"
	"strconv"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockaddr has room for either family.
type sockaddr = unix.RawSockaddrInet6

// putAddr writes ap for a socket of the given family and returns the length of
// the address, or zero if such a socket cannot reach it.
func putAddr(sa *sockaddr, ap netip.AddrPort, v6 bool, zones *zoneCache) uint32 {
	a := ap.Addr().Unmap()
	switch {
	case !a.IsValid():
		return 0
	case v6:
		*sa = sockaddr{Family: unix.AF_INET6, Port: swapPort(ap.Port()), Addr: a.As16()}
		if z := a.Zone(); z != "" {
			sa.Scope_id = zones.index(z)
		}
		return unix.SizeofSockaddrInet6
	case a.Is4():
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(sa)) = unix.RawSockaddrInet4{
			Family: unix.AF_INET, Port: swapPort(ap.Port()), Addr: a.As4(),
		}
		return unix.SizeofSockaddrInet4
	}
	return 0
}

// getAddr reads an address that the kernel has written; IPv4-mapped ones become
// IPv4. Unknown families give the zero AddrPort.
func getAddr(sa *sockaddr, zones *zoneCache) netip.AddrPort {
	switch sa.Family {
	case unix.AF_INET:
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(sa4.Addr), swapPort(sa4.Port))
	case unix.AF_INET6:
		a := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.Scope_id != 0 && a.Is6() {
			a = a.WithZone(zones.name(sa.Scope_id))
		}
		return netip.AddrPortFrom(a, swapPort(sa.Port))
	}
	return netip.AddrPort{}
}

// swapPort converts between the host's byte order and the network's.
func swapPort(p uint16) uint16 {
	var b [2]byte
	b[0], b[1] = byte(p>>8), byte(p)
	return *(*uint16)(unsafe.Pointer(&b))
}

// zoneCache translates scope ids of link-local addresses. It keeps what it has
// seen, since asking the system for every packet would cost a system call, so an
// interface that is renamed keeps its old name here. The zero value is ready.
type zoneCache struct {
	mu     sync.Mutex // guards both maps
	byID   map[uint32]string
	byName map[string]uint32
}

func (z *zoneCache) name(id uint32) string {
	z.mu.Lock()
	defer z.mu.Unlock()
	if n, ok := z.byID[id]; ok {
		return n
	}
	n := strconv.FormatUint(uint64(id), 10)
	if ifi, err := net.InterfaceByIndex(int(id)); err == nil {
		n = ifi.Name
	}
	z.put(n, id)
	return n
}

// index returns zero, which means any, for a name that no interface has.
func (z *zoneCache) index(name string) uint32 {
	z.mu.Lock()
	defer z.mu.Unlock()
	if id, ok := z.byName[name]; ok {
		return id
	}
	var id uint32
	if ifi, err := net.InterfaceByName(name); err == nil {
		id = uint32(ifi.Index)
	} else if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		id = uint32(n)
	} else {
		return 0
	}
	z.put(name, id)
	return id
}

// put expects mu to be held.
func (z *zoneCache) put(name string, id uint32) {
	if z.byID == nil {
		z.byID, z.byName = map[uint32]string{}, map[string]uint32{}
	}
	z.byID[id], z.byName[name] = name, id
}
