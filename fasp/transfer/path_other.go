//go:build !windows

package transfer

// platformBadName says why this system cannot hold the name, or "".
func platformBadName(string) string { return "" }
