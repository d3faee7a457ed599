//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package accesskey

import "os"

// syncDir makes names in the folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
