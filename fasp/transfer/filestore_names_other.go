//go:build !linux

package transfer

import (
	"context"
	"os"
)

// listNames is the lister of this system.
func listNames(ctx context.Context, f *os.File, fn func(base []byte) error) error {
	return listPortable(ctx, f, fn)
}
