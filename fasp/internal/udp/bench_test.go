package udp

import (
	"errors"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// benchSeg is the datagram that fills an IPv4 packet of 1494 bytes.
const benchSeg = 1466

var benchModes = []struct {
	name string
	opts Options
}{
	{"portable", Options{Portable: true}},
	{"sendmmsg", Options{NoGSO: true, NoGRO: true}},
	{"gso", Options{NoGRO: true}},
	{"gso+gro", Options{}},
}

// BenchmarkLoopback sends trains of 44 datagrams over loopback as fast as one
// goroutine can, to a reader that keeps up or drops. Mbit/s-in is what the
// reader got, over the time the writer took; both share the machine's cores.
func BenchmarkLoopback(b *testing.B) {
	for _, m := range benchModes {
		b.Run(m.name, func(b *testing.B) {
			from, to := listen(b, "", "127.0.0.1:0", m.opts), listen(b, "", "127.0.0.1:0", m.opts)
			done := make(chan error)
			go func() {
				batch := to.NewBatch()
				for {
					if err := to.ReadBatch(batch); err != nil {
						done <- err
						return
					}
				}
			}()
			train := []Train{{Addr: to.LocalAddr(), Buf: make([]byte, 44*benchSeg), Seg: benchSeg}}
			b.SetBytes(44 * benchSeg)
			b.ReportAllocs()
			for b.Loop() {
				if err := from.WriteTrains(train); err != nil {
					b.Fatal(err)
				}
			}
			elapsed := b.Elapsed().Seconds()
			out, in := from.Stats(), to.Stats()
			require.NoError(b, to.Close())
			if err := <-done; !errors.Is(err, net.ErrClosed) {
				b.Fatal(err)
			}
			b.ReportMetric(float64(out.BytesOut)*8/elapsed/1e6, "Mbit/s-out")
			b.ReportMetric(float64(in.BytesIn)*8/elapsed/1e6, "Mbit/s-in")
			b.ReportMetric(float64(out.DatagramsOut)/float64(out.SyscallsOut), "dgrams/call-out")
			b.ReportMetric(float64(in.DatagramsIn)/float64(max(in.SyscallsIn, 1)), "dgrams/call-in")
		})
	}
}

// TestNoAllocations: the steady state of both directions allocates nothing.
func TestNoAllocations(t *testing.T) {
	for _, m := range benchModes {
		t.Run(m.name, func(t *testing.T) {
			from, to := listen(t, "", "127.0.0.1:0", m.opts), listen(t, "", "127.0.0.1:0", m.opts)
			train := []Train{
				{Addr: to.LocalAddr(), Buf: make([]byte, 20*benchSeg), Seg: benchSeg},
				{Addr: to.LocalAddr(), Buf: make([]byte, 100)},
			}
			batch := to.NewBatch()
			round := func() {
				if err := from.WriteTrains(train); err != nil {
					t.Fatal(err)
				}
				for n := 0; n < 21; n += count(batch) {
					if err := to.ReadBatch(batch); err != nil {
						t.Fatal(err)
					}
				}
			}
			for range 20 {
				round()
			}
			// The writers' pool may be emptied by a collection, hence not zero per
			// round but well below one.
			require.Less(t, testing.AllocsPerRun(200, round), 1.0)
		})
	}
}
