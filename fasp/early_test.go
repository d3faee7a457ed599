package fasp

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

const earlyDelay = 50 * time.Millisecond // one way

// earlyWorld is a network whose server hands out tickets and whose client keeps them.
type earlyWorld struct {
	*world
	tickets *Tickets
}

// bound is what the opening message of a test holds, for a server that checks it.
func bound(x Exporter) ([]byte, error) {
	return x.ExportKeyingMaterial("test", []byte("who"), 32)
}

func newEarlyWorld(t *testing.T, path simnet.Impair, server Config) *earlyWorld {
	client := testConfig()
	client.Tickets, client.Opening = new(Tickets), bound
	server.EarlyData = true
	return &earlyWorld{newWorld(t, path, server, client), client.Tickets}
}

func answerTo(question string) string { return "answer to " + question[:min(len(question), 20)] }

// fetch does what a download does: it opens a session, asks, and returns when the answer came; the session's server side
// returns with it. Early says whether the server had it before the handshake was complete.
func (w *earlyWorld) fetch(question string) (took time.Duration, early bool, client *Conn) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	start := time.Now()
	client, err := w.client.Dial(ctx, w.at)
	require.NoError(w.t, err)
	require.NoError(w.t, client.SendMessage(ctx, []byte(question)))
	answered := make(chan bool)
	go func() {
		defer close(answered)
		early, s := w.serve(ctx, question)
		if s != nil {
			answered <- early
		}
	}()
	got, err := client.ReceiveMessage(ctx)
	require.NoError(w.t, err)
	require.Equal(w.t, answerTo(question), string(got))
	took = time.Since(start)
	return took, <-answered, client
}

// serve accepts a session, checks that it is who it says, and answers its question.
func (w *earlyWorld) serve(ctx context.Context, question string) (early bool, s *Conn) {
	s, err := w.server.Accept(ctx)
	if err != nil {
		return false, nil
	}
	early = !confirmed(s)
	for _, want := range []string{"", question} {
		got, err := s.ReceiveMessage(ctx)
		if err != nil {
			w.t.Errorf("message: %v", err)
			return early, nil
		}
		if want == "" {
			b, err := bound(s)
			if err != nil || string(b) != string(got) {
				w.t.Errorf("the opening message is not bound to this session: %v", err)
			}
			continue
		}
		if string(got) != want {
			w.t.Errorf("asked %q instead of %q", got, want)
		}
		if err := s.SendMessage(ctx, []byte(answerTo(want))); err != nil {
			w.t.Errorf("answer: %v", err)
		}
	}
	return early, s
}

// confirmed says whether a session is, without waiting.
func confirmed(s Session) bool {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return s.Confirmed(ctx) == nil
}

// settle lets what is under way arrive, such as a ticket.
func (w *earlyWorld) settle() { time.Sleep(time.Second) }

func TestEarlyDataSavesARoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEarlyWorld(t, simnet.Impair{Delay: earlyDelay}, Config{})
		const rtt = 2 * earlyDelay
		took, early, c := w.fetch("first")
		require.False(t, early)
		require.InDelta(t, 2*rtt+5*time.Millisecond, took, float64(5*time.Millisecond), "without a ticket: the handshake, then question and answer; the first copy overtakes the Finished")
		w.settle()
		require.NoError(t, c.Close(CodeDone, ""))
		for i := range 3 {
			took, early, c = w.fetch(fmt.Sprint("early ", i))
			require.True(t, early)
			require.InDelta(t, rtt, took, float64(5*time.Millisecond), "with a ticket: question and answer")
			require.Equal(t, testIdentity.Fingerprint(), c.ServerFingerprint())
			w.settle()
			require.True(t, confirmed(c))
			require.NoError(t, c.Close(CodeDone, ""))
			w.settle()
		}
		require.EqualValues(t, 3, w.server.Stats().Early)
		require.Zero(t, w.server.Stats().Refused)
		require.Zero(t, w.server.Stats().HalfOpen)
		w.close()
	})
}

// ready has the client fetch once, so that it holds a ticket.
func (w *earlyWorld) ready() {
	w.t.Helper()
	_, _, c := w.fetch("for a ticket")
	w.settle()
	require.NoError(w.t, c.Close(CodeDone, ""))
	w.settle()
	require.Equal(w.t, 1, w.tickets.count())
}

// save returns the tickets as a file would hold them.
func (w *earlyWorld) save() []byte {
	b, err := json.Marshal(w.tickets)
	require.NoError(w.t, err)
	return b
}

// count returns how many tickets there are.
func (t *Tickets) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n
}

func (w *earlyWorld) load(b []byte) { require.NoError(w.t, json.Unmarshal(b, w.tickets)) }

// restart ends the server and starts another process at its address.
func (w *earlyWorld) restart(cfg Config) {
	require.NoError(w.t, w.server.Close())
	pc, err := w.net.Listen(w.at)
	require.NoError(w.t, err)
	if cfg.Identity == nil {
		cfg.Identity = testIdentity
	}
	cfg.EarlyData = true
	w.server, err = NewEndpoint(pc, cfg)
	require.NoError(w.t, err)
}

func inBubble(t *testing.T, fn func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, fn)
}

// tell adds a tap on what the client sends.
func (w *earlyWorld) tap(fn func(data []byte) simnet.Verdict) {
	w.net.Tap(func(from, to netip.AddrPort, data []byte) simnet.Verdict {
		if from == clientAddr && to == w.at {
			return fn(data)
		}
		return simnet.Verdict{}
	})
}

// hasType tells whether a datagram holds a long packet of the type.
func hasType(data []byte, typ wire.Type) bool {
	for len(data) > 0 && wire.IsLong(data) {
		h, _, end, err := wire.ParseLong(data, true)
		if err != nil {
			return false
		}
		if h.Type == typ {
			return true
		}
		data = data[end:]
	}
	return false
}

func TestEarlyDataNeedsBothSides(t *testing.T) {
	for _, c := range []struct{ server, client bool }{{false, true}, {true, false}} {
		inBubble(t, func(t *testing.T) {
			client := testConfig()
			tickets := new(Tickets)
			if c.client {
				client.Tickets = tickets
			}
			w := newWorld(t, simnet.Impair{Delay: earlyDelay}, Config{EarlyData: c.server}, client)
			for range 2 {
				a, b := w.connect()
				require.True(t, confirmed(a))
				require.True(t, confirmed(b))
				time.Sleep(time.Second)
				require.NoError(t, a.Close(CodeDone, ""))
			}
			require.Zero(t, tickets.count())
			require.Zero(t, w.server.Stats().Early+w.server.Stats().Refused)
			require.Zero(t, w.server.Stats().Tickets)
			w.close()
		})
	}
}

// What does not fit the early flight follows with the rest of the stream, and nothing comes twice.
func TestEarlyDataLargerThanItsBound(t *testing.T) {
	for _, size := range []int{100, maxEarly - 50, maxEarly, 20_000, MaxMessage} {
		inBubble(t, func(t *testing.T) {
			w := newEarlyWorld(t, simnet.Impair{Delay: earlyDelay}, Config{})
			w.ready()
			early := map[int]int{} // datagrams by length
			w.tap(func(data []byte) simnet.Verdict {
				if hasType(data, wire.Early) {
					early[len(data)]++
				}
				return simnet.Verdict{}
			})
			q := string(make([]byte, size))
			took, _, c := w.fetch(q)
			if size < maxEarly-40 {
				require.InDelta(t, 2*earlyDelay, took, float64(5*time.Millisecond))
			} else {
				require.Less(t, took, 5*earlyDelay)
			}
			n := 0
			for size, times := range early {
				require.LessOrEqual(t, size, wire.MinDatagram)
				n += times
			}
			require.LessOrEqual(t, n, 4*3*4, "four datagrams in three copies, for as often as the flight may grow")
			require.NoError(t, c.Close(CodeDone, ""))
			w.close()
		})
	}
}

func TestEarlyDataThroughLoss(t *testing.T) {
	n := 60
	if testing.Short() {
		n = 15
	}
	var all []time.Duration
	for seed := range n {
		inBubble(t, func(t *testing.T) {
			w := newEarlyWorld(t, simnet.Impair{Delay: earlyDelay}, Config{})
			w.ready()
			lossy := simnet.Impair{Delay: earlyDelay, Loss: 0.3}
			w.net.SetPath(clientAddr.Addr(), w.at.Addr(), lossy, lossy)
			for range seed { // each run meets other losses
				w.net.Inject(clientAddr, w.at, make([]byte, 40))
			}
			took, _, c := w.fetch("through loss")
			all = append(all, took)
			require.NoError(t, c.Confirmed(t.Context()))
			w.settle()
			require.NoError(t, c.Close(CodeDone, ""))
			w.close()
		})
	}
	slices.Sort(all)
	t.Logf("median %v, longest %v: in round trips %.2f", all[n/2], all[n-1], float64(all[n/2])/float64(2*earlyDelay))
	require.Less(t, all[n/2], 3*earlyDelay, "one round trip and a few copies")
}

// The datagram with the ClientHello comes behind the others, or not at all, or only the early data is lost.
func TestEarlyDataReordered(t *testing.T) {
	for name, drop := range map[string]func(n int, data []byte) bool{
		"INITIAL lost":     func(n int, data []byte) bool { return hasType(data, wire.Initial) },
		"EARLY lost":       func(n int, data []byte) bool { return hasType(data, wire.Early) && !hasType(data, wire.Initial) },
		"first three lost": func(n int, data []byte) bool { return n < 3 },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newEarlyWorld(t, simnet.Impair{Delay: earlyDelay}, Config{})
				w.ready()
				begin, n := time.Now(), 0
				w.tap(func(data []byte) simnet.Verdict {
					n++
					return simnet.Verdict{Drop: time.Since(begin) < 4*time.Millisecond && drop(n-1, data)}
				})
				took, early, c := w.fetch(string(make([]byte, 2500)))
				require.True(t, early)
				require.InDelta(t, 2*earlyDelay, took, float64(25*time.Millisecond), "a copy came")
				require.NoError(t, c.Close(CodeDone, ""))
				w.close()
			})
		})
	}
}

// All early data is lost, but the handshake is not: the server takes what was sent early for not sent.
func TestEarlyDataLost(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEarlyWorld(t, simnet.Impair{Delay: earlyDelay}, Config{})
		w.ready()
		w.tap(func(data []byte) simnet.Verdict {
			if _, _, end, err := wire.ParseLong(data, true); err == nil && hasType(data, wire.Early) {
				cut := slices.Clone(data)
				if hasType(data[:end], wire.Early) {
					return simnet.Verdict{Drop: true}
				}
				clear(cut[end:]) // the datagram of the ClientHello keeps its length
				return simnet.Verdict{Data: cut}
			}
			return simnet.Verdict{}
		})
		took, early, c := w.fetch("lost")
		require.True(t, early, "the ticket was good")
		require.Less(t, took, 5*earlyDelay)
		require.NoError(t, c.Close(CodeDone, ""))
		w.close()
	})
}

// A crowded server wants the address proved first: token and early data go again.
func TestEarlyDataAfterRetry(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEarlyWorld(t, simnet.Impair{Delay: earlyDelay}, Config{MaxHalfOpen: 8})
		w.ready()
		sp := newSpoofer(t)
		for i := range 20 {
			w.net.Inject(addr(i), w.at, sp.first(uint64(1000+i), nil))
		}
		synctest.Wait()
		retries := w.server.Stats().Retries
		require.NotZero(t, retries)
		took, early, c := w.fetch("again")
		require.True(t, early)
		require.Greater(t, w.server.Stats().Retries, retries)
		require.InDelta(t, 4*earlyDelay, took, float64(5*time.Millisecond))
		require.NoError(t, c.Close(CodeDone, ""))
		w.close()
	})
}

// The server speaks another version now: the session, which Dial has returned already, ends with the reason.
func TestEarlyDataVersion(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEarlyWorld(t, simnet.Impair{Delay: earlyDelay}, Config{})
		w.ready()
		w.tap(func(data []byte) simnet.Verdict {
			w.net.Inject(w.at, clientAddr, wire.AppendVersions(nil, binary.BigEndian.Uint64(data[5:]), []uint32{5}))
			return simnet.Verdict{Drop: true}
		})
		c, err := w.client.Dial(t.Context(), w.at)
		require.NoError(t, err)
		require.ErrorContains(t, c.Confirmed(t.Context()), "versions")
		<-c.Done()
		require.ErrorContains(t, c.Err(), "versions")
		_, err = c.ReceiveMessage(t.Context())
		require.ErrorContains(t, err, "versions")
		require.NoError(t, c.Close(CodeDone, ""))
		require.Empty(t, w.client.slots)
		require.Empty(t, w.client.dials)
		w.close()
	})
}

// A server that is gone shows as a time-out, of the session.
func TestEarlyDataNoAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEarlyWorld(t, simnet.Impair{Delay: earlyDelay}, Config{})
		w.ready()
		w.tap(func([]byte) simnet.Verdict { return simnet.Verdict{Drop: true} })
		begin := time.Now()
		c, err := w.client.Dial(t.Context(), w.at)
		require.NoError(t, err)
		b, err := c.NewBlock(t.Context(), 1000)
		require.NoError(t, err)
		require.ErrorIs(t, c.SendBlock(t.Context(), b), ErrHandshakeTimeout, "what the server grants is not known")
		b.Release()
		require.ErrorIs(t, c.Drained(t.Context()), ErrHandshakeTimeout)
		require.Equal(t, 15*time.Second, time.Since(begin))
		require.Empty(t, w.client.dials)
		c, err = w.client.Dial(t.Context(), w.at)
		require.ErrorIs(t, err, ErrHandshakeTimeout, "the ticket was used: Dial waits as ever")
		require.Nil(t, c)
		w.close()
	})
}

func TestEarlySessionClosedBeforeTheAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEarlyWorld(t, simnet.Impair{Delay: earlyDelay}, Config{})
		w.ready()
		c, err := w.client.Dial(t.Context(), w.at)
		require.NoError(t, err)
		_, err = c.ExportKeyingMaterial("test", nil, 32)
		require.ErrorIs(t, err, errUnconfirmed)
		require.Zero(t, c.Cipher())
		require.Equal(t, testIdentity.Fingerprint(), c.ServerFingerprint())
		synctest.Wait()
		require.NoError(t, c.Close(CodeCancelled, "enough"))
		require.ErrorIs(t, c.Err(), ErrClosed)
		s, err := w.server.Accept(t.Context())
		require.NoError(t, err)
		begin := time.Now()
		require.ErrorIs(t, s.Confirmed(t.Context()), ErrHandshakeTimeout)
		require.Less(t, time.Since(begin), time.Second, "the server was told")
		time.Sleep(time.Minute)
		require.Zero(t, w.server.Stats().HalfOpen)
		require.Zero(t, w.server.Stats().Sessions)
		w.close()
	})
}

// The server does not take early data: the handshake goes on, and everything is sent again, bound to what the handshake came to.
func TestEarlyDataRefused(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(w *earlyWorld)
		unknown bool // the ticket is not even opened
	}{
		"server restart": {func(w *earlyWorld) { w.restart(Config{}) }, true},
		"ticket from another server": {func(w *earlyWorld) {
			pc, err := w.net.Listen(netip.MustParseAddrPort("10.0.0.1:9"))
			require.NoError(w.t, err)
			other, err := NewEndpoint(pc, Config{Identity: testIdentity, EarlyData: true})
			require.NoError(w.t, err)
			w.tickets.m, w.tickets.n = nil, 0
			c, err := w.client.Dial(w.t.Context(), netip.MustParseAddrPort("10.0.0.1:9"))
			require.NoError(w.t, err)
			w.settle()
			require.NoError(w.t, c.Close(CodeDone, ""))
			require.NoError(w.t, other.Close())
			for _, list := range w.tickets.m {
				w.tickets.m = map[netip.AddrPort][]ticket{w.at: list}
			}
		}, true},
		"ticket used twice": {func(w *earlyWorld) {
			b := w.save()
			_, early, c := w.fetch("once")
			require.True(w.t, early)
			require.NoError(w.t, c.Close(CodeDone, ""))
			w.tickets.m, w.tickets.n = nil, 0
			w.load(b)
		}, false},
		"other address": {func(w *earlyWorld) {
			pc, err := w.net.Listen(netip.MustParseAddrPort("10.0.0.3:4000"))
			require.NoError(w.t, err)
			path := simnet.Impair{Delay: earlyDelay}
			w.net.SetPath(netip.MustParseAddr("10.0.0.3"), w.at.Addr(), path, path)
			cfg := w.client.cfg
			require.NoError(w.t, w.client.Close())
			w.client, err = NewEndpoint(pc, cfg)
			require.NoError(w.t, err)
		}, false},
		"ticket too old": {func(w *earlyWorld) {
			time.Sleep(ticketLife - time.Minute)
			for _, list := range w.tickets.m {
				list[0].Got = list[0].Got.Add(time.Hour) // the client's clock is wrong
			}
			time.Sleep(2 * time.Minute)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newEarlyWorld(t, simnet.Impair{Delay: earlyDelay}, Config{})
				w.ready()
				c.prepare(w)
				before := w.server.Stats()
				took, early, conn := w.fetch("refused")
				require.False(t, early)
				require.Equal(t, before.Early, w.server.Stats().Early)
				require.Equal(t, !c.unknown, w.server.Stats().Refused == before.Refused+1)
				require.InDelta(t, 4*earlyDelay, took, float64(30*time.Millisecond), "a round trip more")
				exchangeBoth(t, conn)
				w.settle()
				require.Equal(t, 1, w.tickets.count(), "there is a new ticket")
				require.NoError(t, conn.Close(CodeDone, ""))
				w.settle()
				_, early, conn = w.fetch("with that")
				require.True(t, early)
				require.NoError(t, conn.Close(CodeDone, ""))
				w.close()
			})
		})
	}
}

// exchangeBoth proves that packets flow: what is given is acknowledged.
func exchangeBoth(t *testing.T, c *Conn) {
	b, err := c.NewBlock(t.Context(), 100_000)
	require.NoError(t, err)
	require.NoError(t, c.SendBlock(t.Context(), b))
	require.NoError(t, c.Drained(t.Context()))
}

// The server has another key now.
func TestEarlyDataServerKeyChanged(t *testing.T) {
	other, err := NewIdentity()
	require.NoError(t, err)
	inBubble(t, func(t *testing.T) {
		w := newEarlyWorld(t, simnet.Impair{Delay: earlyDelay}, Config{})
		w.ready()
		b := w.save()
		w.restart(Config{Identity: other})
		c, err := w.client.Dial(t.Context(), w.at)
		require.NoError(t, err, "the ticket is of the key that is wanted")
		require.ErrorIs(t, c.Confirmed(t.Context()), ErrIdentity)
		require.NoError(t, c.Close(CodeDone, ""))

		// A client that wants the new key sends nothing to the old one.
		w.load(b)
		w.client.cfg.VerifyServer = PinnedKey(other.Fingerprint())
		w.tap(func(data []byte) simnet.Verdict {
			require.False(t, hasType(data, wire.Early))
			return simnet.Verdict{}
		})
		_, early, c := w.fetch("new key")
		require.False(t, early)
		require.Equal(t, other.Fingerprint(), c.ServerFingerprint())
		require.NoError(t, c.Close(CodeDone, ""))
		w.close()
	})
}

// Whoever records a client's datagrams and sends them again gets nothing done, and no more sent than three times of it.
func TestEarlyDataReplayed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEarlyWorld(t, simnet.Impair{Delay: earlyDelay}, Config{})
		w.ready()
		var record [][]byte
		w.tap(func(data []byte) simnet.Verdict {
			record = append(record, slices.Clone(data))
			return simnet.Verdict{}
		})
		_, early, c := w.fetch("original")
		require.True(t, early)
		replay := func(from netip.AddrPort) {
			m := newMeter(w.world)
			size := 0
			for _, b := range record {
				w.net.Inject(from, w.at, b)
				size += len(b)
			}
			time.Sleep(time.Minute)
			require.LessOrEqual(t, m.to(from), 3*size)
			require.EqualValues(t, 1, w.server.Stats().Early, "from %v", from)
			require.Empty(t, w.server.accepted, "no session began")
			require.Zero(t, w.server.Stats().HalfOpen)
		}
		others := []netip.AddrPort{netip.AddrPortFrom(clientAddr.Addr(), 4001), netip.MustParseAddrPort("12.0.0.1:99")}
		w.tap(func([]byte) simnet.Verdict { return simnet.Verdict{} })
		for _, from := range append(others, clientAddr) {
			replay(from)
		}
		exchangeBoth(t, c)
		require.NoError(t, c.Close(CodeDone, ""))
		w.settle()
		for _, from := range append(others, clientAddr) {
			replay(from)
		}
		require.Zero(t, w.server.Stats().Sessions)
		w.close()
	})
}

// Somebody keeps a client's datagrams from the server and sends them later, with the client's address: the server takes them for the client's, once. What
// it does is bounded: it sends 128 KiB at most, never learns that the session is confirmed, and forgets it.
func TestEarlyDataHeldBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEarlyWorld(t, simnet.Impair{Delay: earlyDelay}, Config{Rates: Rates{Policy: Fixed, Target: 100 * Mbps}})
		w.ready()
		var record [][]byte
		w.tap(func(data []byte) simnet.Verdict {
			record = append(record, slices.Clone(data))
			return simnet.Verdict{Drop: true}
		})
		c, err := w.client.Dial(t.Context(), w.at)
		require.NoError(t, err)
		require.NoError(t, c.SendMessage(t.Context(), []byte("held back")))
		require.ErrorIs(t, c.Confirmed(t.Context()), ErrHandshakeTimeout)
		w.tap(func([]byte) simnet.Verdict { return simnet.Verdict{} })
		sent := 0
		w.net.Tap(func(from, to netip.AddrPort, data []byte) simnet.Verdict {
			if from == w.at {
				sent += len(data) + 28
			}
			return simnet.Verdict{}
		})
		for range 3 {
			for _, b := range record {
				w.net.Inject(clientAddr, w.at, b)
			}
			synctest.Wait()
		}
		s, err := w.server.Accept(t.Context())
		require.NoError(t, err)
		require.False(t, confirmed(s))
		require.Equal(t, 1, w.server.Stats().HalfOpen)
		for range 5 {
			b, err := s.NewBlock(t.Context(), 500_000)
			require.NoError(t, err)
			require.NoError(t, s.SendBlock(t.Context(), b))
		}
		begin := time.Now()
		require.ErrorIs(t, s.Confirmed(t.Context()), ErrHandshakeTimeout)
		require.LessOrEqual(t, time.Since(begin), 15*time.Second)
		t.Logf("sent %d bytes", sent)
		require.Greater(t, sent, maxUnconfirmed/2)
		require.Less(t, sent, maxUnconfirmed+20*1500, "and the flights of the handshake")
		<-s.Done()
		time.Sleep(time.Minute)
		require.Zero(t, w.server.Stats().HalfOpen)
		require.Zero(t, w.server.Stats().Sessions)
		require.Empty(t, w.server.slots)
		require.EqualValues(t, 1, w.server.Stats().Early)
		require.Empty(t, w.server.accepted)
		w.close()
	})
}

// The session ends before its client's Finished, and EARLY packets go on coming: nobody takes them, so they are not kept.
func TestEarlyDataForASessionThatEnded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEarlyWorld(t, simnet.Impair{Delay: earlyDelay}, Config{})
		w.ready()
		var record [][]byte
		w.tap(func(data []byte) simnet.Verdict {
			if hasType(data, wire.Early) {
				record = append(record, slices.Clone(data))
			}
			return simnet.Verdict{Drop: !hasType(data, wire.Early)}
		})
		c, err := w.client.Dial(t.Context(), w.at)
		require.NoError(t, err)
		s, err := w.server.Accept(t.Context())
		require.NoError(t, err)
		require.NoError(t, s.Close(CodeBusy, "not now"))
		<-c.Done()
		require.NotEmpty(t, record)
		for range 1000 {
			w.net.Inject(clientAddr, w.at, record[0])
			synctest.Wait()
		}
		time.Sleep(time.Second)
		require.Equal(t, 1, w.server.Stats().HalfOpen, "the handshake is not over")
		require.LessOrEqual(t, len(s.early), maxEarlyPieces)
		w.close()
	})
}

// The Finished is lost for a while: the session works, and says that it is not confirmed.
func TestEarlySessionConfirmedLate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEarlyWorld(t, simnet.Impair{Delay: earlyDelay}, Config{})
		w.ready()
		begin := time.Now()
		w.tap(func(data []byte) simnet.Verdict {
			return simnet.Verdict{Drop: hasType(data, wire.Handshake) && time.Since(begin) < time.Second}
		})
		c, err := w.client.Dial(t.Context(), w.at)
		require.NoError(t, err)
		_, s := w.serveNow("late", c)
		require.NoError(t, c.Confirmed(t.Context()))
		exchangeBoth(t, c)
		require.False(t, confirmed(s))
		require.NoError(t, s.Confirmed(t.Context()))
		require.Greater(t, time.Since(begin), time.Second)
		w.settle()
		require.Equal(t, 1, w.tickets.count(), "the ticket follows the Finished")
		require.NoError(t, c.Close(CodeDone, ""))
		require.Nil(t, c.loop.finish, "the server has said that it is confirmed")
		w.close()
	})
}

// serveNow asks and answers in one.
func (w *earlyWorld) serveNow(question string, c *Conn) (bool, *Conn) {
	w.t.Helper()
	require.NoError(w.t, c.SendMessage(w.t.Context(), []byte(question)))
	early, s := w.serve(w.t.Context(), question)
	require.NotNil(w.t, s)
	return early, s
}

// The answer overtakes the server's flight: it is kept until there are keys, and does not have to come again.
func TestEarlyAnswerBeforeTheKeys(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEarlyWorld(t, simnet.Impair{Delay: earlyDelay}, Config{})
		w.ready()
		begin := time.Now()
		w.net.Tap(func(from, _ netip.AddrPort, data []byte) simnet.Verdict {
			return simnet.Verdict{Drop: from == w.at && wire.IsLong(data) && time.Since(begin) < earlyDelay+4*time.Millisecond}
		})
		took, early, c := w.fetch("overtakes")
		require.True(t, early)
		require.InDelta(t, 2*earlyDelay+5*time.Millisecond, took, float64(2*time.Millisecond), "the second copy of the flight brought the keys")
		require.NoError(t, c.Close(CodeDone, ""))
		w.close()
	})
}

// Noise for the session's connection id while there are no keys holds up nobody and is not kept without bound.
func TestEarlySessionFloodedBeforeTheKeys(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEarlyWorld(t, simnet.Impair{Delay: earlyDelay}, Config{})
		w.ready()
		c, err := w.client.Dial(t.Context(), w.at)
		require.NoError(t, err)
		h := wire.Short{CID: c.cid}
		noise := append(h.Append(nil), make([]byte, 1400)...)
		for i := range 3000 {
			w.net.Inject(w.at, clientAddr, noise)
			if i%100 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		require.LessOrEqual(t, len(c.loop.kept)*len(noise), maxUnconfirmed)
		early, _ := w.serveNow("through noise", c)
		require.True(t, early)
		_, err = c.ReceiveMessage(t.Context())
		require.NoError(t, err)
		exchangeBoth(t, c)
		require.NoError(t, c.Close(CodeDone, ""))
		w.close()
	})
}

// Two servers with one identity share a port, as workers or behind a balancer, and a client's next session comes to the other one.
func TestEarlyDataTwoServersOnOnePort(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEarlyWorld(t, simnet.Impair{Delay: earlyDelay}, Config{})
		first := w.server
		behind := netip.MustParseAddrPort("10.0.0.9:1")
		pc, err := w.net.Listen(behind)
		require.NoError(t, err)
		second, err := NewEndpoint(pc, Config{Identity: testIdentity, EarlyData: true})
		require.NoError(t, err)
		w.ready()
		for i, c := range []struct {
			server *Endpoint
			early  bool
		}{{second, false}, {second, true}, {first, false}, {first, true}} {
			w.server = c.server
			w.net.Tap(func(from, to netip.AddrPort, data []byte) simnet.Verdict {
				switch {
				case c.server == second && from == clientAddr && to == w.at:
					w.net.Inject(from, behind, slices.Clone(data))
				case from == behind:
					w.net.Inject(w.at, to, slices.Clone(data))
				default:
					return simnet.Verdict{}
				}
				return simnet.Verdict{Drop: true}
			})
			before := c.server.Stats().Early
			_, _, conn := w.fetch(fmt.Sprint("session ", i))
			// What is put in at the other address has no delay, so the session may be confirmed as soon as it is there.
			require.Equal(t, c.early, c.server.Stats().Early > before, "session %d", i)
			w.settle()
			require.NoError(t, conn.Close(CodeDone, ""))
			w.settle()
		}
		require.NoError(t, second.Close())
		w.server = first
		w.close()
	})
}

// A server that hands out what is no ticket breaks the protocol; a client that does nothing of it.
func TestTicketMalformed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEarlyWorld(t, simnet.Impair{Delay: earlyDelay}, Config{})
		w.server.cfg.EarlyData = false // hands out none itself
		c, s := w.connect()
		c.mu.Lock()
		c.ticket = []byte("to the server")
		c.mu.Unlock()
		c.kick()
		exchangeBoth(t, c)
		s.mu.Lock()
		s.ticket = []byte{4, 0, 0, 2, 1, 1}
		s.mu.Unlock()
		s.kick()
		<-c.Done()
		var broke *ProtocolError
		require.ErrorAs(t, c.Err(), &broke)
		require.ErrorContains(t, broke, "ticket")
		require.Zero(t, w.tickets.count())
		w.close()
	})
}

// Sessions at the same time each need a ticket; where there is none left, a session begins as ever.
func TestTicketsAreUsedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEarlyWorld(t, simnet.Impair{Delay: earlyDelay}, Config{})
		w.ready()
		var all []*Conn
		for i := range 2 {
			_, early, c := w.fetch(fmt.Sprint("session ", i))
			require.Equal(t, i == 0, early)
			all = append(all, c)
		}
		w.settle()
		require.Equal(t, 2, w.tickets.count(), "those of the two")
		for _, c := range all {
			require.NoError(t, c.Close(CodeDone, ""))
		}
		w.close()
	})
}

// The ticket goes through any loss as long as the session lasts, and the client answers so that it is not sent for ever.
func TestTicketThroughLoss(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		lossy := simnet.Impair{Delay: earlyDelay, Loss: 0.5}
		w := newEarlyWorld(t, lossy, Config{})
		c, s := w.connect()
		time.Sleep(14 * time.Second)
		require.Equal(t, 1, w.tickets.count())
		require.NoError(t, c.Close(CodeDone, ""))
		require.NoError(t, s.Close(CodeDone, ""))
		require.Nil(t, s.loop.tickets.flight, "the client has said that it has it")
		w.close()
	})
}

func TestStrikes(t *testing.T) {
	var s strikes
	require.False(t, s.fresh(0), "never handed out")
	for range 10 {
		s.issue()
	}
	require.True(t, s.fresh(3))
	s.strike(3)
	require.False(t, s.fresh(3))
	require.True(t, s.fresh(4))
	require.False(t, s.fresh(10))
	require.False(t, s.fresh(1<<63))
	for s.next < strikeWindow+5 {
		s.issue()
	}
	require.False(t, s.fresh(4), "older than the window")
	require.True(t, s.fresh(5))
	require.True(t, s.fresh(strikeWindow+3), "the bit of an older ticket does not count")
	require.Len(t, s.bits, strikeWindow/64)
}

// The age of a ticket is that of the server's own running time: setting its clock changes nothing, and what cannot be is refused.
func TestAddressToken(t *testing.T) {
	e := &Endpoint{cfg: Config{Identity: testIdentity, EarlyData: true}.withDefaults(false), epoch: time.Now()}
	g := newGreeter(e)
	const at = 48 * time.Hour
	k := greetKey{7, addr(1)}
	n := g.early.used.issue()
	used := g.early.used.issue()
	g.early.used.strike(used)
	good := addressToken{number: n, at: at, rtt: time.Second, host: k.from.Addr()}
	with := func(fn func(a *addressToken)) [][]byte {
		a := good
		fn(&a)
		return [][]byte{a.append(nil)}
	}
	same := with(func(*addressToken) {})
	for name, c := range map[string]struct {
		now   time.Duration
		k     greetKey
		extra [][]byte
		want  bool
	}{
		"good":                         {at + time.Second, k, same, true},
		"other port":                   {at, greetKey{7, netip.AddrPortFrom(addr(1).Addr(), 9)}, same, true},
		"behind something else":        {at, k, append([][]byte{{1, 2, 3}, nil}, same...), true},
		"to the last":                  {at + ticketLife - 1, k, same, true},
		"expired":                      {at + ticketLife, k, same, false},
		"clock stepped back":           {at - 1, k, same, false},
		"clock stepped forward":        {at + 1000*time.Hour, k, same, false},
		"other host":                   {at, greetKey{7, addr(2)}, same, false},
		"used":                         {at, k, with(func(a *addressToken) { a.number = used }), false},
		"not handed out":               {at, k, with(func(a *addressToken) { a.number = 2 }), false},
		"time that does not exist":     {at, k, with(func(a *addressToken) { a.at = -1 }), false},
		"round trip likewise":          {at, k, with(func(a *addressToken) { a.rtt = -1 }), false},
		"none":                         {at, k, nil, false},
		"lengthened":                   {at, k, [][]byte{append(slices.Clone(same[0]), 0)}, false},
		"IPv4 address written as IPv6": {at, greetKey{7, netip.AddrPortFrom(netip.AddrFrom16(addr(1).Addr().As16()).Unmap(), 1)}, same, true},
	} {
		require.Equal(t, c.want, g.acceptable(c.now, c.k, &halfOpen{}, c.extra), name)
	}
	q := &tls.QUICConfig{TLSConfig: &tls.Config{}}
	g.early.prepare(e, q)
	require.InDelta(t, 0, q.TLSConfig.Time().Sub(e.epoch.Add(e.now())), float64(time.Second))
}

func FuzzAddressToken(f *testing.F) {
	f.Add(addressToken{number: 1, at: 2, rtt: 3, host: addr(1).Addr()}.append(nil))
	f.Add(addressToken{host: netip.MustParseAddr("2001:db8::1")}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := parseAddressToken(b)
		if ok && !bytes.Equal(a.append(nil), b) {
			t.Fatalf("%x parsed to %+v", b, a)
		}
	})
}

// FuzzEarlyPacket gives a server EARLY packets that open, with any frames.
func FuzzEarlyPacket(f *testing.F) {
	f.Add(wire.AppendFrame(nil, &wire.Frame{Type: wire.FrameMessage, Offset: 5, Data: []byte("early")}))
	f.Add(wire.AppendFrame(nil, &wire.Frame{Type: wire.FrameMessage, Offset: maxEarly - 1, Data: []byte("beyond")}))
	f.Add(wire.AppendFrame(nil, &wire.Frame{Type: wire.FrameCrypto, Data: []byte("hello")}))
	f.Add([]byte{wire.FramePadding, wire.FrameClose, 0, 0, wire.FrameTicket, 0})
	cfg := Config{Identity: testIdentity}.withDefaults(false)
	f.Fuzz(func(t *testing.T, frames []byte) {
		if len(frames) > 1400 {
			return
		}
		h := newHandshake(&cfg, false, 1, 1, nil)
		secret := make([]byte, 32)
		h.levels[2].rx, h.levels[2].hasRx = newSealer(secret, 16), true
		hdr := wire.Long{Type: wire.Early, Version: wire.Version1, HID: 1, CID: 2}
		tx := newSealer(secret, 16)
		b := tx.seal(wire.AppendLong(nil, &hdr, true, len(frames)), 0, 0, frames)
		rest, _ := h.packet(b, nil)
		require.Empty(t, rest)
		for _, p := range h.pieces {
			require.LessOrEqual(t, p.offset+uint64(len(p.data)), uint64(maxEarly))
		}
		require.Empty(t, h.levels[0].in)
		require.Empty(t, h.levels[1].in)
	})
}

// Whatever room a ClientHello leaves, its datagram is as long as it has to be, and no datagram is longer than a flight's may be.
func TestEarlyFlightSizes(t *testing.T) {
	cfg := testConfig().withDefaults(false)
	for hello := 200; hello <= 1136; hello++ {
		h := newHandshake(&cfg, true, 1, 1, nil)
		h.levels[2].tx = newSealer(make([]byte, 32), 16)
		for _, size := range []int{1, 300, maxEarly} {
			h.early = make([]byte, size)
			out := h.earlyFlight(nil, make([]byte, hello), wire.MinDatagram, wire.MinDatagram)
			require.GreaterOrEqual(t, len(out[0]), wire.MinDatagram, "hello of %d", hello)
			require.LessOrEqual(t, len(out), 4)
			for _, d := range out {
				require.LessOrEqual(t, len(d), wire.MinDatagram, "hello of %d", hello)
			}
		}
	}
}
