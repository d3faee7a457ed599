//go:build !unix && !windows

package cli

import "os"

func columns(*os.File) (int, bool) { return 0, false }
