package fasp

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

// Real sockets: the loopback interface takes 65,536 bytes.
func TestSearchOverLoopback(t *testing.T) {
	for _, tc := range []struct {
		name           string
		server, client int // MaxDatagram
		want           int
	}{
		{"largest", 0, 0, 8972},
		{"capped by the receiver", 4000, 0, 4000},
		{"switched off", 0, 1472, 1472},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e, err := Listen("127.0.0.1:0", Config{Identity: testIdentity, MaxDatagram: tc.server})
			require.NoError(t, err)
			defer e.Close()
			cfg := testConfig()
			cfg.MaxDatagram, cfg.Rates.Target = tc.client, 300*Mbps
			c, err := Dial(t.Context(), e.LocalAddr().String(), cfg)
			require.NoError(t, err)
			defer c.Close(CodeDone, "")
			s, err := e.Accept(t.Context())
			require.NoError(t, err)
			exchange(t, c, s, 16<<20, 300_000)
			require.Equal(t, tc.want, c.Stats().Datagram)
		})
	}
}

// A session finds the size that its path carries, in either direction and at any loss, and what it sends arrives whole.
func TestSearch(t *testing.T) {
	for mtu, want := range map[int]int{1280: 1200, 1400: 1200, 1500: 1472, 2100: 1952, 9000: 8972} {
		for _, loss := range []float64{0, 0.3} {
			if testing.Short() && (mtu < 9000) == (loss == 0) {
				continue
			}
			t.Run(fmt.Sprintf("%d/%g", mtu, loss), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := testConfig()
					cfg.Rates.Target = 150 * Mbps
					w := newWorld(t, simnet.Impair{Delay: 10 * time.Millisecond, Loss: loss, MTU: mtu}, Config{Rates: cfg.Rates}, cfg)
					defer w.close()
					from, to := w.connect()
					if loss > 0 {
						from, to = to, from
					}
					exchange(t, from, to, 40<<20, 300_000)
					require.Equal(t, want, from.Stats().Datagram)
					require.Less(t, to.Stats().Datagram, 1500, "each direction has its own size")
				})
			})
		}
	}
}

// The route changes to ever smaller MTUs while blocks are under way, some of them half there, and parity is in use.
func TestBlackHole(t *testing.T) {
	for _, policy := range []Policy{Fixed, Fair} {
		for _, loss := range []float64{0, 0.1} {
			if testing.Short() && (policy == Fair) == (loss == 0) {
				continue
			}
			t.Run(fmt.Sprintf("%v/%g", policy, loss), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					path := simnet.Impair{Rate: 150e6, Queue: 50 * time.Millisecond, Delay: 20 * time.Millisecond, Loss: loss, MTU: 9000}
					cfg := testConfig()
					cfg.Rates = Rates{Policy: policy, Target: 140 * Mbps}
					w := newWorld(t, path, Config{}, cfg)
					defer w.close()
					c, s := w.connect()
					mtu := func(n int) {
						path.MTU = n
						w.net.SetPath(netip.MustParseAddr("10.0.0.2"), w.at.Addr(), path, path)
					}
					done := make(chan struct{})
					go func() {
						defer close(done)
						exchange(t, c, s, 100<<20, 1<<20)
					}()
					time.Sleep(2500 * time.Millisecond)
					require.Equal(t, 8972, c.Stats().Datagram)
					mtu(1500)
					time.Sleep(2500 * time.Millisecond)
					require.Equal(t, 1472, c.Stats().Datagram)
					mtu(1280)
					time.Sleep(2500 * time.Millisecond)
					require.Equal(t, 1200, c.Stats().Datagram)
					<-done
				})
			})
		}
	}
}

// The MTU falls while an object that is all tail is under way: parity of the larger cut is given up on both sides, and what has arrived of
// the data is not sent again.
func TestBlackHoleInTail(t *testing.T) {
	var parity, decoded uint64
	seeds := 20
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			path := simnet.Impair{Delay: 20 * time.Millisecond, Loss: 0.2, MTU: 9000}
			cfg := testConfig()
			cfg.Rates.Target = 150 * Mbps
			w := newWorld(t, path, Config{}, cfg)
			defer w.close()
			c, s := w.connect()
			exchange(t, c, s, 4<<20, 1<<20)
			require.Equal(t, 8972, c.Stats().Datagram, "seed %d", seed)
			before := c.Stats()
			done := make(chan struct{})
			go func() {
				defer close(done)
				exchange(t, c, s, 1_500_000, 700_000)
			}()
			time.Sleep(time.Duration(seed) * 10 * time.Millisecond)
			path.MTU = 1500 - 200*(seed%2)
			w.net.SetPath(netip.MustParseAddr("10.0.0.2"), w.at.Addr(), path, path)
			<-done
			parity += c.Stats().ParitySent - before.ParitySent
			decoded += s.Stats().BlocksDecoded
		})
	}
	require.NotZero(t, parity)
	require.NotZero(t, decoded)
}

// narrowConn is a socket on an interface with a small MTU.
type narrowConn struct {
	net.PacketConn
	most int
}

func (c *narrowConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if len(b) > c.most {
		return 0, syscall.EMSGSIZE
	}
	return c.PacketConn.WriteTo(b, to)
}

// What the sender's own interface does not take is given up at once.
func TestNarrowInterface(t *testing.T) {
	for most, want := range map[int]int{1400: 1200, 1472: 1472, 4000: 3952, 8900: 8752} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testConfig()
				cfg.Rates.Target = 150 * Mbps
				w := newWorld(t, simnet.Impair{Delay: 10 * time.Millisecond}, Config{}, testConfig())
				defer w.close()
				pc, err := w.net.Listen(netip.MustParseAddrPort("10.0.0.2:4001"))
				require.NoError(t, err)
				e, err := NewEndpoint(&narrowConn{pc, most}, cfg)
				require.NoError(t, err)
				defer e.Close()
				c, err := e.Dial(t.Context(), w.at)
				require.NoError(t, err)
				s, err := w.server.Accept(t.Context())
				require.NoError(t, err)
				start := time.Now()
				exchange(t, c, s, 2<<20, 200_000)
				require.Equal(t, want, c.Stats().Datagram)
				require.Less(t, time.Since(start), 400*time.Millisecond)
			})
		})
	}
}

// What a peer that knows size classes may not do (sections 5.6, 6.2). Others are in the tests of core.
func TestSizeViolations(t *testing.T) {
	send := func(c *rawClient, class uint8, sym uint16, n int) {
		c.send(wire.Short{Data: true, Class: class, Symbol: sym}, make([]byte, n-wire.DataOverhead))
	}
	for name, tc := range map[string]struct {
		features uint64
		offend   func(c *rawClient)
	}{
		"class not agreed on": {wire.FeatureParity, func(c *rawClient) { send(c, wire.ClassLargest, 0, 8972) }},
		"class not in use":    {wire.FeatureSearch, func(c *rawClient) { send(c, wire.ClassParity, 0, 1472) }},
		"wrong size":          {wire.FeatureSearch, func(c *rawClient) { send(c, wire.ClassLargest, 0, 9000) }},
		"anew at a middle size": {wire.FeatureSearch, func(c *rawClient) {
			send(c, wire.ClassLargest, 0, 8972)
			send(c, wire.ClassOf1952, 3, 1952)
		}},
		"parity of no size": {wire.FeatureSearch | wire.FeatureParity, func(c *rawClient) { send(c, wire.ClassParity, 0, 1300) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simnet.Impair{Delay: 10 * time.Millisecond}, Config{}, testConfig())
				c := dialRawWith(t, w, netip.MustParseAddrPort("10.0.0.9:9"), tc.features)
				s, err := w.server.Accept(t.Context())
				require.NoError(t, err)
				tc.offend(c)
				require.Equal(t, uint64(CodeProtocol), c.closed().Code)
				<-s.Done()
				c.pc.Close()
				w.close()
			})
		})
	}
	t.Run("late packets of larger sizes, and the reserved class, harm nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simnet.Impair{Delay: 10 * time.Millisecond}, Config{}, testConfig())
			c := dialRawWith(t, w, netip.MustParseAddrPort("10.0.0.9:9"), wire.FeatureSearch)
			s, err := w.server.Accept(t.Context())
			require.NoError(t, err)
			want := make([]byte, 2000)
			for i := range want {
				want[i] = byte(i)
			}
			c.send(wire.Short{Data: true, Class: wire.ClassSmall}, want[:1166])
			send(c, wire.ClassOrdinary, 0, 1472)
			send(c, wire.ClassLargest, 0, 8972)
			send(c, 7, 0, 1200)
			c.send(wire.Short{Data: true, Class: wire.ClassSmall, Symbol: 1, Last: true}, want[1166:])
			b, err := s.ReceiveBlock(t.Context())
			require.NoError(t, err)
			require.Equal(t, want, b.Data)
			b.Release()
			c.pc.Close()
			w.close()
		})
	})
}
