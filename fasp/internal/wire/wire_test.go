package wire

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShortHeaderRoundTrip(t *testing.T) {
	for _, h := range []Short{
		{CID: MakeCID(4095, 63, 1<<22-1), PN: 1<<32 - 1, Echo: 65535},
		{Phase: true, Data: true, Last: true, Class: 3, CID: MakeCID(1, 2, 3), PN: 9, Block: 1<<32 - 1, Symbol: 65535},
	} {
		b := append(h.Append(nil), make([]byte, 1+TagLen)...)
		got, err := ParseShort(b)
		require.NoError(t, err)
		require.Equal(t, h, got)
	}
	require.Equal(t, uint32(7), MakeCID(5, 6, 7).Slot())
	require.Equal(t, uint32(6), MakeCID(5, 6, 7).Worker())
	require.Equal(t, uint32(5), MakeCID(5, 6, 7).Node())
}

func TestExpandPN(t *testing.T) {
	for _, c := range []struct{ next, pn uint64 }{
		{0, 0}, {1, 0}, {0, 5}, {1 << 32, 1<<32 - 1}, {1<<32 - 1, 1<<32 + 3}, {5 << 32, 5<<32 - 1<<30}, {5<<32 - 7, 5<<32 + 1<<30},
	} {
		require.Equal(t, c.pn, ExpandPN(c.next, uint32(c.pn)), "next %d", c.next)
	}
}

func TestExpandEcho(t *testing.T) {
	for _, c := range []struct{ last, n uint64 }{{0, 0}, {5, 5}, {5, 2}, {1 << 16, 1 << 16}, {1<<16 + 1, 1<<16 - 1}, {1 << 20, 1<<20 - 60000}} {
		require.Equal(t, c.n, ExpandEcho(c.last, uint16(c.n)), "last %d", c.last)
	}
	require.Zero(t, ExpandEcho(5, 6), "a report that was never sent")
}

func TestLongRoundTrip(t *testing.T) {
	h := Long{Type: Initial, Version: Version1, HID: 77, CID: MakeCID(0, 0, 9), Token: []byte("tok"), Number: 3}
	b := AppendLong(nil, &h, true, 10)
	head := len(b)
	b = append(b, make([]byte, 10+TagLen)...)
	end := len(b)
	b = append(b, "more"...)
	got, gotHead, gotEnd, err := ParseLong(b, true)
	require.NoError(t, err)
	require.Equal(t, h, got)
	require.Equal(t, head, gotHead)
	require.Equal(t, end, gotEnd)

	v, _, _, err := ParseLong(AppendVersions(nil, 5, []uint32{1, 2}), false)
	require.NoError(t, err)
	require.Equal(t, []uint32{1, 2}, v.Versions)
}

func TestSpanForms(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, loss := range []float64{0, 0.001, 0.05, 0.3, 0.9, 1} {
		for range 200 {
			n := 1 + rng.Uint64N(3000)
			low := rng.Uint64N(1 << 40)
			got := make([]bool, n)
			for i := range got {
				got[i] = rng.Float64() >= loss
			}
			s, _ := MakeSpan(nil, low, n, func(i uint64) bool { return got[i] })
			var back []bool
			s.Runs(func(l, k uint64, received bool) bool {
				require.Equal(t, low+uint64(len(back)), l)
				for range k {
					back = append(back, received)
				}
				return true
			})
			require.Equal(t, got, back)
			f := Frame{Type: FrameReport, Report: Report{Number: 1, Highest: low + n + 5, Spans: []Span{s}}}
			b := AppendFrame(nil, &f)
			r := NewReader(b)
			var g Frame
			require.NoError(t, ReadFrame(&r, &g))
			require.Equal(t, b, AppendFrame(nil, &g))
		}
	}
}

func FuzzShort(f *testing.F) {
	h := Short{Data: true, Last: true, CID: 5, PN: 6, Block: 7, Symbol: 8}
	f.Add(append(h.Append(nil), make([]byte, 40)...))
	h.Train, h.Class = true, ClassOf1952
	f.Add(append(h.Append(nil), make([]byte, 40)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseShort(b)
		if err != nil {
			return
		}
		if e := h.Append(nil); !bytes.Equal(e, b[:len(e)]) {
			t.Fatalf("%x parsed to %+v, encoded to %x", b, h, e)
		}
	})
}

func FuzzLong(f *testing.F) {
	f.Add(append(AppendLong(nil, &Long{Version: Version1, HID: 1, Token: []byte("t")}, true, 2), make([]byte, 18)...), true)
	f.Add(append(AppendLong(nil, &Long{Type: Handshake, Version: Version1, HID: 1}, false, 2), make([]byte, 18)...), false)
	f.Add(append(AppendRetry(nil, Version1, 3, []byte("token")), make([]byte, 16)...), false)
	f.Add(AppendVersions(nil, 5, []uint32{1, 2}), false)
	f.Add(AppendReset(nil, 7, make([]byte, ResetTokenLen)), false)
	f.Fuzz(func(t *testing.T, b []byte, withToken bool) {
		h, head, end, err := ParseLong(b, withToken)
		if err != nil {
			return
		}
		if head > end || end > len(b) {
			t.Fatalf("head %d end %d len %d", head, end, len(b))
		}
		var e []byte
		switch {
		case h.Type == VersionNegotiation:
			e = AppendVersions(nil, h.HID, h.Versions)
		case h.Version != Version1:
			return
		case h.Type == Reset:
			e = AppendReset(nil, h.CID, h.Token)
		case h.Type == Retry:
			e = AppendRetry(nil, h.Version, h.HID, h.Token)
		default:
			e = AppendLong(nil, &h, withToken, end-head-TagLen)
		}
		if !bytes.Equal(e, b[:len(e)]) {
			t.Fatalf("%x parsed to %+v, encoded to %x", b, h, e)
		}
	})
}

func FuzzFrames(f *testing.F) {
	for _, fr := range []Frame{
		{Type: FramePing},
		{Type: FrameMessage, Offset: 300, Data: []byte("hello")},
		{Type: FrameClose, Code: 5, Data: []byte("why")},
		{Type: FramePathChallenge, Data: make([]byte, 8)},
		{Type: 0x55, Data: []byte("ext")},
		{Type: FrameBlockSize, Data: AppendBlockSize(nil, 300, 70_000)},
		{Type: FrameReport, Report: Report{Number: 4, Highest: 99, Stamp: 7, Credit: 1 << 30, Spans: []Span{
			{Low: 70, Len: 20, Form: SpanAll}, {Low: 10, Len: 9, Form: SpanBitmap, Body: []byte{0xf0, 0x80}}, {Low: 2, Len: 5, Form: SpanRuns, Body: []byte{2, 3, 2}},
		}}},
	} {
		f.Add(AppendFrame(nil, &fr))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(b)
		var fr Frame
		for r.Len() > 0 {
			before := r.Rest()
			if ReadFrame(&r, &fr) != nil {
				return
			}
			used := before[:len(before)-r.Len()]
			if e := AppendFrame(nil, &fr); !bytes.Equal(e, used) {
				t.Fatalf("%x parsed to %+v, encoded to %x", used, fr, e)
			}
			if fr.Type != FrameReport {
				continue
			}
			for _, s := range fr.Report.Spans {
				var n uint64
				s.Runs(func(_, k uint64, _ bool) bool { n += k; return true })
				if n != s.Len {
					t.Fatalf("span of %d told of %d", s.Len, n)
				}
			}
		}
	})
}

func FuzzParams(f *testing.F) {
	p := Params{Datagram: 1472, Credit: 1 << 20, Extents: 1, Grant: 5, IdleMS: 30000, Ciphers: []byte{1, 2}, Features: 1, Largest: 8972}
	f.Add(p.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseParams(b)
		if err != nil {
			return
		}
		q, err := ParseParams(p.Append(nil))
		if err != nil || q.Datagram != p.Datagram || q.Credit != p.Credit || q.Largest != p.Largest || !bytes.Equal(q.Ciphers, p.Ciphers) {
			t.Fatalf("%+v came back as %+v, %v", p, q, err)
		}
	})
}

func BenchmarkReport(b *testing.B) {
	for b.Loop() {
		s, _ := MakeSpan(make([]byte, 0, 256), 1000, 900, func(i uint64) bool { return i%10 != 0 })
		n := 0
		s.Runs(func(_, _ uint64, _ bool) bool { n++; return true })
	}
}
