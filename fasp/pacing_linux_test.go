package fasp

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tradewind-io/tradewind/fasp/internal/udp"
)

// BenchmarkPacing sends at fixed rates over loopback through a relay that notes when the kernel got each packet. It reports, over an operation of
// two seconds, the 99th percentile of bursts, which are packets that follow each other in less than half of their time at the rate, in microseconds of the rate and in packets,
// by how much the rate in IP bytes is off, and the processor seconds per gigabyte of IP bytes, of both ends and the relay.
//
//	go test -run '^$' -bench Pacing -benchtime 3x ./fasp
func BenchmarkPacing(b *testing.B) {
	for _, rate := range []Rate{512_000, 2 * Mbps, 10 * Mbps, 100 * Mbps, 300 * Mbps, 1000 * Mbps} {
		b.Run(fmt.Sprintf("%gM", float64(rate)/1e6), func(b *testing.B) { benchmarkPacing(b, rate) })
	}
}

func benchmarkPacing(b *testing.B, rate Rate) {
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	e, err := Listen("127.0.0.1:0", Config{Identity: testIdentity, MaxDatagram: 1472})
	require.NoError(b, err)
	defer e.Close()
	r := newStampRelay(b, netip.MustParseAddrPort(e.LocalAddr().String()))
	cfg := testConfig()
	cfg.MaxDatagram, cfg.Rates = 1472, Rates{Policy: Fixed, Target: rate}
	from, err := Dial(ctx, r.front.LocalAddr().String(), cfg)
	require.NoError(b, err)
	defer from.Close(CodeDone, "")
	to, err := e.Accept(ctx)
	require.NoError(b, err)
	go func() {
		for {
			blk, err := to.ReceiveBlock(ctx)
			if err != nil {
				return
			}
			blk.Release()
		}
	}()
	go func() {
		for {
			blk, err := from.NewBlock(ctx, 128<<10)
			if err != nil || from.SendBlock(ctx, blk) != nil {
				return
			}
		}
	}()
	time.Sleep(500 * time.Millisecond) // the start is not what is measured
	var bursts []time.Duration
	bytes, span := 0.0, 0.0
	var cpu time.Duration
	for b.Loop() {
		c0 := usedCPU()
		got := r.collect(2 * time.Second)
		cpu += usedCPU() - c0
		require.Greater(b, len(got), 10)
		burst := 0
		for i, p := range got {
			size := float64(p.size)
			if i > 0 {
				bytes += size
				if gap := p.at.Sub(got[i-1].at).Seconds(); gap > size*8/float64(rate)/2 {
					bursts = append(bursts, time.Duration(float64(burst*8)/float64(rate)*1e9))
					burst = 0
				}
			}
			burst += p.size
		}
		span += got[len(got)-1].at.Sub(got[0].at).Seconds()
	}
	slices.Sort(bursts)
	p99 := bursts[len(bursts)*99/100]
	b.ReportMetric(float64(p99)/1e3, "p99-burst-us")
	b.ReportMetric(p99.Seconds()*float64(rate)/8/1500, "p99-burst-packets")
	b.ReportMetric(math.Abs(bytes*8/span/float64(rate)-1)*100, "rate-error-%")
	b.ReportMetric(cpu.Seconds()/(bytes/1e9), "cpu-s/GB")
	b.ReportMetric(0, "ns/op")
}

type stamp struct {
	at   time.Time
	size int // IP bytes
}

// stampRelay passes datagrams on and notes when those of the client arrived.
type stampRelay struct {
	front  *net.UDPConn
	noting atomic.Bool
	stamps chan stamp
}

func newStampRelay(b *testing.B, server netip.AddrPort) *stampRelay {
	b.Helper()
	front, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(b, err)
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(b, err)
	back, err := udp.New(conn, udp.Options{})
	require.NoError(b, err)
	require.NoError(b, front.SetReadBuffer(8<<20))
	raw, err := front.SyscallConn()
	require.NoError(b, err)
	require.NoError(b, raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	}))
	require.NoError(b, err)
	r := &stampRelay{front: front, stamps: make(chan stamp, 1<<20)}
	b.Cleanup(func() { front.Close(); back.Close() })
	var client atomic.Pointer[netip.AddrPort]
	go func() {
		buf, oob := make([]byte, 128<<10), make([]byte, 256)
		for {
			// What is there goes on in one call, for the relay shall not be what is slow.
			var trains []udp.Train
			used := 0
			err := raw.Read(func(fd uintptr) bool {
				for used < len(buf)/2 {
					n, on, _, from, err := unix.Recvmsg(int(fd), buf[used:], oob, unix.MSG_DONTWAIT)
					if err != nil {
						return used > 0 || err != unix.EAGAIN
					}
					if from, ok := from.(*unix.SockaddrInet4); ok && client.Load() == nil {
						addr := netip.AddrPortFrom(netip.AddrFrom4(from.Addr), uint16(from.Port))
						client.Store(&addr)
					}
					if r.noting.Load() {
						r.note(oob[:on], n+28)
					}
					if k := len(trains) - 1; k >= 0 && n <= trains[k].Seg && len(trains[k].Buf)%trains[k].Seg == 0 {
						trains[k].Buf = trains[k].Buf[:len(trains[k].Buf)+n]
					} else {
						trains = append(trains, udp.Train{Addr: server, Buf: buf[used : used+n : len(buf)], Seg: n})
					}
					used += n
				}
				return true
			})
			if err != nil || back.WriteTrains(trains) != nil {
				return
			}
		}
	}()
	go func() {
		batch := back.NewBatch()
		for back.ReadBatch(batch) == nil {
			for i := range batch.Trains {
				for k := range batch.Trains[i].Len() {
					if to := client.Load(); to != nil {
						if _, err := front.WriteToUDPAddrPort(batch.Trains[i].At(k), *to); err != nil {
							return
						}
					}
				}
			}
		}
	}()
	return r
}

// note keeps when the kernel got a packet.
func (r *stampRelay) note(oob []byte, size int) {
	messages, err := unix.ParseSocketControlMessage(oob)
	for i := range messages {
		if m := &messages[i]; err == nil && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			r.stamps <- stamp{time.Unix((*unix.Timespec)(unsafe.Pointer(&m.Data[0])).Unix()), size}
		}
	}
}

// collect returns what arrives in a time.
func (r *stampRelay) collect(d time.Duration) []stamp {
	for len(r.stamps) > 0 {
		<-r.stamps
	}
	r.noting.Store(true)
	time.Sleep(d)
	r.noting.Store(false)
	var out []stamp
	for len(r.stamps) > 0 {
		out = append(out, <-r.stamps)
	}
	return out
}
