//go:build !linux && !darwin

package filestore

import "os"

// lock does nothing on this system.
func lock(*os.File, bool) (busy bool, err error) { return false, nil }
