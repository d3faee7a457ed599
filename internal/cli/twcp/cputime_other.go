//go:build !unix

package twcp

import "time"

// cpuTime is not known here.
func cpuTime() time.Duration { return 0 }
