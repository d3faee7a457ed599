package wanlink

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tradewind-io/tradewind/internal/simnet"
)

// BenchmarkRelay blasts 1500-byte packets through a relay. In the shaped cases the blaster offers 5 % more than the
// link's rate and the achieved rate is measured; in the delay cases it offers the rate to a link that only delays, and
// the error of the one-way delay is measured from outside, with the kernel's time stamps at the far end. Sender, relay
// and receiver run in this one process; GOMAXPROCS is raised so that they compete for cores in the kernel, as processes
// of their own would, and not for the right to run Go code.
//
//	go test -run '^$' -bench Relay -benchtime 250000x ./internal/wanlink
func BenchmarkRelay(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	for _, mbit := range []float64{300, 600} {
		b.Run(fmt.Sprintf("shaped/%vMbit", mbit), func(b *testing.B) {
			blast(b, mbit*1.05e6, simnet.Impair{Rate: mbit * 1e6, Delay: 20 * ms, Queue: 50 * ms}, false)
		})
		b.Run(fmt.Sprintf("delay/%vMbit", mbit), func(b *testing.B) {
			blast(b, mbit*1e6, simnet.Impair{Delay: 20 * ms}, true)
		})
	}
}

func blast(b *testing.B, rate float64, link simnet.Impair, delays bool) {
	const payload = 1472
	loopback := netip.MustParseAddrPort("127.0.0.1:0")
	sink, err := openUDP(loopback, netip.AddrPort{}, defaultSocketBuffer)
	require.NoError(b, err)
	r := startRelay(b, sink.local, Config{Forward: link, Seed: 1})
	source, err := openUDP(loopback, r.Addr(), defaultSocketBuffer)
	require.NoError(b, err)
	defer source.close()

	var result sinkResult
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		result = receiveAll(sink, stop)
	}()

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	const burst = 8
	tx := newSender()
	bufs := make([][payload]byte, burst)
	perNs := rate / 8 / (payload + 28) / 1e9
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	start := time.Now()
	for sent := 0; sent < b.N; {
		due := min(int(float64(time.Since(start))*perNs)-sent, b.N-sent, burst)
		if due <= 0 {
			ts := unix.NsecToTimespec(50_000)
			unix.Nanosleep(&ts, nil)
			continue
		}
		now := uint64(time.Now().UnixNano())
		for i := range due {
			binary.BigEndian.PutUint64(bufs[i][:], now)
			tx.set(i, bufs[i][:], nil)
		}
		tx.write(source.file, due)
		sent += due
	}
	offered := float64(b.N) * (payload + 28) * 8 / time.Since(start).Seconds()
	b.StopTimer()
	runtime.ReadMemStats(&after)
	until(b, "the link drains", func() bool {
		s := r.Stats().Forward
		return s.InFlight == 0 && s.Sent+s.SocketDrops >= int64(b.N)
	})
	close(stop)
	<-done
	sink.close()

	s := r.Stats()
	seconds := time.Since(start).Seconds()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(offered/1e6, "offered-Mbit/s")
	if span := result.last - result.first; span > 0 {
		b.ReportMetric(float64(result.packets-1)*(payload+28)*8/float64(span)*1e3, "achieved-Mbit/s")
	}
	b.ReportMetric(float64(s.Forward.LatenessP50)/1e3, "late-p50-us")
	b.ReportMetric(float64(s.Forward.LatenessP99)/1e3, "late-p99-us")
	b.ReportMetric(float64(s.CPU)/1e9/seconds*100, "%core")
	b.ReportMetric(float64(s.Overruns()), "overruns")
	b.ReportMetric(float64(s.Forward.SocketDrops), "relay-drops")
	b.ReportMetric(float64(result.drops), "sink-drops")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N), "allocs/packet")
	if delays && len(result.delays) > 0 {
		slices.Sort(result.delays)
		at := func(q float64) float64 {
			return float64(result.delays[int(q*float64(len(result.delays)-1))]-link.Delay) / 1e3
		}
		b.ReportMetric(at(0.5), "err-p50-us")
		b.ReportMetric(at(0.99), "err-p99-us")
	}
}

type sinkResult struct {
	packets     int
	drops       uint32 // by the kernel, because the sink did not get a core in time
	first, last int64  // ns since 1970
	delays      []time.Duration
}

// receiveAll reads the sink until stop is closed.
func receiveAll(s *udpSocket, stop <-chan struct{}) (r sinkResult) {
	rx := newReceiver()
	r.delays = make([]time.Duration, 0, 1<<20)
	fds := []unix.PollFd{{Fd: int32(s.file), Events: unix.POLLIN}}
	for {
		n, err := rx.read(s.file)
		if err != nil || n == 0 {
			select {
			case <-stop:
				return r
			default:
			}
			unix.Poll(fds, 10)
			continue
		}
		for i := range n {
			m := rx.message(i)
			if r.packets == 0 {
				r.first = m.stamp
			}
			r.packets++
			r.drops = max(r.drops, m.drops)
			r.last = m.stamp
			r.delays = append(r.delays, time.Duration(m.stamp-int64(binary.BigEndian.Uint64(m.data))))
		}
		ts := unix.NsecToTimespec(200_000) // gather a batch: the stamps are the kernel's
		unix.Nanosleep(&ts, nil)
	}
}
