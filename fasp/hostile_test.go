package fasp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

var (
	serverAddr = netip.MustParseAddrPort("10.0.0.1:33001")
	clientAddr = netip.MustParseAddrPort("10.0.0.2:4000")
)

// refused is how many datagrams the two ends have dropped for any reason.
func (w *world) refused(conns ...*Conn) (n uint64) {
	for _, c := range conns {
		n += c.Stats().Dropped
	}
	for _, e := range []*Endpoint{w.server, w.client} {
		n += e.dropped.Load() + e.overflow.Load()
	}
	return n
}

func isShort(data []byte) bool { return len(data) > 1 && !wire.IsLong(data) }

// Beside the session's packets come damaged, shortened, invented and repeated ones, in both directions. All are dropped and
// counted, and the exchange is right.
func TestBadPackets(t *testing.T) {
	for name, spoil := range map[string]func(rng *rand.Rand, p []byte) []byte{
		"truncated": func(rng *rand.Rand, p []byte) []byte { return p[:2+rng.IntN(len(p)-2)] },
		"bit flipped": func(rng *rand.Rand, p []byte) []byte {
			i := rng.IntN(len(p)*8 - 1)
			p[(i+1)/8] ^= 0x80 >> ((i + 1) % 8)
			return p
		},
		"lengthened": func(rng *rand.Rand, p []byte) []byte { return append(p, byte(rng.Uint32())) },
		"forged": func(rng *rand.Rand, p []byte) []byte {
			for i := 12; i < len(p); i++ {
				p[i] = byte(rng.Uint32())
			}
			return p
		},
		"forged far ahead": func(_ *rand.Rand, p []byte) []byte { p[6] ^= 0x40; return p },
		"other key phase":  func(_ *rand.Rand, p []byte) []byte { p[0] ^= 0x40; return p },
		"replayed":         func(_ *rand.Rand, p []byte) []byte { return p },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simnet.Impair{Rate: 50e6, Delay: 20 * time.Millisecond, ReorderProb: 0.01, ReorderBy: 3 * time.Millisecond}, Config{Rates: testConfig().Rates}, testConfig())
				c, s := w.connect()
				time.Sleep(time.Second)
				rng := rand.New(rand.NewPCG(1, 2))
				var mu sync.Mutex
				var injected uint64
				before := w.refused(c, s)
				w.net.Tap(func(from, to netip.AddrPort, data []byte) simnet.Verdict {
					mu.Lock()
					defer mu.Unlock()
					if isShort(data) && rng.IntN(4) == 0 {
						injected++
						w.net.Inject(from, to, spoil(rng, append([]byte(nil), data...)))
					}
					return simnet.Verdict{}
				})
				exchange(t, c, s, 2<<20, 50_000)
				exchange(t, s, c, 1<<20, 50_000)
				w.net.Tap(nil)
				time.Sleep(time.Second) // what is under way arrives
				require.Greater(t, injected, uint64(400))
				dropped := w.refused(c, s) - before
				t.Logf("%d injected, %d dropped", injected, dropped)
				require.InDelta(t, injected, dropped, float64(injected)/100+2)
				w.close()
			})
		})
	}
}

// Everything that crossed the network during a session is replayed later, from the right address and from another, while the session
// goes on and after it has ended.
func TestReplayedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simnet.Impair{Rate: 50e6, Delay: 20 * time.Millisecond}, Config{}, testConfig())
		type datagram struct {
			from, to netip.AddrPort
			data     []byte
		}
		var mu sync.Mutex
		var recorded []datagram
		w.net.Tap(func(from, to netip.AddrPort, data []byte) simnet.Verdict {
			mu.Lock()
			defer mu.Unlock()
			recorded = append(recorded, datagram{from, to, append([]byte(nil), data...)})
			return simnet.Verdict{}
		})
		c, s := w.connect()
		exchange(t, c, s, 500_000, 50_000)
		w.net.Tap(nil)
		time.Sleep(time.Second)
		replay := func() {
			for i, d := range recorded {
				w.net.Inject(d.from, d.to, d.data)
				w.net.Inject(netip.MustParseAddrPort("10.66.0.1:1000"), d.to, d.data)
				if i%50 == 0 {
					time.Sleep(time.Millisecond) // the endpoints keep up
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		blocks, messages := s.Stats().BlocksReceived, len(s.messages)
		replay()
		require.Equal(t, clientAddr.String(), s.RemoteAddr().String())
		require.Equal(t, blocks, s.Stats().BlocksReceived)
		require.Len(t, s.messages, messages)
		require.Equal(t, 1, w.server.Stats().Sessions)
		exchange(t, c, s, 500_000, 50_000)

		require.NoError(t, c.Close(CodeDone, ""))
		<-s.Done()
		replay()
		time.Sleep(20 * time.Second)
		require.Zero(t, w.server.Stats().Sessions, "a replayed handshake makes no session")
		require.Zero(t, w.server.Stats().HalfOpen)
		require.Empty(t, w.server.slots)
		c, s = w.connect()
		exchange(t, c, s, 500_000, 50_000)
		w.close()
	})
}

// A man on the side copies the client's packets and gets them to the server first, from an address of his own: the session stays where it
// is, and he gets nothing but challenges, no more than three times what he sent (section 10).
func TestSpoofedPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simnet.Impair{Rate: 50e6, Delay: 20 * time.Millisecond}, Config{}, testConfig())
		c, s := w.connect()
		attacker := netip.MustParseAddrPort("10.66.0.1:1000")
		var mu sync.Mutex
		var sent, got, packets int
		w.net.Tap(func(from, to netip.AddrPort, data []byte) simnet.Verdict {
			mu.Lock()
			defer mu.Unlock()
			if to == attacker {
				got += len(data)
				packets++
				require.LessOrEqual(t, len(data), 100, "only a challenge")
				require.LessOrEqual(t, got, 3*sent)
				return simnet.Verdict{Drop: true}
			}
			if from == clientAddr && isShort(data) {
				sent += len(data)
				w.net.Inject(attacker, to, data)
			}
			return simnet.Verdict{}
		})
		exchange(t, c, s, 2<<20, 100_000)
		exchange(t, s, c, 1<<20, 100_000)
		require.Equal(t, clientAddr.String(), s.RemoteAddr().String())
		t.Logf("%d challenges of %d bytes in all for %d bytes copied", packets, got, sent)
		require.NotZero(t, packets)
		require.LessOrEqual(t, packets, 200)
		w.close()
	})
}

// A client's NAT rebinds at random moments on a path with loss: both directions go on.
func TestRebindingAtRandom(t *testing.T) {
	seeds := 20
	if testing.Short() {
		seeds = 2
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 0))
				w := newWorld(t, simnet.Impair{Rate: 20e6, Delay: 30 * time.Millisecond, Loss: 0.1}, Config{Rates: testConfig().Rates}, testConfig())
				c, s := w.connect()
				done := make(chan struct{})
				var last netip.AddrPort
				go func() {
					defer close(done)
					for i := range 5 {
						time.Sleep(time.Duration(rng.IntN(600)) * time.Millisecond)
						last = netip.AddrPortFrom(clientAddr.Addr(), uint16(5000+i))
						if _, err := w.clientPC.Rebind(last); err != nil {
							t.Error(err)
						}
					}
				}()
				exchange(t, c, s, 2<<20, 50_000)
				exchange(t, s, c, 1<<20, 50_000)
				<-done
				exchange(t, c, s, 100_000, 50_000)
				time.Sleep(time.Second)
				exchange(t, s, c, 100_000, 50_000)
				require.Equal(t, last.String(), s.RemoteAddr().String(), "seed %d", seed)
				w.close()
			})
		})
	}
}

// A path that drops even packets of 1,200 bytes is found out, whichever side sends, and does not pass for a dead peer.
func TestPathMTU(t *testing.T) {
	for _, upload := range []bool{true, false} {
		t.Run(fmt.Sprintf("upload=%v", upload), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simnet.Impair{Delay: 50 * time.Millisecond}, Config{Rates: testConfig().Rates}, testConfig())
				c, s := w.connect()
				w.net.Tap(func(_, _ netip.AddrPort, data []byte) simnet.Verdict { return simnet.Verdict{Drop: len(data) > 1100} })
				from, to := c, s
				if !upload {
					from, to = s, c
				}
				start := time.Now()
				b, err := from.NewBlock(t.Context(), 200_000)
				require.NoError(t, err)
				require.NoError(t, from.SendBlock(t.Context(), b))
				require.ErrorIs(t, from.Drained(t.Context()), ErrPathMTU)
				t.Logf("found after %v", time.Since(start))
				require.Less(t, time.Since(start), 10*time.Second)
				_, err = to.ReceiveBlock(t.Context())
				var p *PeerError
				require.ErrorAs(t, err, &p)
				w.close()
			})
		})
	}
	t.Run("an outage is no small MTU", func(t *testing.T) {
		for at := range 6 {
			synctest.Test(t, func(t *testing.T) {
				// The cut begins when the first data is under way and nothing has been acknowledged.
				from := time.Duration(at) * 20 * time.Millisecond
				w := newWorld(t, simnet.Impair{Delay: 50 * time.Millisecond, Loss: 0.2}, Config{}, testConfig())
				c, s := w.connect()
				cut := time.Now().Add(from)
				w.net.Tap(func(_, _ netip.AddrPort, _ []byte) simnet.Verdict {
					d := time.Since(cut)
					return simnet.Verdict{Drop: d > 0 && d < 20*time.Second}
				})
				exchange(t, c, s, 1<<20, 100_000)
				w.close()
			})
		}
	})
}

// Whoever collects the answers to packets of unknown sessions cannot end a session with them: they are good for his own address only.
func TestCollectedResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simnet.Impair{Delay: 20 * time.Millisecond}, Config{}, testConfig())
		attacker := netip.MustParseAddrPort("10.66.0.1:1000")
		var mu sync.Mutex
		collected := map[wire.CID][]byte{}
		w.net.Tap(func(_, to netip.AddrPort, data []byte) simnet.Verdict {
			if to == attacker {
				h, _, _, err := wire.ParseLong(data, false)
				require.NoError(t, err)
				mu.Lock()
				collected[h.CID] = append([]byte(nil), data...)
				mu.Unlock()
			}
			return simnet.Verdict{}
		})
		for slot := range uint32(500) {
			h := wire.Short{Data: true, CID: wire.MakeCID(0, 0, slot+1)}
			w.net.Inject(attacker, w.at, append(h.Append(nil), make([]byte, 60)...))
			time.Sleep(20 * time.Millisecond)
		}
		c, s := w.connect()
		mu.Lock()
		require.Len(t, collected, 500)
		for cid := range collected {
			h, _, _, _ := wire.ParseLong(collected[cid], false)
			require.NotEqual(t, testIdentity.resetToken(cid, clientAddr), h.Token)
		}
		mu.Unlock()
		// And even the right bytes for its own id, asked for from elsewhere, end nothing.
		b := wire.AppendReset(nil, c.loop.peerCID, testIdentity.resetToken(c.loop.peerCID, attacker))
		w.net.Inject(w.at, clientAddr, b)
		exchange(t, c, s, 100_000, 10_000)
		require.NoError(t, c.Err())
		w.close()
	})
}
