package wire

import "encoding/binary"

// Frame types of section 5.1.
const (
	FramePadding       = 0x00
	FramePing          = 0x01
	FrameReport        = 0x02
	FrameMessage       = 0x03
	FrameClose         = 0x05
	FramePathChallenge = 0x06
	FramePathResponse  = 0x07
	FrameConfirmed     = 0x08 // server: it has the client's Finished
	FrameTicket        = 0x09 // server: a TLS ticket; client: empty, it has come
	FrameCrypto        = 0x0e
	FrameDispersion    = 0x42 // an extension: how long a train took
	frameExtension     = 0x40
	frameEnd           = 0x80
)

// MaxReason is the longest reason text of a CLOSE frame, in bytes.
const MaxReason = 1024

// MaxTicket is the longest ticket of a TICKET frame, in bytes.
const MaxTicket = 1024

// Frame is one decoded frame. Which fields count depends on Type. Slices share memory with the packet.
type Frame struct {
	Type   byte
	Offset uint64 // MESSAGE, CRYPTO
	Code   uint64 // CLOSE
	Data   []byte // MESSAGE, CRYPTO, TICKET bytes; CLOSE reason; PATH_* 8 bytes; extension body
	Report Report // REPORT
}

// Elicits tells whether a frame of this type makes the receiver report (section 5.1).
func Elicits(typ byte) bool {
	return typ == FramePing || typ == FrameMessage
}

// ReadFrame takes the next frame off r into f. The Report's Spans slice is reused.
func ReadFrame(r *Reader, f *Frame) error {
	f.Type = r.Byte()
	f.Data, f.Offset, f.Code = nil, 0, 0
	switch f.Type {
	case FramePadding, FramePing, FrameConfirmed:
	case FrameReport:
		return f.Report.read(r)
	case FrameMessage, FrameCrypto:
		f.Offset = r.Uvarint()
		f.Data = r.Block(MaxDatagram)
		if f.Offset > 1<<62 {
			return ErrMalformed
		}
	case FrameClose:
		f.Code = r.Uvarint()
		f.Data = r.Block(MaxReason)
	case FramePathChallenge, FramePathResponse:
		f.Data = r.Bytes(8)
	case FrameTicket:
		f.Data = r.Block(MaxTicket)
	default:
		if f.Type < frameExtension || f.Type >= frameEnd {
			return ErrMalformed
		}
		f.Data = r.Block(MaxDatagram)
	}
	return r.Err()
}

// AppendFrame appends f in wire form.
func AppendFrame(b []byte, f *Frame) []byte {
	b = append(b, f.Type)
	switch f.Type {
	case FramePadding, FramePing, FrameConfirmed:
	case FrameReport:
		b = f.Report.append(b)
	case FrameMessage, FrameCrypto:
		b = AppendBlock(AppendUvarint(b, f.Offset), f.Data)
	case FrameClose:
		b = AppendBlock(AppendUvarint(b, f.Code), f.Data)
	case FramePathChallenge, FramePathResponse:
		b = append(b, f.Data...)
	default:
		b = AppendBlock(b, f.Data)
	}
	return b
}

// Limits of section 8.1.
const (
	MaxSpans   = 64
	MaxSpanLen = 65536
)

// Forms of a span.
const (
	SpanAll    = 0
	SpanBitmap = 1
	SpanRuns   = 2
)

// Report is the body of a REPORT frame (section 8.1).
type Report struct {
	Number  uint64
	Highest uint64
	Hold    uint64 // microseconds
	Stamp   uint32 // microseconds
	Credit  uint64
	Extents uint64
	Grant   uint64 // bit/s, 0 = none
	Drain   uint64 // bit/s, 0 = unknown
	Spans   []Span
}

// Span tells the fate of the packet numbers Low .. Low+Len-1. Body holds the bitmap or the runs in wire form.
type Span struct {
	Low  uint64
	Len  uint64
	Form byte
	Body []byte // bitmap bytes, or the run lengths with their count, as on the wire
}

func (p *Report) read(r *Reader) error {
	p.Number = r.Uvarint()
	p.Highest = r.Uvarint()
	p.Hold = r.Uvarint()
	p.Stamp = r.Uint32()
	p.Credit = r.Uvarint()
	p.Extents = r.Uvarint()
	p.Grant = r.Uvarint()
	p.Drain = r.Uvarint()
	n := r.Uvarint()
	p.Spans = p.Spans[:0]
	if r.Err() != nil || n > MaxSpans || p.Highest >= 1<<62 {
		return ErrMalformed
	}
	edge := p.Highest + 1
	for range n {
		var s Span
		back := r.Uvarint()
		s.Len = r.Uvarint()
		s.Form = r.Byte()
		if r.Err() != nil || s.Len == 0 || s.Len > MaxSpanLen || back > edge || s.Len > edge-back {
			return ErrMalformed
		}
		s.Low = edge - back - s.Len
		edge = s.Low
		switch s.Form {
		case SpanAll:
		case SpanBitmap:
			s.Body = r.Bytes(int(s.Len+7) / 8)
			if tail := s.Len % 8; r.Err() == nil && tail != 0 && s.Body[len(s.Body)-1]<<tail != 0 {
				return ErrMalformed
			}
		case SpanRuns:
			start := r.Rest()
			count := r.Uvarint()
			if count == 0 || count > s.Len+1 {
				return ErrMalformed
			}
			var sum uint64
			for i := range count {
				v := r.Uvarint()
				if v == 0 && i > 0 || v > s.Len-sum {
					return ErrMalformed
				}
				sum += v
			}
			if r.Err() != nil || sum != s.Len {
				return ErrMalformed
			}
			s.Body = start[:len(start)-r.Len()]
		default:
			return ErrMalformed
		}
		p.Spans = append(p.Spans, s)
	}
	return r.Err()
}

func (p *Report) append(b []byte) []byte {
	for _, v := range [...]uint64{p.Number, p.Highest, p.Hold} {
		b = AppendUvarint(b, v)
	}
	b = binary.BigEndian.AppendUint32(b, p.Stamp)
	for _, v := range [...]uint64{p.Credit, p.Extents, p.Grant, p.Drain, uint64(len(p.Spans))} {
		b = AppendUvarint(b, v)
	}
	edge := p.Highest + 1
	for _, s := range p.Spans {
		b = AppendUvarint(b, edge-s.Low-s.Len)
		b = AppendUvarint(b, s.Len)
		b = append(b, s.Form)
		b = append(b, s.Body...)
		edge = s.Low
	}
	return b
}

// Runs calls f for each run of equal fate in the span, from the lowest number up, until f returns false.
func (s *Span) Runs(f func(low, n uint64, received bool) bool) {
	switch s.Form {
	case SpanAll:
		f(s.Low, s.Len, true)
	case SpanRuns:
		r := NewReader(s.Body)
		count := r.Uvarint()
		low, got := s.Low, true
		for range count {
			n := r.Uvarint()
			if n > 0 && !f(low, n, got) {
				return
			}
			low, got = low+n, !got
		}
	case SpanBitmap:
		start, got := uint64(0), s.Body[0]&0x80 != 0
		for i := uint64(0); i < s.Len; {
			byt := s.Body[i/8]
			if i%8 == 0 && s.Len-i >= 8 && (byt == 0xff && got || byt == 0 && !got) {
				i += 8
				continue
			}
			if bit := byt<<(i%8)&0x80 != 0; bit != got {
				if !f(s.Low+start, i-start, got) {
					return
				}
				start, got = i, bit
			}
			i++
		}
		f(s.Low+start, s.Len-start, got)
	}
}

// MakeSpan encodes the fate of n numbers from low up, in the shortest form; received tells it by distance
// from low. buf is scratch space that the span's Body will share; the grown buffer is returned.
func MakeSpan(buf []byte, low, n uint64, received func(i uint64) bool) (Span, []byte) {
	s := Span{Low: low, Len: n}
	start := len(buf)
	bitmap := int(n+7) / 8
	var runs, size uint64
	got, run := true, uint64(0)
	for i := uint64(0); i <= n; i++ {
		if i < n && received(i) == got {
			run++
			continue
		}
		runs++
		size += uint64(UvarintLen(run))
		got, run = !got, 1
	}
	switch {
	case runs == 1:
		return s, buf
	case int(size)+UvarintLen(runs) < bitmap:
		s.Form = SpanRuns
		buf = AppendUvarint(buf, runs)
		got, run = true, 0
		for i := uint64(0); i <= n; i++ {
			if i < n && received(i) == got {
				run++
				continue
			}
			buf = AppendUvarint(buf, run)
			got, run = !got, 1
		}
	default:
		s.Form = SpanBitmap
		for i := uint64(0); i < n; i++ {
			if i%8 == 0 {
				buf = append(buf, 0)
			}
			if received(i) {
				buf[len(buf)-1] |= 0x80 >> (i % 8)
			}
		}
	}
	s.Body = buf[start:len(buf):len(buf)]
	return s, buf
}
