package lab

import "time"

// Bound returns the least time in which size bytes can be sent and known to have arrived over a link of rate bit/s (IP bytes, MTU
// 1,500) with the given round trip and loss after the bottleneck, from a cold start: (1+h) RTT + (S/P) W/(C (1-p)) with
// h = 1, P = 1,440 and W = 1,500 (docs/performance.md).
func Bound(size int64, rate float64, rtt time.Duration, loss float64) time.Duration {
	wire := float64(size) / 1440 * 1500 * 8 / (rate * (1 - loss))
	return 2*rtt + time.Duration(wire*float64(time.Second))
}
