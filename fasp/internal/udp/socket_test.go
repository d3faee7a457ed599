package udp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// modes are the setups that every test of the suite runs with. On systems
// without the fast driver they all come down to the portable one.
var modes = []struct {
	name string
	opts Options
}{
	{"portable", Options{Portable: true}},
	{"fast", Options{}},
	{"fast-nogso", Options{NoGSO: true}},
	{"fast-nogro", Options{NoGRO: true}},
	{"fast-nobatch", Options{NoBatch: true}},
	{"fast-plain", Options{NoGSO: true, NoGRO: true, NoBatch: true}},
	{"fast-dummy", Options{DummyTail: true}},
	{"wrapped", Options{}}, // a PacketConn that is no *net.UDPConn
}

// families are the pairs of addresses the suite runs between.
var families = []struct{ name, a, b string }{
	{"ipv4", "127.0.0.1:0", "127.0.0.1:0"},
	{"ipv6", "[::1]:0", "[::1]:0"},
	{"dual", "[::]:0", "127.0.0.1:0"},
}

// plainConn hides all of a connection but net.PacketConn.
type plainConn struct{ net.PacketConn }

func listen(t testing.TB, mode, addr string, o Options) *Socket {
	t.Helper()
	pc, err := net.ListenPacket("udp", addr)
	if err != nil && addr[0] == '[' {
		t.Skipf("SKIPPED: no IPv6 on this machine: %v", err)
	}
	require.NoError(t, err)
	if mode == "wrapped" {
		pc = plainConn{pc}
	}
	s, err := New(pc, o)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// target is the address at which another socket of this machine reaches s.
func target(s, from *Socket) netip.AddrPort {
	a := s.LocalAddr()
	if !a.Addr().IsUnspecified() {
		return a
	}
	if from.LocalAddr().Addr().Is4() {
		return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), a.Port())
	}
	return netip.AddrPortFrom(netip.IPv6Loopback(), a.Port())
}

// suite runs f for every mode and pair of addresses.
func suite(t *testing.T, f func(t *testing.T, a, b *Socket)) {
	for _, m := range modes {
		for _, fam := range families {
			t.Run(m.name+"/"+fam.name, func(t *testing.T) {
				f(t, listen(t, m.name, fam.a, m.opts), listen(t, m.name, fam.b, m.opts))
			})
		}
	}
}

// Packet is one datagram of a train.
type Packet struct {
	Addr netip.AddrPort
	Data []byte
	ECN  uint8
}

// packets takes the trains of b apart.
func packets(b *Batch) (list []Packet) {
	for i := range b.Trains {
		t := &b.Trains[i]
		for k := range t.Len() {
			list = append(list, Packet{t.Addr, t.At(k), t.ECN})
		}
	}
	return list
}

// count is the number of datagrams in b.
func count(b *Batch) (n int) {
	for i := range b.Trains {
		n += b.Trains[i].Len()
	}
	return n
}

// receive reads until n datagrams that are no dummies have come, and returns
// copies. The deadline only keeps a broken socket from hanging the test.
func receive(t *testing.T, s *Socket, n int) []Packet {
	t.Helper()
	require.NoError(t, s.SetReadDeadline(time.Now().Add(20*time.Second)))
	var got []Packet
	b := s.NewBatch()
	for len(got) < n {
		require.NoError(t, s.ReadBatch(b), "after %d of %d datagrams", len(got), n)
		require.NotEmpty(t, b.Trains)
		for _, p := range packets(b) {
			if len(p.Data) == 1 && p.Data[0] == 0 {
				continue // dummy tail
			}
			got = append(got, Packet{Addr: p.Addr, Data: bytes.Clone(p.Data), ECN: p.ECN})
		}
	}
	require.Len(t, got, n)
	return got
}

// fill returns n bytes without zeros, so that no datagram looks like a dummy.
func fill(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(1 + rng.IntN(255))
	}
	return b
}

func seeded(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func TestTrains(t *testing.T) {
	for _, c := range []struct{ n, seg int }{
		{1, 0},       // one datagram of one byte
		{700, 0},     // no segment size
		{700, 9000},  // segment size beyond the buffer
		{1400, 1400}, // exactly one
		{2801, 1400}, // a last one of one byte
		{64 * 100, 100},
		{65 * 100, 100}, // more than fit one GSO message by number
		{200*100 + 7, 100},
		{70*1466 + 5, 1466}, // more than fit one by size
		{3 * 40000, 40000},  // where GSO can join no two
		{40 * 1, 1},
	} {
		t.Run(fmt.Sprintf("%dx%d", c.n, c.seg), func(t *testing.T) {
			suite(t, func(t *testing.T, a, b *Socket) {
				buf := fill(seeded(t), c.n)
				want := 0
				tr := Train{Addr: target(b, a), Buf: buf, Seg: c.seg}
				require.NoError(t, a.WriteTrains([]Train{tr}))
				var got []byte
				seg := tr.seg()
				want = (c.n + seg - 1) / seg
				for i, p := range receive(t, b, want) {
					require.Equal(t, target(a, b), p.Addr, "sender of datagram %d", i)
					require.Len(t, p.Data, min(seg, c.n-i*seg), "datagram %d", i)
					got = append(got, p.Data...)
				}
				require.True(t, bytes.Equal(buf, got), "content differs")

				out, in := a.Stats(), b.Stats()
				require.EqualValues(t, want, out.DatagramsOut)
				require.EqualValues(t, c.n, out.BytesOut)
				require.EqualValues(t, want+int(out.DummiesOut), in.DatagramsIn)
				require.EqualValues(t, c.n+int(out.DummiesOut), in.BytesIn)
				require.Zero(t, out.GSOFallbacks)
				require.Zero(t, in.KernelDrops)
			})
		})
	}
}

// TestManyTrains sends trains of random shape to two receivers in one call.
func TestManyTrains(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			rng := seeded(t)
			a := listen(t, m.name, "[::]:0", m.opts)
			dst := []*Socket{listen(t, m.name, "127.0.0.1:0", m.opts), listen(t, m.name, "[::1]:0", m.opts)}
			// Rounds, because unread datagrams must fit the smallest read buffer
			// that systems give an unprivileged process.
			for range 15 {
				want := make([][][]byte, len(dst))
				var trains []Train
				for range 10 {
					to := rng.IntN(len(dst))
					tr := Train{Addr: dst[to].LocalAddr(), Buf: fill(rng, rng.IntN(9000)), Seg: 600 + rng.IntN(866)}
					if rng.IntN(5) == 0 && to == 0 {
						tr.Addr = netip.AddrPortFrom(netip.AddrFrom16(tr.Addr.Addr().As16()), tr.Addr.Port())
					}
					for off := 0; off < len(tr.Buf); off += tr.Seg {
						want[to] = append(want[to], tr.Buf[off:min(off+tr.Seg, len(tr.Buf))])
					}
					trains = append(trains, tr)
				}
				require.NoError(t, a.WriteTrains(trains))
				for to, s := range dst {
					for i, p := range receive(t, s, len(want[to])) {
						require.True(t, bytes.Equal(want[to][i], p.Data), "datagram %d to %d differs", i, to)
					}
				}
			}
		})
	}
}

func TestEmpty(t *testing.T) {
	suite(t, func(t *testing.T, a, b *Socket) {
		require.NoError(t, a.WriteTrains(nil))
		require.NoError(t, a.WriteTrains([]Train{{Addr: target(b, a)}}))
		require.Zero(t, a.Stats().DatagramsOut)
	})
}

// TestEmptyDatagram: peers may send them, and the reader must not take one for
// the end of anything.
func TestEmptyDatagram(t *testing.T) {
	suite(t, func(t *testing.T, a, b *Socket) {
		to := net.UDPAddrFromAddrPort(target(b, a))
		_, err := a.pc.WriteTo(nil, to)
		require.NoError(t, err)
		_, err = a.pc.WriteTo([]byte("x"), to)
		require.NoError(t, err)
		got := receive(t, b, 2)
		require.Empty(t, got[0].Data)
		require.Equal(t, "x", string(got[1].Data))
	})
}

func TestOversize(t *testing.T) {
	suite(t, func(t *testing.T, a, b *Socket) {
		to := target(b, a)
		err := a.WriteTrains([]Train{
			{Addr: to, Buf: []byte("before")},
			{Addr: to, Buf: bytes.Repeat([]byte("x"), 2*(MaxDatagram+1)+4), Seg: MaxDatagram + 1},
			{Addr: to, Buf: []byte("after")},
		})
		require.Equal(t, &SizeError{Addr: to, Size: MaxDatagram + 1}, err)
		got := receive(t, b, 3)
		require.Equal(t, "before", string(got[0].Data))
		require.Equal(t, "xxxx", string(got[1].Data), "the short last datagram of the bad train")
		require.Equal(t, "after", string(got[2].Data))
		require.EqualValues(t, 2, a.Stats().Oversize)

		err = a.WriteTrains([]Train{
			{Addr: to, Buf: make([]byte, MaxDatagram+1)},
			{Addr: to, Buf: make([]byte, MaxDatagram+2)},
		})
		var joined interface{ Unwrap() []error }
		require.ErrorAs(t, err, &joined)
		require.Len(t, joined.Unwrap(), 2, "one error per train")
	})
}

func TestUnreachableFamily(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			a := listen(t, m.name, "127.0.0.1:0", m.opts)
			b := listen(t, m.name, "127.0.0.1:0", m.opts)
			bad := netip.MustParseAddrPort("[::1]:9")
			err := a.WriteTrains([]Train{
				{Addr: bad, Buf: make([]byte, 300), Seg: 100},
				{Addr: target(b, a), Buf: []byte("good")},
			})
			var se *SendError
			require.ErrorAs(t, err, &se)
			require.Equal(t, bad, se.Addr)
			require.EqualValues(t, 3, a.Stats().SendErrors)
			require.Equal(t, "good", string(receive(t, b, 1)[0].Data))
		})
	}
}

// TestDeadPeer: datagrams to a closed port come back as ICMP errors, which must
// end neither reading nor writing.
func TestDeadPeer(t *testing.T) {
	suite(t, func(t *testing.T, a, b *Socket) {
		dead := target(b, a)
		require.NoError(t, b.Close())
		for range 3 {
			require.NoError(t, a.WriteTrains([]Train{{Addr: dead, Buf: make([]byte, 400), Seg: 100}}))
		}
		require.NoError(t, a.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
		require.ErrorIs(t, a.ReadBatch(a.NewBatch()), os.ErrDeadlineExceeded)
	})
}

func TestDeadline(t *testing.T) {
	suite(t, func(t *testing.T, a, b *Socket) {
		batch := b.NewBatch()
		require.NoError(t, b.SetReadDeadline(time.Unix(1, 0)))
		require.ErrorIs(t, b.ReadBatch(batch), os.ErrDeadlineExceeded)
		require.Empty(t, batch.Trains)
		require.NoError(t, b.SetReadDeadline(time.Time{}))
		require.NoError(t, a.WriteTrains([]Train{{Addr: target(b, a), Buf: []byte("hello")}}))
		require.NoError(t, b.ReadBatch(batch))
		require.Equal(t, "hello", string(packets(batch)[0].Data))
	})
}

func TestClosed(t *testing.T) {
	suite(t, func(t *testing.T, a, b *Socket) {
		require.NoError(t, a.Close())
		require.NoError(t, a.Close(), "Close is idempotent")
		require.ErrorIs(t, a.ReadBatch(a.NewBatch()), net.ErrClosed)
		require.ErrorIs(t, a.WriteTrains([]Train{{Addr: target(b, a), Buf: []byte("x")}}), net.ErrClosed)
	})
}

// TestConcurrentClose closes a socket under a blocked reader and busy writers.
func TestConcurrentClose(t *testing.T) {
	suite(t, func(t *testing.T, a, b *Socket) {
		var wg sync.WaitGroup
		first := make(chan struct{})
		var once sync.Once
		wg.Go(func() {
			batch := b.NewBatch()
			for {
				if err := b.ReadBatch(batch); err != nil {
					if !errors.Is(err, net.ErrClosed) {
						t.Errorf("read: %v", err)
					}
					return
				}
				once.Do(func() { close(first) })
			}
		})
		for range 3 {
			wg.Go(func() {
				tr := []Train{{Addr: target(b, a), Buf: make([]byte, 14000), Seg: 1400}}
				for {
					if err := a.WriteTrains(tr); err != nil {
						if !errors.Is(err, net.ErrClosed) {
							t.Errorf("write: %v", err)
						}
						return
					}
				}
			})
		}
		<-first
		wg.Go(func() { _ = b.Close() })
		wg.Go(func() { _ = b.Close() })
		_ = a.Close()
		wg.Wait()
	})
}

// TestManyWriters checks that concurrent trains stay whole and in order each.
func TestManyWriters(t *testing.T) {
	suite(t, func(t *testing.T, a, b *Socket) {
		const writers, trains, segs, seg = 4, 4, 10, 500
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				buf := bytes.Repeat([]byte{1}, segs*seg)
				for n := range trains {
					for i := range segs {
						binary.BigEndian.PutUint32(buf[i*seg:], uint32(w<<16|n*segs+i))
					}
					if err := a.WriteTrains([]Train{{Addr: target(b, a), Buf: buf, Seg: seg}}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		var next [writers]uint32
		for _, p := range receive(t, b, writers*trains*segs) {
			v := binary.BigEndian.Uint32(p.Data)
			require.Equal(t, next[v>>16], v&0xffff, "writer %d", v>>16)
			next[v>>16]++
		}
		wg.Wait()
	})
}

func TestConnectedRefused(t *testing.T) {
	c, err := net.Dial("udp", "127.0.0.1:9")
	require.NoError(t, err)
	defer c.Close()
	_, err = New(c.(*net.UDPConn), Options{})
	require.ErrorContains(t, err, "connected")
}

func TestForeignBatch(t *testing.T) {
	a, b := listen(t, "", "127.0.0.1:0", Options{}), listen(t, "", "127.0.0.1:0", Options{})
	require.Panics(t, func() { _ = a.ReadBatch(b.NewBatch()) })
}
