//go:build unix

package transfer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer/transfertest"
)

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchmarkTree sends src through memory to a folder on disk, both ends in this process.
func benchmarkTree(b *testing.B, src string, bytes int64, spec Spec) {
	b.SetBytes(bytes)
	var cpu time.Duration
	for b.Loop() {
		b.StopTimer()
		dst := b.TempDir()
		store, err := OpenDir(dst)
		require.NoError(b, err)
		c, s := transfertest.Pair(transfertest.Options{})
		served := make(chan error, 1)
		cfg := Config{RetryTimeout: -1, StateDir: b.TempDir(), Dial: func(context.Context, *Spec) (fasp.Session, error) { return c, nil }}
		b.StartTimer()
		before := cpuTime()
		go func() {
			served <- Serve(context.Background(), s, ServeConfig{Store: store, Limits: Limits{Write: true, Delete: true}})
		}()
		_, err = Run(context.Background(), cfg, spec)
		require.NoError(b, err)
		require.NoError(b, <-served)
		cpu += cpuTime() - before
		b.StopTimer()
		_ = store.Close()
		require.NoError(b, os.RemoveAll(dst))
		b.StartTimer()
	}
	b.ReportMetric(cpu.Seconds()/float64(b.N)/(float64(bytes)/1e9), "cpu-s/GB")
}

func BenchmarkSmallFiles(b *testing.B) {
	src := filepath.Join(b.TempDir(), "tree")
	const files = 20_000
	for i := range files {
		write(b, filepath.Join(src, fmt.Sprintf("d%d/f%d", i/500, i)), 4096, uint64(i))
	}
	spec := Spec{Direction: Send, Paths: []Path{{Source: src}}, Destination: ".", CreateDir: true}
	for _, d := range []Durability{DurabilitySession, DurabilityNone} {
		b.Run(d.String(), func(b *testing.B) {
			spec.Durability = d
			benchmarkTree(b, src, files*4096, spec)
			b.ReportMetric(files*float64(b.N)/b.Elapsed().Seconds(), "files/s")
		})
	}
}

func BenchmarkLargeFile(b *testing.B) {
	src := filepath.Join(b.TempDir(), "large")
	const size = 1 << 30
	require.NoError(b, os.WriteFile(src, make([]byte, size), 0o644))
	for _, d := range []Durability{DurabilityNone, DurabilityFile} {
		for _, sum := range []Checksum{ChecksumNone, ChecksumSHA256, ChecksumMD5} {
			b.Run(d.String()+"/"+sum.String(), func(b *testing.B) {
				benchmarkTree(b, src, size, Spec{Direction: Send, Paths: []Path{{Source: src}}, Destination: "copy", Durability: d, Checksum: sum})
			})
		}
	}
}
