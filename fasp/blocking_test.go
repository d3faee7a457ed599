package fasp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/simnet"
)

// blocked are all calls that wait, on a session whose peer neither sends nor takes anything.
var blocked = map[string]func(ctx context.Context, w *world, c *Conn) error{
	"SendMessage": func(ctx context.Context, _ *world, c *Conn) error {
		for {
			if err := c.SendMessage(ctx, make([]byte, MaxMessage)); err != nil {
				return err
			}
		}
	},
	"ReceiveMessage": func(ctx context.Context, _ *world, c *Conn) error {
		_, err := c.ReceiveMessage(ctx)
		return err
	},
	"NewBlock": func(ctx context.Context, _ *world, c *Conn) error {
		for {
			b, err := c.NewBlock(ctx, MaxBlock)
			if err != nil {
				return err
			}
			defer b.Release()
		}
	},
	"SendBlock": func(ctx context.Context, _ *world, c *Conn) error {
		for {
			b, err := c.NewBlock(ctx, 100_000)
			if err != nil {
				return err
			}
			if err := c.SendBlock(ctx, b); err != nil {
				b.Release()
				return err
			}
		}
	},
	"ReceiveBlock": func(ctx context.Context, _ *world, c *Conn) error {
		_, err := c.ReceiveBlock(ctx)
		return err
	},
	"Drained": func(ctx context.Context, _ *world, c *Conn) error {
		for range 20 {
			b, err := c.NewBlock(ctx, 100_000)
			if err != nil {
				return err
			}
			if err := c.SendBlock(ctx, b); err != nil {
				return err
			}
		}
		return c.Drained(ctx)
	},
	"Accept": func(ctx context.Context, w *world, _ *Conn) error {
		_, err := w.server.Accept(ctx)
		return err
	},
	"Dial": func(ctx context.Context, w *world, _ *Conn) error {
		_, err := w.client.Dial(ctx, netip.MustParseAddrPort("10.0.0.77:1"))
		return err
	},
}

func blockedWorld(t *testing.T) (*world, *Conn, *Conn) {
	server := Config{Window: 1 << 20, WindowMax: 1 << 20}
	client := testConfig()
	client.SendBuffer = 8 << 20
	client.HandshakeTimeout = time.Hour
	w := newWorld(t, simnet.Impair{Delay: 50 * time.Millisecond, Loss: 0.05}, server, client)
	c, s := w.connect()
	return w, c, s
}

// Each call that waits ends when its context does, with the context's cause, and the session lives on.
func TestCancel(t *testing.T) {
	for name, call := range blocked {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c, s := blockedWorld(t)
				enough := errors.New("enough")
				ctx, cancel := context.WithCancelCause(t.Context())
				done := make(chan error, 1)
				go func() { done <- call(ctx, w, c) }()
				time.Sleep(10 * time.Second)
				select {
				case err := <-done:
					t.Fatalf("returned by itself: %v", err)
				default:
				}
				cancel(enough)
				synctest.Wait()
				select {
				case err := <-done:
					require.ErrorIs(t, err, enough)
				default:
					t.Fatal("still waits")
				}
				require.NoError(t, c.Err())
				require.NoError(t, s.Err())
				go func() { // what was queued flows again once the peer takes it
					for {
						b, err := s.ReceiveBlock(t.Context())
						if err != nil {
							return
						}
						b.Release()
					}
				}()
				go func() {
					for {
						if _, err := s.ReceiveMessage(t.Context()); err != nil {
							return
						}
					}
				}()
				require.NoError(t, c.Drained(t.Context()))
				w.close()
			})
		})
	}
}

// A context that has ended already ends each call that has to wait, at once.
func TestCancelledBefore(t *testing.T) {
	for name, call := range blocked {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c, _ := blockedWorld(t)
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				start := time.Now()
				require.ErrorIs(t, call(ctx, w, c), context.Canceled)
				require.Zero(t, time.Since(start))
				w.close()
			})
		})
	}
}

// Closing the session, its endpoint or the peer's end makes each call that waits return, with an error that says which.
func TestCloseWhileBlocked(t *testing.T) {
	for name, call := range blocked {
		if name == "Accept" || name == "Dial" {
			continue
		}
		for how, c := range map[string]struct {
			close func(w *world, c, s *Conn)
			check func(t *testing.T, err error)
		}{
			"here": {
				func(_ *world, c, _ *Conn) { c.Close(CodeCancelled, "enough") },
				func(t *testing.T, err error) {
					require.ErrorIs(t, err, ErrClosed)
					require.ErrorIs(t, err, net.ErrClosed)
				},
			},
			"endpoint": {
				func(w *world, _, _ *Conn) { w.client.Close() },
				func(t *testing.T, err error) { require.ErrorIs(t, err, ErrClosed) },
			},
			"peer": {
				func(_ *world, _, s *Conn) { s.Close(CodeCancelled, "enough\x1b[31m") },
				func(t *testing.T, err error) {
					var p *PeerError
					require.ErrorAs(t, err, &p)
					require.Equal(t, PeerError{CodeCancelled, "enough[31m"}, *p)
				},
			},
			"peer's endpoint": {
				func(w *world, _, _ *Conn) { w.server.Close() },
				func(t *testing.T, err error) {
					var p *PeerError
					require.ErrorAs(t, err, &p)
					require.Equal(t, CodeShutdown, p.Code)
				},
			},
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				if testing.Short() && how == "endpoint" {
					t.Skip("as here and at the peer's endpoint: not in -short")
				}
				synctest.Test(t, func(t *testing.T) {
					w, conn, s := blockedWorld(t)
					done := make(chan error, 1)
					go func() { done <- call(t.Context(), w, conn) }()
					time.Sleep(5 * time.Second)
					start := time.Now()
					c.close(w, conn, s)
					c.check(t, <-done)
					require.Less(t, time.Since(start), time.Second)
					// And so does every later call.
					for later, f := range blocked {
						if later != "Accept" && later != "Dial" && later != "ReceiveMessage" && later != "ReceiveBlock" {
							c.check(t, f(t.Context(), w, conn))
						}
					}
					require.NoError(t, conn.Close(CodeDone, ""))
					w.close()
					require.Zero(t, w.client.Stats().Sessions+w.server.Stats().Sessions)
					require.Zero(t, conn.leased, "every block went back")
				})
			})
		}
	}
}

// Accept and Dial return when their endpoint closes.
func TestEndpointCloseWhileBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, _ := blockedWorld(t)
		accept, dial := make(chan error, 1), make(chan error, 1)
		go func() { accept <- blocked["Accept"](t.Context(), w, c) }()
		go func() { dial <- blocked["Dial"](t.Context(), w, c) }()
		time.Sleep(time.Second)
		w.close()
		require.ErrorIs(t, <-accept, ErrClosed)
		require.ErrorIs(t, <-dial, ErrClosed)
		require.NoError(t, w.client.Close())
		_, err := w.server.Accept(t.Context())
		require.ErrorIs(t, err, ErrClosed)
		_, err = w.client.Dial(t.Context(), w.at)
		require.ErrorIs(t, err, ErrClosed)
	})
}

// What arrived before the peer closed can still be taken.
func TestReadAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simnet.Impair{Delay: 20 * time.Millisecond}, Config{}, testConfig())
		c, s := w.connect()
		for i := range 3 {
			require.NoError(t, c.SendMessage(t.Context(), []byte{byte(i + 1)}))
			b, err := c.NewBlock(t.Context(), 1000)
			require.NoError(t, err)
			b.Data[0] = byte(i + 1)
			require.NoError(t, c.SendBlock(t.Context(), b))
		}
		require.NoError(t, c.Drained(t.Context()))
		require.NoError(t, c.Close(CodeDone, "bye"))
		<-s.Done()
		var sum byte
		for i := range 3 {
			m, err := s.ReceiveMessage(t.Context())
			require.NoError(t, err)
			require.Equal(t, []byte{byte(i + 1)}, m)
			b, err := s.ReceiveBlock(t.Context())
			require.NoError(t, err)
			sum += b.Data[0]
			b.Release()
			b.Release()
		}
		require.Equal(t, byte(6), sum)
		_, err := s.ReceiveMessage(t.Context())
		require.EqualError(t, err, "peer closed the session: bye")
		_, err = s.ReceiveBlock(t.Context())
		require.EqualError(t, err, "peer closed the session: bye")
		w.close()
	})
}

// Limits of arguments.
func TestTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simnet.Impair{}, Config{}, testConfig())
		c, s := w.connect()
		require.ErrorIs(t, c.SendMessage(t.Context(), nil), ErrTooLarge)
		require.ErrorIs(t, c.SendMessage(t.Context(), make([]byte, MaxMessage+1)), ErrTooLarge)
		for _, n := range []int{-1, 0, MaxBlock + 1} {
			_, err := c.NewBlock(t.Context(), n)
			require.ErrorIs(t, err, ErrTooLarge)
		}
		require.ErrorIs(t, c.SendBlock(t.Context(), NewBlock(make([]byte, MaxBlock+1), nil)), ErrTooLarge)
		b, err := c.NewBlock(t.Context(), 10)
		require.NoError(t, err)
		b.Data = b.Data[:0]
		require.NoError(t, c.SendBlock(t.Context(), b), "an empty block is not sent")
		b, err = c.NewBlock(t.Context(), MaxBlock)
		require.NoError(t, err)
		require.NoError(t, c.SendBlock(t.Context(), b))
		got, err := s.ReceiveBlock(t.Context())
		require.NoError(t, err)
		require.Len(t, got.Data, MaxBlock)
		got.Release()
		require.NoError(t, c.SendMessage(t.Context(), make([]byte, MaxMessage)))
		m, err := s.ReceiveMessage(t.Context())
		require.NoError(t, err)
		require.Len(t, m, MaxMessage)
		w.close()
	})
}

// Sessions over IPv6, in the simulation with everything that a path can do.
func TestIPv6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.NewNet(1)
		at, from := netip.MustParseAddrPort("[fd00::1]:33001"), netip.MustParseAddrPort("[fd00::2]:4000")
		path := simnet.Impair{Rate: 50e6, Delay: 20 * time.Millisecond, Loss: 0.1, MTU: 1500}
		n.SetPath(from.Addr(), at.Addr(), path, path)
		server := listenSim(t, n, at, Config{Identity: testIdentity})
		client := listenSim(t, n, from, testConfig())
		c, err := client.Dial(t.Context(), at)
		require.NoError(t, err)
		s, err := server.Accept(t.Context())
		require.NoError(t, err)
		exchange(t, c, s, 2<<20, 100_000)
		require.Equal(t, from.String(), s.RemoteAddr().String())
		st := c.Stats()
		require.Zero(t, st.Breaker, "datagrams fit the MTU: %+v", st)
		client.Close()
		server.Close()
		n.Close()
	})
}

// The receiver's memory is bounded by its window whatever the sizes of blocks: tiny ones after large ones, and large ones of which only a
// piece has come.
func TestReceiveMemory(t *testing.T) {
	for name, sizes := range map[string][]int{
		"tiny after large":   {MaxBlock, 1},
		"medium after large": {MaxBlock, 2000},
		"large":              {300_000},
		"mixed":              {MaxBlock, 1500, 40_000, 100, 140_000},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const window = 4 << 20
				client := testConfig()
				client.Rates.Target = Gbps
				w := newWorld(t, simnet.Impair{Delay: 5 * time.Millisecond}, Config{Window: window, WindowMax: window}, client)
				c, s := w.connect()
				before := heap()
				ctx, cancel := context.WithCancel(t.Context())
				go func() { // as much as credit allows; a large one after each hundred small ones
					for i := 0; ; i++ {
						n := sizes[0]
						if i%100 != 0 {
							n = sizes[i%len(sizes)]
						}
						if i%100 != 0 && len(sizes) > 1 && n == MaxBlock {
							n = sizes[1]
						}
						b, err := c.NewBlock(ctx, n)
						if err != nil {
							return
						}
						if c.SendBlock(ctx, b) != nil {
							b.Release()
							return
						}
					}
				}()
				time.Sleep(5 * time.Second)
				used := int64(heap()) - int64(before)
				t.Logf("%d blocks held, %d KiB in use for a window of %d KiB", s.Stats().BlocksReceived, used>>10, window>>10)
				require.Less(t, used, int64(4*window), "bytes in use")
				cancel()
				w.close()
			})
		})
	}
}
