package vlab

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/core"
)

// BenchmarkCell says how many packets/s a core simulates.
func BenchmarkCell(b *testing.B) {
	for _, c := range []struct {
		name string
		cell Cell
	}{
		{"fixed", Cell{Policy: core.Fixed}},
		{"fixed, 30 %", Cell{Policy: core.Fixed, Loss: 0.3}},
		{"bbr", Cell{Peer: BBR}},
		{"cubic", Cell{Peer: Cubic}},
	} {
		b.Run(c.name, func(b *testing.B) {
			c.cell.Rate, c.cell.RTT, c.cell.Seed = 1e9, 100*time.Millisecond, 1
			b.ReportAllocs()
			packets := uint64(0)
			for b.Loop() {
				r, err := c.cell.Run()
				require.NoError(b, err)
				packets += r.Packets
			}
			b.ReportMetric(float64(packets)/b.Elapsed().Seconds(), "packets/s")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(packets), "ns/packet")
		})
	}
}
