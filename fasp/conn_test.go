package fasp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

var testIdentity = func() *Identity {
	id, err := NewIdentity()
	if err != nil {
		panic(err)
	}
	return id
}()

func testConfig() Config {
	return Config{VerifyServer: PinnedKey(testIdentity.Fingerprint()), Rates: Rates{Policy: Fixed, Target: 50 * Mbps}}
}

// world is a simulated network with a server and a client on it.
type world struct {
	t              *testing.T
	net            *simnet.Net
	server, client *Endpoint
	at             netip.AddrPort
	clientPC       *simnet.PacketConn
}

func newWorld(t *testing.T, path simnet.Impair, server, client Config) *world {
	t.Helper()
	w := &world{t: t, net: simnet.NewNet(1), at: netip.MustParseAddrPort("10.0.0.1:33001")}
	w.net.SetPath(netip.MustParseAddr("10.0.0.2"), w.at.Addr(), path, path)
	pc, err := w.net.Listen(w.at)
	require.NoError(t, err)
	if server.Identity == nil {
		server.Identity = testIdentity
	}
	w.server, err = NewEndpoint(pc, server)
	require.NoError(t, err)
	w.clientPC, err = w.net.Listen(netip.MustParseAddrPort("10.0.0.2:4000"))
	require.NoError(t, err)
	w.client, err = NewEndpoint(w.clientPC, client)
	require.NoError(t, err)
	return w
}

func (w *world) connect() (client, server *Conn) {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	client, err := w.client.Dial(ctx, w.at)
	require.NoError(w.t, err)
	server, err = w.server.Accept(ctx)
	require.NoError(w.t, err)
	return client, server
}

func (w *world) close() {
	w.client.Close()
	w.server.Close()
	w.net.Close()
}

// exchange sends size bytes in blocks and messages one way and checks what arrives.
func exchange(t *testing.T, from, to Session, size, block int) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	sums := make(chan [32]byte, size/block+2)
	sent := make(chan error, 1)
	go func() {
		sent <- func() error {
			rng := rand.NewChaCha8([32]byte{1})
			n := 0
			for left := size; left > 0; n++ {
				b, err := from.NewBlock(ctx, min(block, left))
				if err != nil {
					return err
				}
				rng.Read(b.Data)
				left -= len(b.Data)
				sums <- sha256.Sum256(b.Data)
				if err := from.SendBlock(ctx, b); err != nil {
					return err
				}
				if n%10 == 0 {
					if err := from.SendMessage(ctx, fmt.Appendf(nil, "message %d", n/10)); err != nil {
						return err
					}
				}
			}
			close(sums)
			return from.Drained(ctx)
		}()
	}()
	got := map[[32]byte]bool{}
	for n := 0; n < size; {
		b, err := to.ReceiveBlock(ctx)
		require.NoError(t, err)
		n += len(b.Data)
		got[sha256.Sum256(b.Data)] = true
		b.Release()
	}
	require.NoError(t, <-sent)
	n := 0
	for s := range sums {
		require.True(t, got[s], "block %d arrived as it was sent", n)
		if n%10 == 0 {
			m, err := to.ReceiveMessage(ctx)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("message %d", n/10), string(m))
		}
		n++
	}
}

func TestTransferOverBadPath(t *testing.T) {
	for _, loss := range []float64{0, 0.05, 0.3} {
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := simnet.Impair{Rate: 50e6, Delay: 100 * time.Millisecond, Loss: loss, ReorderProb: 0.01, ReorderBy: 5 * time.Millisecond, DupProb: 0.01}
				w := newWorld(t, path, Config{}, testConfig())
				c, s := w.connect()
				exchange(t, c, s, 4<<20, 100_000)
				s.SetRates(Rates{Policy: Fixed, Target: 50 * Mbps})
				exchange(t, s, c, 1<<20, 17_000)
				st := c.Stats()
				t.Logf("%+v", st)
				require.NoError(t, c.Close(CodeDone, "bye"))
				_, err := s.ReceiveMessage(t.Context())
				var p *PeerError
				require.ErrorAs(t, err, &p)
				require.Equal(t, "bye", p.Reason)
				w.close()
			})
		})
	}
}

func TestTransferOverLoopback(t *testing.T) {
	for _, portable := range []bool{false, true} {
		for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
			t.Run(fmt.Sprintf("%s portable=%v", addr, portable), func(t *testing.T) {
				e, err := Listen(addr, Config{Identity: testIdentity, Portable: portable})
				if err != nil && addr[0] == '[' {
					t.Skip("no IPv6 here:", err)
				}
				require.NoError(t, err)
				defer e.Close()
				cfg := testConfig()
				cfg.Portable = portable
				cfg.Rates.Target = 500 * Mbps
				c, err := Dial(t.Context(), e.LocalAddr().String(), cfg)
				require.NoError(t, err)
				s, err := e.Accept(t.Context())
				require.NoError(t, err)
				exchange(t, c, s, 20<<20, 128<<10)
				t.Logf("%+v", c.Stats())
				require.NoError(t, c.Close(CodeDone, ""))
			})
		}
	}
}

func TestWrongFingerprint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.VerifyServer = PinnedKey(Fingerprint{1})
		w := newWorld(t, simnet.Impair{Delay: 100 * time.Millisecond}, Config{}, cfg)
		start := time.Now()
		_, err := w.client.Dial(t.Context(), w.at)
		require.ErrorIs(t, err, ErrIdentity)
		require.LessOrEqual(t, time.Since(start), 400*time.Millisecond, "two round trips")
		w.close()
	})
}

func TestDialSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simnet.Impair{Loss: 1}, Config{}, testConfig())
		_, err := w.client.Dial(t.Context(), w.at)
		require.ErrorIs(t, err, ErrHandshakeTimeout)
		w.close()
	})
}

func TestCiphers(t *testing.T) {
	for _, c := range []Cipher{AES128, AES192, AES256, ClearAES128} {
		synctest.Test(t, func(t *testing.T) {
			cfg := testConfig()
			cfg.Ciphers = []Cipher{c}
			w := newWorld(t, simnet.Impair{Delay: time.Millisecond}, Config{}, cfg)
			marker := bytes.Repeat([]byte("can you read this?"), 60)
			var seen atomic.Bool
			w.net.Tap(func(_, _ netip.AddrPort, data []byte) simnet.Verdict {
				if bytes.Contains(data, marker[:200]) {
					seen.Store(true)
				}
				return simnet.Verdict{}
			})
			a, b := w.connect()
			blk, err := a.NewBlock(t.Context(), len(marker))
			require.NoError(t, err)
			copy(blk.Data, marker)
			require.NoError(t, a.SendBlock(t.Context(), blk))
			got, err := b.ReceiveBlock(t.Context())
			require.NoError(t, err)
			require.Equal(t, marker, got.Data)
			got.Release()
			require.Equal(t, c, b.Cipher())
			require.Equal(t, c&0x80 != 0, seen.Load(), "payload in clear")
			w.close()
		})
	}
}

func TestRekey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simnet.Impair{Rate: 50e6, Delay: 20 * time.Millisecond, Loss: 0.1, ReorderProb: 0.02, ReorderBy: 3 * time.Millisecond}, Config{}, testConfig())
		w.client.rekeyEvery, w.server.rekeyEvery = 300, 20
		c, s := w.connect()
		exchange(t, c, s, 8<<20, 100_000)
		require.Greater(t, c.Stats().Rekeys, uint64(3))
		require.GreaterOrEqual(t, s.Stats().Rekeys, uint64(2))
		w.close()
	})
}

func TestNATRebinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simnet.Impair{Rate: 50e6, Delay: 50 * time.Millisecond, Loss: 0.02}, Config{}, testConfig())
		c, s := w.connect()
		time.AfterFunc(300*time.Millisecond, func() {
			_, err := w.clientPC.Rebind(netip.MustParseAddrPort("10.0.0.2:5555"))
			require.NoError(t, err)
		})
		exchange(t, c, s, 8<<20, 100_000)
		require.Equal(t, "10.0.0.2:5555", s.RemoteAddr().String())
		w.close()
	})
}

func TestLinkCut20s(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := simnet.Impair{Rate: 50e6, Delay: 50 * time.Millisecond, Loss: 0.01, Cuts: []simnet.Window{{From: 500 * time.Millisecond, To: 20500 * time.Millisecond}}}
		w := newWorld(t, path, Config{}, testConfig())
		c, s := w.connect()
		start := time.Now()
		exchange(t, c, s, 8<<20, 100_000)
		require.Less(t, time.Since(start), 25*time.Second)
		require.NotZero(t, c.Stats().Breaker)
		w.close()
	})
}

func TestPeerVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simnet.Impair{Delay: 50 * time.Millisecond}, Config{}, testConfig())
		c, _ := w.connect()
		w.net.Tap(func(_, _ netip.AddrPort, _ []byte) simnet.Verdict { return simnet.Verdict{Drop: true} })
		_, err := c.ReceiveMessage(t.Context())
		require.ErrorIs(t, err, ErrIdleTimeout)
		w.close()
	})
}

func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simnet.Impair{Delay: 50 * time.Millisecond, Loss: 0.3}, Config{}, testConfig())
		c, s := w.connect()
		time.Sleep(10 * time.Minute)
		exchange(t, c, s, 1000, 100)
		w.close()
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simnet.Impair{Delay: 50 * time.Millisecond}, Config{}, testConfig())
		c, _ := w.connect()
		go func() {
			time.Sleep(time.Second)
			c.Close(CodeDone, "")
		}()
		_, err := c.ReceiveBlock(t.Context())
		require.ErrorIs(t, err, ErrClosed)
		require.ErrorIs(t, err, net.ErrClosed)
		require.NoError(t, c.Close(CodeDone, ""))
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("enough"))
		_, err = c.NewBlock(ctx, 10)
		require.Error(t, err)
		w.close()
	})
}

func TestServerRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simnet.Impair{Delay: 50 * time.Millisecond, Loss: 0.1}, Config{}, testConfig())
		c, _ := w.connect()
		// The server dies without a word, and another with its identity takes its place.
		w.net.Tap(func(from, _ netip.AddrPort, _ []byte) simnet.Verdict { return simnet.Verdict{Drop: from == w.at} })
		w.server.Close()
		w.net.Tap(nil)
		pc, err := w.net.Listen(w.at)
		require.NoError(t, err)
		w.server, err = NewEndpoint(pc, Config{Identity: testIdentity})
		require.NoError(t, err)
		start := time.Now()
		_, err = c.ReceiveMessage(t.Context())
		require.ErrorIs(t, err, ErrReset)
		require.Less(t, time.Since(start), 5*time.Second, "long before the idle time-out")
		require.NotZero(t, w.server.Stats().Resets)

		// What is not the server's token ends nothing.
		c, s := w.connect()
		w.net.Inject(w.at, netip.MustParseAddrPort("10.0.0.2:4000"), wire.AppendReset(nil, c.loop.peerCID, make([]byte, wire.ResetTokenLen)))
		exchange(t, c, s, 100_000, 10_000)
		w.close()
	})
}

// A session that sends slowly does not sleep while there is something to take in, or all that it receives would wait and overflow.
func TestNoNapBesideWhatCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simnet.Impair{Rate: 100e6, Delay: 10 * time.Millisecond}, testConfig(), testConfig())
		defer w.close()
		from, _ := w.connect()
		from.SetRates(Rates{Policy: Fixed, Target: 10 * Mbps})
		b, err := from.NewBlock(t.Context(), 1<<20)
		require.NoError(t, err)
		require.NoError(t, from.SendBlock(t.Context(), b))
		time.Sleep(200 * time.Millisecond) // virtual
		synctest.Wait()
		c := &Conn{inbox: make(chan delivery, 1)}
		c.loop.core = from.loop.core
		require.True(t, c.mayNap(time.Millisecond), "it waits for the pacer alone")
		c.inbox <- delivery{}
		require.False(t, c.mayNap(time.Millisecond))
	})
}
