package fasp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

// spoofer makes first packets of as many handshakes as wanted from the TLS bytes of one, since sealing takes a public key only:
// the handshake id.
type spoofer struct{ hello []byte }

func newSpoofer(t testing.TB) *spoofer {
	cfg := testConfig().withDefaults(false)
	h := newHandshake(&cfg, true, 1, 1, nil)
	defer h.tls.Close()
	p := wire.Params{Datagram: 1472, Credit: 1 << 20, Extents: 1, IdleMS: 60_000, Ciphers: []byte{1}}
	require.NoError(t, h.start(t.Context(), p.Append(nil)))
	return &spoofer{h.levels[0].out}
}

// first returns the first flight of a handshake.
func (s *spoofer) first(hid uint64, token []byte) []byte {
	return s.frames(hid, token, wire.AppendFrame(nil, &wire.Frame{Type: wire.FrameCrypto, Data: s.hello}), wire.MinDatagram)
}

// frames returns an INITIAL with the given frames, padded to a datagram of size bytes.
func (s *spoofer) frames(hid uint64, token, frames []byte, size int) []byte {
	secret, _, _ := initialSecrets(hid)
	tx := newSealer(secret, 16)
	h := wire.Long{Type: wire.Initial, Version: wire.Version1, HID: hid, CID: 1, Token: token}
	head := len(wire.AppendLong(nil, &h, true, 0))
	frames = append(slices.Clone(frames), make([]byte, max(0, size-head-len(frames)-wire.TagLen))...)
	b := wire.AppendLong(nil, &h, true, len(frames))
	return tx.seal(b, 0, 0, frames)
}

// addr returns the i'th of many addresses, each in a network of its own.
func addr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{11 + byte(i>>16), byte(i >> 8), byte(i), 7}), 1000)
}

// meter counts bytes to addresses that are not the client's.
type meter struct {
	mu   sync.Mutex
	sent map[netip.AddrPort]int
	data map[netip.AddrPort][][]byte
}

func newMeter(w *world) *meter {
	m := &meter{sent: map[netip.AddrPort]int{}, data: map[netip.AddrPort][][]byte{}}
	w.net.Tap(func(from, to netip.AddrPort, data []byte) simnet.Verdict {
		if from == w.at && to != clientAddr {
			m.mu.Lock()
			m.sent[to] += len(data)
			m.data[to] = append(m.data[to], append([]byte(nil), data...))
			m.mu.Unlock()
		}
		return simnet.Verdict{}
	})
	return m
}

func (m *meter) to(a netip.AddrPort) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sent[a]
}

// Whatever arrives from an address that has not proved itself, no more than three times as much is sent there (section 4.2).
func TestAmplification(t *testing.T) {
	sp := newSpoofer(t)
	crypto := func(off uint64, b []byte) []byte {
		return wire.AppendFrame(nil, &wire.Frame{Type: wire.FrameCrypto, Offset: off, Data: b})
	}
	version := sp.first(6, nil)
	binary.BigEndian.PutUint32(version[1:], 0x54570099)
	flip := sp.first(8, nil)
	flip[500] ^= 1
	handshake := sp.first(9, nil)
	handshake[0] = 0x90
	split := len(sp.hello) / 2
	for name, c := range map[string]struct {
		packets [][]byte
		none    bool // no answer at all
	}{
		"one":                       {packets: [][]byte{sp.first(1, nil)}},
		"three copies":              {packets: [][]byte{sp.first(2, nil), sp.first(2, nil), sp.first(2, nil)}},
		"a hundred small ones more": {packets: append([][]byte{sp.first(3, nil)}, slices.Repeat([][]byte{sp.first(3, nil)[:30]}, 100)...)},
		"hello in two":              {packets: [][]byte{sp.frames(4, nil, crypto(0, sp.hello[:split]), 1200), sp.frames(4, nil, crypto(uint64(split), sp.hello[split:]), 0)}},
		"no hello":                  {packets: [][]byte{sp.frames(5, nil, crypto(0, make([]byte, 600)), 1200)}},
		"unknown version":           {packets: [][]byte{version}},
		"unknown version, short":    {packets: [][]byte{version[:1199]}, none: true},
		"short":                     {packets: [][]byte{sp.frames(7, nil, crypto(0, sp.hello), 1199)}, none: true},
		"does not open":             {packets: [][]byte{flip}, none: true},
		"HANDSHAKE first":           {packets: [][]byte{handshake}, none: true},
		"forbidden frame":           {packets: [][]byte{sp.frames(10, nil, []byte{wire.FramePing}, 1200)}},
		"malformed frame":           {packets: [][]byte{sp.frames(11, nil, []byte{0x3f}, 1200)}},
		"CLOSE":                     {packets: [][]byte{sp.frames(12, nil, []byte{wire.FrameClose, 0, 0}, 1200)}, none: true},
		"TLS bytes beyond 16 KiB":   {packets: [][]byte{sp.frames(13, nil, crypto(16<<10, []byte{1}), 1200)}},
		"TLS bytes far beyond":      {packets: [][]byte{sp.frames(14, nil, crypto(1<<62, []byte{1}), 1200)}},
		"RETRY":                     {packets: [][]byte{append([]byte{0xa0, 0x54, 0x57, 0, 1}, make([]byte, 1300)...)}, none: true},
		"VERSION":                   {packets: [][]byte{append([]byte{0xb0, 0, 0, 0, 0}, make([]byte, 1300)...)}, none: true},
		"reserved type":             {packets: [][]byte{append([]byte{0xf0, 0x54, 0x57, 0, 1}, make([]byte, 1300)...)}, none: true},
		"huge":                      {packets: [][]byte{sp.frames(15, nil, crypto(0, sp.hello), 9000)}, none: true},
		"short packet":              {packets: [][]byte{make([]byte, 1300)}},
		"many short packets":        {packets: slices.Repeat([][]byte{append([]byte{0x20, 1, 2, 3, 4, 5}, make([]byte, 24)...)}, 300)},
	} {
		for _, crowded := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/crowded=%v", name, crowded), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := Config{}
					if crowded {
						server.MaxHalfOpen = 4
					}
					w := newWorld(t, simnet.Impair{}, server, testConfig())
					m := newMeter(w)
					if crowded {
						for i := range 10 {
							w.net.Inject(addr(i), w.at, sp.first(uint64(1000+i), nil))
						}
						synctest.Wait()
						require.NotZero(t, w.server.Stats().Retries)
					}
					from := netip.MustParseAddrPort("12.0.0.1:99")
					received := 0
					for _, p := range c.packets {
						w.net.Inject(from, w.at, p)
						received += len(p)
						synctest.Wait()
						require.LessOrEqual(t, m.to(from), 3*received)
					}
					time.Sleep(time.Minute)
					t.Logf("received %d, sent %d", received, m.to(from))
					require.LessOrEqual(t, m.to(from), 3*received)
					if c.none && !crowded { // a crowded server answers what it cannot read yet with a RETRY, too
						require.Zero(t, m.to(from))
					}
					require.Zero(t, w.server.Stats().HalfOpen, "everything is forgotten in time")
					require.Empty(t, w.server.slots)
					w.close()
				})
			})
		}
	}
}

// With the pool of half-open handshakes taken by others, a client that proves its address still gets in, with a round trip more.
func TestRetry(t *testing.T) {
	sp := newSpoofer(t)
	for _, limit := range []int{2, 8, 64} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simnet.Impair{Delay: 50 * time.Millisecond}, Config{MaxHalfOpen: limit}, testConfig())
			for i := range 1000 {
				w.net.Inject(addr(i), w.at, sp.first(uint64(i+1), nil))
				if i%100 == 0 {
					synctest.Wait()
				}
			}
			synctest.Wait()
			require.LessOrEqual(t, w.server.Stats().HalfOpen, limit/2, "the rest of the pool is for those who prove their address")
			retries := w.server.Stats().Retries
			require.Greater(t, retries, uint64(900))
			start := time.Now()
			c, s := w.connect()
			require.InDelta(t, 250*time.Millisecond, time.Since(start), float64(20*time.Millisecond), "two round trips and the half until the server has the Finished")
			require.Greater(t, w.server.Stats().Retries, retries)
			exchange(t, c, s, 100_000, 10_000)
			w.close()
		})
	}
}

// One network cannot take the pool from the others.
func TestRetryShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sp := newSpoofer(t)
		w := newWorld(t, simnet.Impair{Delay: 50 * time.Millisecond}, Config{}, testConfig())
		for i := range 1000 {
			w.net.Inject(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, 9, byte(i)}), uint16(1000+i)), w.at, sp.first(uint64(i+1), nil))
			if i%100 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		require.LessOrEqual(t, w.server.Stats().HalfOpen, 64)
		retries := w.server.Stats().Retries
		w.connect()
		require.Equal(t, retries, w.server.Stats().Retries, "another network notices nothing")
		w.close()
	})
}

func TestRetryToken(t *testing.T) {
	e := &Endpoint{cfg: Config{Identity: testIdentity}.withDefaults(false)}
	g := newGreeter(e)
	k := greetKey{7, addr(1)}
	const at = time.Hour
	token := g.makeToken(at, k)
	require.LessOrEqual(t, len(token), wire.MaxToken)
	require.NotEqual(t, token, g.makeToken(at, k))
	for name, c := range map[string]struct {
		now   time.Duration
		k     greetKey
		token []byte
		want  bool
	}{
		"good":             {at + time.Second, k, token, true},
		"to the last":      {at + tokenLife, k, token, true},
		"expired":          {at + tokenLife + 1, k, token, false},
		"from the future":  {at - 1, k, token, false},
		"other address":    {at, greetKey{7, addr(2)}, token, false},
		"other port":       {at, greetKey{7, netip.AddrPortFrom(addr(1).Addr(), 1001)}, token, false},
		"other handshake":  {at, greetKey{8, addr(1)}, token, false},
		"cut":              {at, k, token[:len(token)-1], false},
		"cut to the nonce": {at, k, token[:12], false},
		"empty":            {at, k, nil, false},
		"lengthened":       {at, k, append(slices.Clone(token), 0), false},
		"another process":  {at, k, newGreeter(e).makeToken(at, k), false},
	} {
		require.Equal(t, c.want, g.checkToken(c.now, c.k, c.token), name)
	}
	for i := range len(token) * 8 {
		b := slices.Clone(token)
		b[i/8] ^= 1 << (i % 8)
		require.False(t, g.checkToken(at, k, b), "bit %d", i)
	}
}

// A client believes a RETRY or VERSION only where it can come from its server, and not for ever.
func TestForgedAnswers(t *testing.T) {
	hid := func(data []byte) uint64 { return binary.BigEndian.Uint64(data[5:]) }
	retry := func(id uint64, token []byte) []byte {
		b := wire.AppendRetry(nil, wire.Version1, id, token)
		return append(b, retryTag(id, b)...)
	}
	for name, c := range map[string]struct {
		forge func(initial []byte) []byte
		fails string
		late  time.Duration // the handshake takes so much longer than a round trip
	}{
		"RETRY with a wrong tag":        {forge: func(p []byte) []byte { r := retry(hid(p), []byte("token")); r[len(r)-1]++; return r }},
		"RETRY for another handshake":   {forge: func(p []byte) []byte { return retry(hid(p)+1, []byte("token")) }},
		"RETRY whose token was changed": {forge: func(p []byte) []byte { r := retry(hid(p), []byte("token")); r[15]++; return r }},
		"RETRY with a useless token":    {forge: func(p []byte) []byte { return retry(hid(p), []byte("token")) }},
		"VERSION that lists ours":       {forge: func(p []byte) []byte { return wire.AppendVersions(nil, hid(p), []uint32{5, wire.Version1}) }},
		"VERSION for another handshake": {forge: func(p []byte) []byte { return wire.AppendVersions(nil, hid(p)+1, []uint32{5}) }},
		"VERSION without any":           {forge: func(p []byte) []byte { return append(wire.AppendVersions(nil, hid(p), nil), 0) }},
		"VERSION that does not":         {forge: func(p []byte) []byte { return wire.AppendVersions(nil, hid(p), []uint32{5, 6}) }, fails: "versions"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simnet.Impair{Delay: 50 * time.Millisecond}, Config{}, testConfig())
				w.net.Tap(func(from, to netip.AddrPort, data []byte) simnet.Verdict {
					if from == clientAddr && wire.IsLong(data) {
						w.net.Inject(to, from, c.forge(append([]byte(nil), data...)))
					}
					return simnet.Verdict{}
				})
				start := time.Now()
				conn, err := w.client.Dial(t.Context(), w.at)
				if c.fails != "" {
					require.ErrorContains(t, err, c.fails)
					require.Less(t, time.Since(start), 300*time.Millisecond)
				} else {
					require.NoError(t, err)
					require.InDelta(t, 100*time.Millisecond, time.Since(start), float64(25*time.Millisecond))
					s, err := w.server.Accept(t.Context())
					require.NoError(t, err)
					exchange(t, conn, s, 10_000, 1000)
				}
				w.close()
			})
		})
	}
	t.Run("VERSION after the server was heard", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simnet.Impair{Delay: 50 * time.Millisecond}, Config{}, testConfig())
			first, heard := true, time.Time{}
			w.net.Tap(func(from, to netip.AddrPort, data []byte) simnet.Verdict {
				if from != w.at || !wire.IsLong(data) {
					return simnet.Verdict{}
				}
				if first { // only ServerHello of the first datagram gets through at first
					first = false
					_, _, end, err := wire.ParseLong(data, false)
					if err == nil && end < len(data) {
						heard = time.Now().Add(50 * time.Millisecond)
						return simnet.Verdict{Data: data[:end]}
					}
				}
				if !time.Now().After(heard) {
					return simnet.Verdict{Drop: true}
				}
				w.net.Inject(from, to, wire.AppendVersions(nil, hid(data), []uint32{5}))
				return simnet.Verdict{}
			})
			c, s := w.connect()
			exchange(t, c, s, 10_000, 1000)
			w.close()
		})
	})
}

// A server without room says so, at once and through losses (section 5.8, code 3).
func TestMaxSessions(t *testing.T) {
	for _, loss := range []float64{0, 0.3} {
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simnet.Impair{Delay: 50 * time.Millisecond, Loss: loss}, Config{MaxSessions: 2}, testConfig())
				a, sa := w.connect()
				b, sb := w.connect()
				for range 10 {
					start := time.Now()
					c, err := w.client.Dial(t.Context(), w.at)
					if err == nil { // the client's side is complete before the server's answer to its Finished
						_, err = c.ReceiveMessage(t.Context())
					}
					var p *PeerError
					if loss > 0 && errors.Is(err, ErrReset) {
						continue // all three copies of the refusal were lost
					}
					require.ErrorAs(t, err, &p)
					require.Equal(t, CodeBusy, p.Code)
					if loss == 0 {
						require.Less(t, time.Since(start), 300*time.Millisecond)
					}
				}
				require.Equal(t, 2, w.server.Stats().Sessions)
				exchange(t, b, sb, 100_000, 10_000)
				require.NoError(t, a.Close(CodeDone, ""))
				if loss > 0 { // all three copies of the word may be lost
					require.NoError(t, sa.Close(CodeDone, ""))
				}
				time.Sleep(time.Second)
				c, s := w.connect()
				exchange(t, c, s, 100_000, 10_000)
				w.close()
			})
		})
	}
}

// Sessions that come and go leave nothing behind for long, however fast they come.
func TestSessionChurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simnet.Impair{Delay: time.Millisecond}, Config{MaxSessions: 4}, testConfig())
		run := func(n int) {
			for range n {
				c, s := w.connect()
				require.NoError(t, c.Close(CodeDone, ""))
				<-s.Done()
			}
		}
		run(20)
		before := heap()
		n := 300
		if testing.Short() {
			n = 60
		}
		run(n)
		grown := int64(heap()) - int64(before)
		t.Logf("%d KiB a session that has ended", grown>>10/int64(n))
		require.Less(t, grown, int64(n)<<10*8, "bytes kept for %d sessions that have ended", n)
		w.close()
	})
}

// How many round trips a handshake takes where 30 % of the datagrams are lost in each direction.
func TestHandshakeUnderLoss(t *testing.T) {
	const rtt = 100 * time.Millisecond
	seeds := 500
	if testing.Short() {
		seeds = 50
	}
	var took []time.Duration
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) {
			n := simnet.NewNet(seed)
			path := simnet.Impair{Delay: rtt / 2, Loss: 0.3}
			n.SetPath(clientAddr.Addr(), serverAddr.Addr(), path, path)
			server := listenSim(t, n, serverAddr, Config{Identity: testIdentity})
			client := listenSim(t, n, clientAddr, testConfig())
			start := time.Now()
			c, err := client.Dial(t.Context(), serverAddr)
			require.NoError(t, err, "seed %d", seed)
			s, err := server.Accept(t.Context())
			require.NoError(t, err, "seed %d", seed)
			require.NoError(t, c.SendMessage(t.Context(), []byte("x")))
			_, err = s.ReceiveMessage(t.Context())
			require.NoError(t, err, "seed %d", seed)
			took = append(took, time.Since(start))
			client.Close()
			server.Close()
			n.Close()
		})
	}
	slices.Sort(took)
	at := func(p float64) float64 { return float64(took[int(p*float64(len(took)-1))]) / float64(rtt) }
	t.Logf("until the client's first message is there, in round trips: p50 %.2f, p90 %.2f, p99 %.2f, worst %.2f", at(0.5), at(0.9), at(0.99), at(1))
	require.Less(t, took[len(took)-1], 15*time.Second)
}

func listenSim(t testing.TB, n *simnet.Net, at netip.AddrPort, cfg Config) *Endpoint {
	t.Helper()
	pc, err := n.Listen(at)
	require.NoError(t, err)
	e, err := NewEndpoint(pc, cfg)
	require.NoError(t, err)
	return e
}

// A handshake that neither side finishes ends by itself, and one that the caller gives up ends at once.
func TestHandshakeCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simnet.Impair{Delay: 50 * time.Millisecond}, Config{}, testConfig())
		ctx, cancel := context.WithTimeout(t.Context(), 70*time.Millisecond)
		defer cancel()
		_, err := w.client.Dial(ctx, w.at)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Empty(t, w.client.slots)
		require.Empty(t, w.client.dials)
		time.Sleep(16 * time.Second)
		require.Zero(t, w.server.Stats().HalfOpen)
		require.Empty(t, w.server.slots)
		w.close()
	})
}
