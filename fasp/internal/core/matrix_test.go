package core

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMatrixCorners holds the corner cells of the matrix to the bars that every cell has to reach; the whole of it is BenchmarkMatrix.
func TestMatrixCorners(t *testing.T) {
	for _, rate := range []float64{1e6, 1e9} {
		for _, rtt := range []time.Duration{2 * time.Millisecond, time.Second} {
			for _, loss := range []float64{0, 0.01, 0.3} {
				c := cell{rate, rtt, loss}
				t.Run(c.String(), func(t *testing.T) {
					if testing.Short() && rate == 1e9 && rtt == time.Second {
						t.Skip("2 million packets: not in -short")
					}
					t.Parallel()
					r, err := c.steady(1, Fixed)
					require.NoError(t, err)
					require.GreaterOrEqual(t, r.goodput/r.limit, 0.97, "goodput over the limit")
					require.LessOrEqual(t, r.excess, 0.02, "packets that brought nothing new")
				})
			}
		}
	}
}

// BenchmarkMatrix runs the whole matrix at the link's rate under policy fixed and prints a line a cell:
//
//	go test -run '^$' -bench Matrix -benchtime 1x ./fasp/internal/core
func BenchmarkMatrix(b *testing.B) {
	for b.Loop() {
		var cells []cell
		for _, rate := range []float64{1e6, 10e6, 100e6, 1e9} {
			for _, ms := range []int{2, 10, 100, 300, 500, 1000} {
				for _, loss := range []float64{0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.3} {
					cells = append(cells, cell{rate, time.Duration(ms) * time.Millisecond, loss})
				}
			}
		}
		results, errs := make([]result, len(cells)), make([]error, len(cells))
		var wg sync.WaitGroup
		work := make(chan int)
		for range 2 {
			wg.Go(func() {
				for i := range work {
					results[i], errs[i] = cells[i].steady(uint64(i)+1, Fixed)
				}
			})
		}
		for i := range cells {
			work <- i
		}
		close(work)
		wg.Wait()
		worst, excess, missed := 1.0, 0.0, 0
		for i, r := range results {
			share := r.goodput / r.limit
			mark := ""
			if errs[i] != nil || share < 0.97 || r.excess > 0.02 {
				mark = "  MISSED"
				missed++
			}
			fmt.Printf("%-16s goodput %9.3f Mbit/s = %.4f of limit, excess %.4f, reverse %.4f%s", cells[i], r.goodput/1e6, share, r.excess, r.reverse, mark)
			if errs[i] != nil {
				fmt.Print("  ", errs[i])
			}
			fmt.Println()
			worst, excess = min(worst, share), max(excess, r.excess)
		}
		b.ReportMetric(worst, "worst-share")
		b.ReportMetric(excess, "worst-excess")
		b.ReportMetric(float64(missed), "missed")
	}
}
