//go:build !linux && !darwin && !windows

package udp

// setDontFragment does nothing: the option differs between the remaining
// systems and none of them is tested.
func setDontFragment(uintptr) {}
