package fasp

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	sessionsTime = flag.Duration("sessions.time", 4*time.Second, "BenchmarkSessions: how long each number of sessions is measured")
	sessionsList = flag.Bool("sessions.list", false, "BenchmarkSessions: print what each session did and what its sender knows")
	sessionsSock = flag.Int("sessions.sockets", 0, "BenchmarkSessions: Config.Sockets of the endpoint")
	sessionsRate = flag.Int64("sessions.rate", 0, "BenchmarkSessions: fixed rate of a session in Mbit/s of IP bytes; 0 is policy fair")
)

// BenchmarkSessions runs sessions of as many clients over loopback to one endpoint, encrypted, every second one a download, from memory to memory,
// and reports their sum in Mbit/s of content, Jain's index of their shares, the least one's part of the mean, and processor seconds per gigabyte (both ends).
//
//	go test -run '^$' -bench Sessions -benchtime 1x ./fasp
func BenchmarkSessions(b *testing.B) {
	for _, n := range []int{1, 2, 10, 50} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				benchmarkSessions(b, n)
			}
		})
	}
}

func benchmarkSessions(b *testing.B, n int) {
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute+*sessionsTime)
	defer cancel()
	rates := Rates{Policy: Fair}
	if *sessionsRate > 0 {
		rates = Rates{Policy: Fixed, Target: Rate(*sessionsRate) * Mbps}
	}
	e, err := Listen("127.0.0.1:0", Config{Identity: testIdentity, Sockets: *sessionsSock, Rates: rates, Window: 16 << 20, WindowMax: 64 << 20, SendBuffer: 64 << 20, Datagram: 1472, MaxDatagram: 1472})
	require.NoError(b, err)
	defer e.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	pump := func(c *Conn) {
		for {
			blk, err := c.NewBlock(ctx, 128<<10)
			if err == nil {
				blk.Data[0]++
				err = c.SendBlock(ctx, blk)
			}
			if err != nil {
				requireEnded(b, err)
				return
			}
		}
	}
	sink := func(c *Conn, got *atomic.Int64) {
		for {
			blk, err := c.ReceiveBlock(ctx)
			if err != nil {
				requireEnded(b, err)
				return
			}
			got.Add(int64(len(blk.Data)))
			blk.Release()
		}
	}
	got := make([]atomic.Int64, n)
	senders := make([]*Conn, n)
	for i := range n {
		cfg := testConfig()
		cfg.Rates, cfg.Datagram, cfg.MaxDatagram, cfg.SendBuffer = rates, 1472, 1472, 64<<20
		cfg.Window, cfg.WindowMax = 16<<20, 64<<20
		client, err := Dial(ctx, e.LocalAddr().String(), cfg)
		require.NoError(b, err)
		server, err := e.Accept(ctx)
		require.NoError(b, err)
		defer client.Close(CodeDone, "")
		if i%2 == 1 {
			client, server = server, client
		}
		senders[i] = client
		wg.Go(func() { pump(client) })
		wg.Go(func() { sink(server, &got[i]) })
	}
	read := func() []float64 {
		v := make([]float64, n)
		for i := range got {
			v[i] = float64(got[i].Load())
		}
		return v
	}
	time.Sleep(2 * time.Second) // the start is not measured
	var m0, m1 runtime.MemStats
	before, c0, t0, sock := read(), usedCPU(), time.Now(), e.Stats().Socket
	runtime.ReadMemStats(&m0)
	time.Sleep(*sessionsTime)
	after, c1, dt := read(), usedCPU(), time.Since(t0).Seconds()
	runtime.ReadMemStats(&m1)
	if *sessionsList {
		for i := range after {
			s := senders[i].Stats()
			fmt.Printf("session %d, download %v: %.0f Mbit/s, rate %v, level %v, granted %v, round trip %v of %v, loss %.4f, credit waits %d, local drops %d\n", i, i%2 == 1, (after[i]-before[i])*8/1e6/dt,
				s.Rate, s.Level, s.Granted, s.RTT, s.MinRTT, s.Loss, s.CreditWaits, s.LocalDrops)
		}
	}
	var sum, squares float64
	least := math.Inf(1)
	for i := range after {
		v := after[i] - before[i]
		sum, squares, least = sum+v, squares+v*v, min(least, v)
	}
	now := e.Stats().Socket
	b.ReportMetric(float64(now.DatagramsOut-sock.DatagramsOut)/float64(now.SyscallsOut-sock.SyscallsOut), "packets/write")
	b.ReportMetric(float64(now.DatagramsIn-sock.DatagramsIn)/float64(now.SyscallsIn-sock.SyscallsIn), "packets/read")
	b.ReportMetric(sum*8/1e6/dt, "Mbit/s")
	b.ReportMetric(sum*sum/squares/float64(n), "Jain")
	b.ReportMetric(least/sum*float64(n), "least/mean")
	b.ReportMetric((c1-c0).Seconds()/(sum/1e9), "cpu-s/GB")
	b.ReportMetric(float64(m1.Mallocs-m0.Mallocs)/(sum/1440), "allocs/packet")
	b.ReportMetric(float64(m1.HeapInuse)/(1<<20), "heap-MB")
	b.ReportMetric(float64(e.Stats().Overflow), "overflow")
	b.ReportMetric(float64(e.Stats().Socket.KernelDrops), "drops")
}

// requireEnded accepts the errors of a session that ends with the benchmark.
func requireEnded(b *testing.B, err error) {
	var peer *PeerError
	if !slices.ContainsFunc([]error{context.Canceled, ErrClosed}, func(e error) bool { return errors.Is(err, e) }) && !errors.As(err, &peer) {
		b.Error(err)
	}
}
