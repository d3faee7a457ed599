//go:build !unix

package fasp

import "time"

// cpuTime is not known here.
func cpuTime() time.Duration { return 0 }
