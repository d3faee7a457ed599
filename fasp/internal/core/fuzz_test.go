package core

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

// input takes numbers off the fuzzer's bytes; after the end they are 0.
type input struct{ b []byte }

func (f *input) byte() byte {
	if len(f.b) == 0 {
		return 0
	}
	v := f.b[0]
	f.b = f.b[1:]
	return v
}

// number is mostly small and now and then anything.
func (f *input) number() uint64 {
	switch v := f.byte(); {
	case v < 200:
		return uint64(v)
	case v < 240:
		return uint64(f.byte())<<8 | uint64(f.byte())
	default:
		var w [8]byte
		f.b = f.b[copy(w[:], f.b):]
		return binary.BigEndian.Uint64(w[:])
	}
}

func (f *input) bytes() []byte {
	n := min(int(f.number()%1400), len(f.b))
	v := f.b[:n]
	f.b = f.b[n:]
	return v
}

// frames makes frames of which most are well formed.
func (f *input) frames(e *end) []byte {
	var b []byte
	for range f.byte()%4 + 1 {
		switch f.byte() % 9 {
		case 0:
			b = append(b, f.bytes()...)
		case 1:
			b = append(b, wire.FramePing)
		case 2, 3: // a report of what the end has sent, more or less
			r := wire.Report{
				Number: e.lastReportIn + f.number(), Highest: e.led.next - min(e.led.next, f.number()), Hold: f.number(),
				Stamp: uint32(f.number()), Credit: f.number() << 10, Extents: f.number(), Grant: f.number() << 16, Drain: f.number(),
			}
			edge := min(r.Highest, 1<<62-2) + 1
			r.Highest = edge - 1
			for range f.byte() % 4 {
				back, n := min(edge, f.number()), f.number()%5000+1
				if edge-back < n {
					break
				}
				edge -= back + n
				pattern := f.number()
				span, _ := wire.MakeSpan(nil, edge, n, func(i uint64) bool { return pattern>>(i%17)&1 == 0 })
				r.Spans = append(r.Spans, span)
			}
			b = wire.AppendFrame(b, &wire.Frame{Type: wire.FrameReport, Report: r})
		case 4:
			b = wire.AppendFrame(b, &wire.Frame{Type: wire.FrameMessage, Offset: e.msgIn.base + f.number(), Data: f.bytes()})
		case 5:
			b = wire.AppendFrame(b, &wire.Frame{Type: wire.FrameMessage, Offset: min(f.number(), 1<<62), Data: f.bytes()})
		case 6:
			body := f.bytes()
			if f.byte()%4 != 0 {
				body = wire.AppendBlockSize(nil, e.inBase+uint32(f.number()), int(f.number()))
			}
			b = wire.AppendFrame(b, &wire.Frame{Type: wire.FrameBlockSize, Data: body})
		case 7:
			b = wire.AppendFrame(b, &wire.Frame{Type: wire.FrameClose, Code: f.number(), Data: f.bytes()})
		case 8:
			n := wire.ECN{ECT0: f.number(), ECT1: f.number() % 2, CE: f.number()}
			b = wire.AppendFrame(b, &wire.Frame{Type: wire.FrameECN, Data: n.Append(nil)})
		}
	}
	return b
}

// FuzzConn scripts a session with an honest exchange, between whose packets authentic nonsense arrives: whatever a peer
// sends may end the session with a ProtocolError and must not do anything else: no panic, no memory beyond the bounds.
func FuzzConn(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 50, 3, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 50})
	f.Add([]byte{0, 90, 1, 0, 0, 5, 3, 0, 200, 2, 2, 9, 9, 9, 0, 80, 2, 1, 4, 200, 1, 2, 3, 4, 5, 6})
	f.Add([]byte{1, 0, 240, 0, 0, 0, 0, 128, 0, 0, 0, 4, 255, 1, 1, 5, 0, 9, 8, 7, 0, 255})
	f.Add([]byte{4, 199, 5, 200, 77, 77, 0, 199, 6, 9, 7, 30, 0, 199, 8, 3, 0, 199})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return
		}
		link := simnet.Impair{Rate: 8e6, Delay: 5 * ms, Loss: 0.05}
		s := newSim(1, Config{Rates: Rates{Policy: Fixed, Target: 8e6}, MaxLag: 10 * ms, Window: 1 << 20, WindowMax: 2 << 20, Idle: time.Hour, Parity: true, ECN: true, Largest: 8972 - wire.DataOverhead}, link, link)
		in := &input{data}
		given := 0
		alive := func(err error) bool {
			var p *ProtocolError
			require.True(t, err == nil || errors.As(err, &p) || errors.Is(err, ErrMTU) || errors.Is(err, ErrIdle), "%v", err)
			return err == nil
		}
		for len(in.b) > 0 {
			op := in.byte()
			e := s.a
			if op&0x80 != 0 {
				e = s.b
			}
			var err error
			switch op & 0x7f % 10 {
			case 0: // the session goes on
				err = s.run(s.now+time.Duration(in.number()%200)*ms, nil)
			case 1:
				h := wire.Short{Data: true, Last: in.byte()%4 == 0, Echo: uint16(in.number()), Block: e.inBase + uint32(in.number()), Symbol: uint16(in.number())}
				v := in.byte()
				h.Class = v % wire.Classes
				n := e.sizes[h.Class]
				if h.Class == wire.ClassParity {
					n = e.sizes[v>>3%wire.Classes]
				}
				if h.Last || in.byte()%8 == 0 {
					n = int(in.number() % 10_000)
				}
				pn := e.seen.next + in.number()
				if pn < 1<<62 {
					var r DataResult
					if r, err = e.OnData(s.now, pn, &h, n); r.Whole {
						e.Freed(r.Block.Size)
						e.RecycleIn(r.Block)
					}
				}
			case 2, 3:
				if pn := e.seen.next + in.number()%4; pn < 1<<62 {
					b := in.frames(e)
					err = e.OnFrames(s.now, pn, uint16(in.number()), b, len(b)+56, func(*wire.Frame) error { return nil })
				}
			case 4:
				given++
				if given < 100 {
					e.left += int64(in.number() % 300_000)
				}
			case 5:
				if e.MessageRoom() {
					e.AddMessage(make([]byte, in.number()%maxMessage+1))
				}
			case 6:
				e.SetRates(s.now, Rates{Policy: Policy(in.byte() % 4), Target: int64(in.number()%20e6) + 64_000, Min: int64(in.number() % 10e6)})
			case 7:
				e.SetGrant(int64(in.number()))
				e.SetExtents(in.number())
				e.SetWindow(int64(in.number()%(1<<21)), 0)
				e.Blocked(in.byte()%2 == 0)
			case 9: // the path changes, or a datagram does not fit the interface
				if v := int(in.number()); v < 1<<14 {
					link.MTU = 100 + v
					s.a.link.Set(s.now, link)
					s.b.link.Set(s.now, link)
				} else {
					e.Refused(s.now, v)
				}
			case 8:
				s.now += time.Duration(in.number()%100_000) * ms
			}
			if !alive(err) {
				break
			}
		}
		if s.a.err == nil && s.b.err == nil {
			alive(s.run(s.now+100*ms, nil))
		}
		for _, e := range []*end{s.a, s.b} {
			require.LessOrEqual(t, cap(e.msgIn.buf), 8<<20)
			require.LessOrEqual(t, len(e.msgIn.have), maxPieces+2000)
			require.LessOrEqual(t, len(e.in), 2*(4<<20)/minCharge+e.inBegun, "blocks begun")
			require.LessOrEqual(t, e.parityHeld, e.window/4)
			require.LessOrEqual(t, e.inHeld, uint64(8<<20))
			require.LessOrEqual(t, e.seen.size(), uint64(pnSetMax))
			require.LessOrEqual(t, len(e.stretches), 4*pnSetMax/1024)
			require.LessOrEqual(t, len(e.led.ring), 1<<18)
			require.LessOrEqual(t, len(e.control), 16)
		}
	})
}
