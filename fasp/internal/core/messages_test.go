package core

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// stream returns messages as one byte stream (section 5.2).
func stream(msgs ...string) []byte {
	var b []byte
	for _, m := range msgs {
		b = append(binary.AppendUvarint(b, uint64(len(m))), m...)
	}
	return b
}

func texts(msgs [][]byte) []string {
	var out []string
	for _, m := range msgs {
		out = append(out, string(m))
	}
	return out
}

func (s *script) message(off int, data []byte) error {
	return s.frame(&wire.Frame{Type: wire.FrameMessage, Offset: uint64(off), Data: data})
}

func TestMessagesOutOfOrder(t *testing.T) {
	s := newScript(t, nil)
	b := stream("one", "two", "three")
	s.step("the end first: nothing can be delivered")
	require.NoError(t, s.message(8, b[8:]))
	require.Empty(t, s.c.Messages())
	s.step("the beginning, overlapping what is there already")
	require.NoError(t, s.message(0, b[:10]))
	require.Equal(t, []string{"one", "two", "three"}, texts(s.c.Messages()))
	s.step("duplicates of everything, and an empty piece")
	require.NoError(t, s.message(0, b))
	require.NoError(t, s.message(3, b[3:9]))
	require.NoError(t, s.message(len(b)+7, nil))
	require.Empty(t, s.c.Messages())
	s.step("a length cut in two")
	long := stream(string(make([]byte, 300)))
	require.NoError(t, s.message(len(b), long[:1]))
	require.NoError(t, s.message(len(b)+1, long[1:]))
	require.Len(t, s.c.Messages(), 1)
}

// Random pieces of a stream in random order, overlapping and repeated, give the same messages.
func TestMessagesModel(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var want []string
		for i := range 40 {
			want = append(want, fmt.Sprintf("%d:%s", i, make([]byte, rng.IntN(400))))
		}
		b := stream(want...)
		s := newScript(t, nil)
		var got []string
		for off := 0; off < len(b); {
			n := min(1+rng.IntN(200), len(b)-off)
			for range rng.IntN(4) {
				lo := rng.IntN(len(b))
				hi := min(len(b), lo+rng.IntN(500))
				require.NoError(t, s.message(lo, b[lo:hi]))
			}
			require.NoError(t, s.message(off, b[off:off+n]))
			off += n
			got = append(got, texts(s.c.Messages())...)
		}
		require.Equal(t, want, got, "seed %d", seed)
		require.Empty(t, s.c.msgIn.have, "seed %d: nothing is left over", seed)
	}
}

func TestMessagesMalformed(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty message":      {0},
		"too long":           binary.AppendUvarint(nil, maxMessage+1),
		"length not minimal": {0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"length too long":    {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		s := newScript(t, nil)
		s.step("%s", name)
		s.wantProtocolError(s.message(0, b), "message length")
	}
}

// A peer may be at most 2 MiB ahead of what the layer above has taken; what lies beyond is dropped, not an error.
func TestMessagesBackPressure(t *testing.T) {
	s := newScript(t, nil)
	s.step("a piece beyond the limit is dropped and not reported as received")
	require.NoError(t, s.message(maxMessageHeld-1, []byte("xx")))
	require.Equal(t, uint64(1), s.c.Stats.Dropped)
	require.Zero(t, s.c.seen.next)
	require.NoError(t, s.message(1<<40, []byte("x")))
	require.Equal(t, uint64(2), s.c.Stats.Dropped)

	s.step("a piece right at the limit is kept")
	require.NoError(t, s.message(maxMessageHeld-1, []byte("x")))
	require.Equal(t, uint64(2), s.c.Stats.Dropped)
	require.LessOrEqual(t, cap(s.c.msgIn.buf), 4<<20)

	s = newScript(t, nil)
	s.step("nobody takes messages: the peer gets no further than the limit")
	piece := stream(string(make([]byte, 997)))
	off := 0
	for range 5000 {
		if err := s.message(off, piece); err != nil {
			t.Fatal(err)
		}
		if s.c.msgIn.base == uint64(off+len(piece)) {
			off += len(piece)
		}
	}
	held := 0
	for _, m := range s.c.msgIn.ready {
		held += len(m)
	}
	require.LessOrEqual(t, held, maxMessageHeld)
	require.Greater(t, held, maxMessageHeld*9/10)
	s.step("taking some makes room for as much")
	got := s.c.Messages()
	s.c.MessageTaken(MessageCost(len(got[0])))
	before := s.c.msgIn.base
	require.NoError(t, s.message(off, piece))
	require.Greater(t, s.c.msgIn.base, before)
}

// Messages of one byte cost memory beside their bytes, and pieces with holes between them cost time: neither may be used to wear
// the receiver down.
func TestMessagesTiny(t *testing.T) {
	var m0, m1 runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m0)
	s := newScript(t, nil)
	tiny := stream(slices.Repeat([]string{"x"}, 600)...)
	for off := 0; off < 4<<20; off += len(tiny) {
		require.NoError(t, s.message(off, tiny))
	}
	runtime.GC()
	runtime.ReadMemStats(&m1)
	require.Less(t, int64(m1.HeapAlloc-m0.HeapAlloc), int64(24<<20), "memory for %d messages of one byte", len(s.c.msgIn.ready))
	runtime.KeepAlive(s)

	s = newScript(t, nil)
	s.step("every other byte")
	var b []byte
	off := 1
	for range 3000 {
		b = b[:0]
		for range 200 {
			b = wire.AppendFrame(b, &wire.Frame{Type: wire.FrameMessage, Offset: uint64(off), Data: []byte{1}})
			off += 2
		}
		require.NoError(t, s.frames(b))
	}
	require.LessOrEqual(t, len(s.c.msgIn.have), maxPieces+300, "pieces that wait")
}

// The sending half: chunks lost are sent again, acknowledged once, and forgotten in order.
func TestMessagesSending(t *testing.T) {
	s := newScript(t, nil)
	var want []string
	for i := range 40 {
		want = append(want, fmt.Sprintf("%d:%s", i, make([]byte, 500)))
		s.c.AddMessage([]byte(want[i]))
	}
	s.step("of the first copies every third is lost")
	s.wait(30 * ms)
	peer := newScript(t, nil)
	deliver := func(p Packet) {
		for r := wire.NewReader(p.Frames); r.Len() > 0; {
			var f wire.Frame
			require.NoError(t, wire.ReadFrame(&r, &f))
			if f.Type == wire.FrameMessage {
				require.NoError(t, peer.frame(&f))
			}
		}
	}
	lost := map[uint64]bool{}
	first := s.take()
	chunks := len(s.c.msgOut.chunks)
	require.Greater(t, chunks, 15)
	seen := map[uint64]int{}
	for _, p := range first {
		r := wire.NewReader(p.Frames)
		var f wire.Frame
		require.NoError(t, wire.ReadFrame(&r, &f))
		if _, ok := seen[f.Offset]; !ok {
			seen[f.Offset] = len(seen)
		}
		if i := seen[f.Offset]; i%3 == 1 && i < chunks-4 {
			lost[p.PN] = true
		} else {
			deliver(p)
		}
	}
	require.NoError(t, s.report(s.highest(), func(pn uint64) bool { return !lost[pn] }))
	s.step("they go again at once, under new numbers, and nothing else does")
	s.wait(30 * ms)
	again := s.take()
	require.Len(t, again, len(lost))
	for _, p := range again {
		deliver(p)
	}
	require.Equal(t, want, texts(peer.c.Messages()))
	_, unsettled := s.c.Unsettled()
	require.NotZero(t, unsettled)
	require.NoError(t, s.report(s.highest(), func(pn uint64) bool { return !lost[pn] }))
	_, unsettled = s.c.Unsettled()
	require.Zero(t, unsettled)
	require.Empty(t, s.c.msgOut.chunks)
	s.step("a late acknowledgement of a forgotten chunk changes nothing")
	require.NoError(t, s.report(s.highest(), all))
}

// While messages follow one another at a low rate, there is something behind each that would show its loss: copies must not take the rate from new ones.
func TestCopiesLeaveRoomForMessages(t *testing.T) {
	for _, rate := range []int64{1e6, 3e6, 10e6} {
		s := newScript(t, func(c *Config) { c.InitialRTT = 600 * ms; c.Rates.Target = rate })
		for range 10 {
			s.c.AddMessage(make([]byte, 60_000))
		}
		for range 1000 {
			s.send()
			s.wait(ms)
		}
		sent, chunks := len(s.take()), len(s.c.msgOut.chunks)
		require.LessOrEqual(t, sent, chunks*5/4+4, "%d bit/s", rate)
	}
}

// The last messages have nothing behind them that would show their loss: they are repeated, at growing intervals.
func TestMessagesRepeated(t *testing.T) {
	s := newScript(t, func(c *Config) { c.InitialRTT = 40 * ms })
	s.c.AddMessage([]byte("alone"))
	s.send()
	require.Len(t, s.take(), 1)
	start := s.now
	var at []time.Duration
	for s.now < start+900*ms { // until the breaker has its say
		s.wait(ms)
		for range s.take() {
			at = append(at, s.now-start)
		}
	}
	require.GreaterOrEqual(t, len(at), 8, "%v", at)
	require.InDelta(t, 5*ms, at[0], float64(2*ms), "soon: nothing is known of the path")
	require.InDelta(t, 10*ms, at[1]-at[0], float64(2*ms), "a quarter of the round trip")
	for i := 2; i < len(at); i++ {
		require.GreaterOrEqual(t, at[i]-at[i-1], at[i-1]-at[i-2]-2*ms, "intervals do not shrink: %v", at)
	}
	require.Greater(t, at[len(at)-1]-at[len(at)-2], 50*ms, "and do grow: %v", at)
}

// SendMessage's bound: more than 1 MiB is not taken while the peer acknowledges nothing.
func TestMessageRoom(t *testing.T) {
	s := newScript(t, nil)
	n := 0
	for ; s.c.MessageRoom(); n++ {
		s.c.AddMessage(make([]byte, 1000))
	}
	require.InDelta(t, maxUnsettled/1000, n, 3)
	s.wait(2 * time.Second)
	require.False(t, s.c.MessageRoom())
	require.NoError(t, s.report(s.highest(), all))
	require.True(t, s.c.MessageRoom())
}
