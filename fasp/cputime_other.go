//go:build !unix

package fasp

import "time"

// cpuUsed returns the processor time that this process has taken, false where the system does not tell.
func cpuUsed() (time.Duration, bool) { return 0, false }
