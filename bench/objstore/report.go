package main

import (
	"fmt"
	"io"
)

// What is wanted of objstore. Speeds are ratios of medians; memory is what is left of the peak without part buffers.
const (
	leastOfRaw    = 0.9
	leastOfRclone = 1.5
	mostCPU       = 1.2
	mostMemory    = 64 << 20
)

// report prints medians and ratios: speed and CPU are ratios of minio-go, or for an rclone how much faster objstore is.
func report(out io.Writer, cells []*cell) {
	fmt.Fprintf(out, "\n%-34s %-14s %8s %8s %8s %8s %9s %9s  %s\n", "cell", "contender", "s", "MB/s", "CPU s", "RSS MB", "speed", "CPU", "wanted")
	for _, c := range cells {
		if len(c.Samples[0].Seconds) == 0 {
			continue
		}
		raw, our := c.Samples[0], c.Samples[1]
		for _, s := range c.Samples {
			if len(s.Seconds) == 0 {
				continue
			}
			seconds, cpu, rss := median(s.Seconds), median(s.CPU), median(s.RSS)
			fmt.Fprintf(out, "%-34s %-14s %8.3f %8.0f %8.2f %8.0f", c.Name, s.Name, seconds, float64(c.bytes)/seconds/1e6, cpu, float64(rss)/1e6)
			switch s {
			case raw:
				fmt.Fprintln(out)
			case our:
				speed, use := median(raw.Seconds)/seconds, cpu/median(raw.CPU)
				fmt.Fprintf(out, " %9.3f %9.3f  speed >= %.1f %s, CPU <= %.1f %s, RSS <= %d MB %s\n", speed, use,
					leastOfRaw, verdict(speed >= leastOfRaw), mostCPU, verdict(use <= mostCPU), (mostMemory+c.allowance)/1e6, verdict(rss <= mostMemory+c.allowance))
			default:
				faster := seconds / median(our.Seconds)
				fmt.Fprintf(out, " %9.3f %9s  objstore is faster by this factor", faster, "")
				if c.contenders[0].Op == opUpload {
					fmt.Fprintf(out, ", >= %.1f %s", leastOfRclone, verdict(faster >= leastOfRclone))
				}
				fmt.Fprintln(out)
			}
		}
	}
}

func verdict(good bool) string {
	if good {
		return "yes"
	}
	return "NO"
}
