package fasp

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	loopbackRate  = flag.Int64("loopback.rate", 0, "BenchmarkLoopback: fixed rate in Mbit/s of IP bytes; 0 lets policy high find it")
	loopbackBlock = flag.Int("loopback.block", 256<<10, "BenchmarkLoopback: bytes a block")
)

// BenchmarkLoopback sends blocks from memory to memory through one session over loopback UDP: datagrams of 1,472 bytes,
// AES-128-GCM, with and without a SHA-256 of each block at both ends. An operation is one block. It reports the bytes of blocks as Mbit/s,
// the same in IP bytes, packets sent again per packet, allocations per data packet (both ends) and processor seconds per gigabyte (both ends).
//
//	go test -run '^$' -bench Loopback -benchtime 5s ./fasp
//	go test -run '^$' -bench Loopback/sha256 -benchtime 5s ./fasp -loopback.rate 2000
func BenchmarkLoopback(b *testing.B) {
	for _, hash := range []bool{false, true} {
		name := "plain"
		if hash {
			name = "sha256"
		}
		b.Run(name, func(b *testing.B) { benchmarkLoopback(b, hash) })
	}
}

func benchmarkLoopback(b *testing.B, hash bool) {
	// A session that stalls must fail the benchmark, not hang it.
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	e, err := Listen("127.0.0.1:0", Config{Identity: testIdentity, Window: 64 << 20, WindowMax: 256 << 20, Datagram: 1472, MaxDatagram: 1472})
	require.NoError(b, err)
	defer e.Close()
	cfg := testConfig()
	cfg.Datagram, cfg.MaxDatagram, cfg.SendBuffer, cfg.Ciphers = 1472, 1472, 256<<20, []Cipher{AES128}
	cfg.Rates = Rates{Policy: High}
	if *loopbackRate > 0 {
		cfg.Rates = Rates{Policy: Fixed, Target: Rate(*loopbackRate) * Mbps}
	}
	from, err := Dial(ctx, e.LocalAddr().String(), cfg)
	require.NoError(b, err)
	defer from.Close(CodeDone, "")
	to, err := e.Accept(ctx)
	require.NoError(b, err)

	// The receiver hashes what it gets and gives it back, as a sink in memory does.
	received := make(chan error, 1)
	go func() {
		received <- func() error {
			for {
				blk, err := to.ReceiveBlock(ctx)
				if err != nil {
					return err
				}
				if hash && sha256.Sum256(blk.Data) == [32]byte{} {
					return fmt.Errorf("impossible hash")
				}
				blk.Release()
			}
		}()
	}()
	source := make([]byte, *loopbackBlock)
	for i := range source {
		source[i] = byte(i * 7)
	}
	send := func() {
		blk, err := from.NewBlock(ctx, len(source))
		require.NoError(b, err)
		copy(blk.Data, source)
		if hash && sha256.Sum256(blk.Data) == [32]byte{} {
			b.Fatal("impossible hash")
		}
		require.NoError(b, from.SendBlock(ctx, blk))
	}
	// Warm up: buffers, socket, and what the rate law has to find out.
	for range 256 << 20 / len(source) {
		send()
	}
	require.NoError(b, from.Drained(ctx))

	var m0, m1 runtime.MemStats
	runtime.ReadMemStats(&m0)
	s0, r0, c0, t0 := from.Stats(), to.Stats(), usedCPU(), time.Now()
	n := 0
	b.SetBytes(int64(len(source)))
	for b.Loop() {
		send()
		n++
	}
	require.NoError(b, from.Drained(ctx))
	dt, c1 := time.Since(t0), usedCPU()
	runtime.ReadMemStats(&m1)
	s1, r1 := from.Stats(), to.Stats()
	bytes := float64(n) * float64(len(source))
	b.ReportMetric(bytes*8/1e6/dt.Seconds(), "Mbit/s")
	b.ReportMetric(float64(s1.BytesSent-s0.BytesSent)*8/1e6/dt.Seconds(), "IP-Mbit/s")
	b.ReportMetric(float64(s1.DataSent-s0.DataSent)/float64(r1.SymbolsReceived-r0.SymbolsReceived)-1, "again/packet")
	b.ReportMetric(float64(m1.Mallocs-m0.Mallocs)/float64(s1.DataSent-s0.DataSent), "allocs/packet")
	b.ReportMetric((c1-c0).Seconds()/(bytes/1e9), "cpu-s/GB")
	b.ReportMetric(float64(e.Stats().Overflow), "overflow")
	require.NoError(b, from.Close(CodeDone, ""))
	require.Error(b, <-received)
}

// usedCPU is the processor time of this process, 0 where the system does not tell.
func usedCPU() time.Duration {
	d, _ := cpuUsed()
	return d
}
