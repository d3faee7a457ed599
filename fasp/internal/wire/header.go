package wire

import "encoding/binary"

// Sizes of section 5, in bytes.
const (
	CIDLen        = 5
	TagLen        = 16
	FrameHeader   = 12                   // short header of a frame packet
	DataHeader    = 18                   // short header of a data packet
	DataOverhead  = DataHeader + TagLen  // of a data packet beside its payload
	FrameOverhead = FrameHeader + TagLen // of a frame packet beside its frames
	MinDatagram   = 1200
	MaxDatagram   = 65507
	Version1      = 0x54570001
)

// CID is a connection id as section 3 lays it out, in the low 40 bits.
type CID uint64

// MakeCID joins the parts of a connection id; each is cut to its width.
func MakeCID(node, worker, slot uint32) CID {
	return CID(node&0xfff)<<28 | CID(worker&0x3f)<<22 | CID(slot&0x3fffff)
}

// Slot returns the slot part.
func (c CID) Slot() uint32 { return uint32(c) & 0x3fffff }

// Worker returns the worker part.
func (c CID) Worker() uint32 { return uint32(c>>22) & 0x3f }

// Node returns the node part.
func (c CID) Node() uint32 { return uint32(c>>28) & 0xfff }

func putCID(b []byte, c CID) {
	_ = b[4]
	b[0], b[1], b[2], b[3], b[4] = byte(c>>32), byte(c>>24), byte(c>>16), byte(c>>8), byte(c)
}

func getCID(b []byte) CID {
	_ = b[4]
	return CID(b[0])<<32 | CID(b[1])<<24 | CID(b[2])<<16 | CID(b[3])<<8 | CID(b[4])
}

// IsLong tells a long from a short packet; b is not empty.
func IsLong(b []byte) bool { return b[0]&0x80 != 0 }

// Short is the header of a short packet (section 5). Block, Symbol, Last, Train and Class belong to data packets.
type Short struct {
	Phase  bool
	Data   bool
	Last   bool
	Train  bool
	Class  uint8
	CID    CID
	PN     uint32 // low 32 bits
	Echo   uint16 // low 16 bits of the report number
	Block  uint32
	Symbol uint16
}

// Len returns the encoded length of h.
func (h *Short) Len() int {
	if h.Data {
		return DataHeader
	}
	return FrameHeader
}

// Append appends the encoded header.
func (h *Short) Append(b []byte) []byte {
	var f byte
	if h.Phase {
		f |= 0x40
	}
	if h.Data {
		f |= 0x20
		if h.Last {
			f |= 0x10
		}
		if h.Train {
			f |= 0x08
		}
		f |= h.Class & 7
	}
	n := len(b)
	b = append(b, f, 0, 0, 0, 0, 0)
	putCID(b[n+1:], h.CID)
	b = binary.BigEndian.AppendUint32(b, h.PN)
	b = binary.BigEndian.AppendUint16(b, h.Echo)
	if h.Data {
		b = binary.BigEndian.AppendUint32(b, h.Block)
		b = binary.BigEndian.AppendUint16(b, h.Symbol)
	}
	return b
}

// ParseShort reads the header of a short packet. The sealed part starts at h.Len().
func ParseShort(b []byte) (h Short, err error) {
	if len(b) < FrameOverhead || b[0]&0x80 != 0 {
		return h, ErrMalformed
	}
	f := b[0]
	h.Phase = f&0x40 != 0
	h.Data = f&0x20 != 0
	if h.Data && f&7 >= Classes || !h.Data && f&0x1f != 0 {
		return h, ErrMalformed
	}
	h.CID = getCID(b[1:])
	h.PN = binary.BigEndian.Uint32(b[6:])
	h.Echo = binary.BigEndian.Uint16(b[10:])
	if h.Data {
		if len(b) <= DataOverhead {
			return h, ErrMalformed
		}
		h.Last = f&0x10 != 0
		h.Train = f&0x08 != 0
		h.Class = f & 7
		h.Block = binary.BigEndian.Uint32(b[12:])
		h.Symbol = binary.BigEndian.Uint16(b[16:])
	}
	return h, nil
}

// ExpandPN returns the packet number whose low 32 bits are low and that lies nearest to next, the number
// after the highest one received (section 5).
func ExpandPN(next uint64, low uint32) uint64 {
	pn := next&^0xffffffff | uint64(low)
	switch {
	case pn+1<<31 <= next && pn < 1<<63:
		return pn + 1<<32
	case pn > next+1<<31 && pn >= 1<<32:
		return pn - 1<<32
	}
	return pn
}

// ExpandEcho returns the report number in (last-65536, last] whose low 16 bits are low, or 0 for none.
func ExpandEcho(last uint64, low uint16) uint64 {
	n := last&^0xffff | uint64(low)
	if n > last {
		if n < 1<<16 {
			return 0
		}
		n -= 1 << 16
	}
	return n
}

// Type is the type of a long packet (section 4.1).
type Type uint8

// Long packet types.
const (
	Initial Type = iota
	Handshake
	Retry
	VersionNegotiation
	Early
	Reset
)

// ResetTokenLen is the length of a reset token (section 5.5).
const ResetTokenLen = 16

// MaxToken is the longest retry token in bytes.
const MaxToken = 256

// Long is the header of a long packet. Token is set in INITIAL packets of clients, in RETRY and in RESET.
type Long struct {
	Type     Type
	Version  uint32
	HID      uint64
	CID      CID    // source connection id (INITIAL, HANDSHAKE)
	Token    []byte // INITIAL from a client, RETRY
	Number   uint32 // INITIAL, HANDSHAKE
	Tag      []byte // RETRY
	Versions []uint32
}

// AppendLong appends an INITIAL or HANDSHAKE header for a payload of n bytes before sealing. withToken
// says that the packet comes from a client and so has the token field. The payload and the tag follow.
func AppendLong(b []byte, h *Long, withToken bool, n int) []byte {
	b = appendLongStart(b, h)
	at := len(b)
	b = append(b, 0, 0, 0, 0, 0)
	putCID(b[at:], h.CID)
	if h.Type == Initial && withToken {
		b = AppendBlock(b, h.Token)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(4+n+TagLen))
	return binary.BigEndian.AppendUint32(b, h.Number)
}

// AppendRetry appends a whole RETRY packet without its tag.
func AppendRetry(b []byte, version uint32, hid uint64, token []byte) []byte {
	b = appendLongStart(b, &Long{Type: Retry, Version: version, HID: hid})
	return AppendBlock(b, token)
}

// AppendVersions appends a whole VERSION packet.
func AppendVersions(b []byte, hid uint64, versions []uint32) []byte {
	b = appendLongStart(b, &Long{Type: VersionNegotiation, Version: 0, HID: hid})
	b = append(b, byte(len(versions)))
	for _, v := range versions {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

// AppendReset appends a whole RESET packet.
func AppendReset(b []byte, cid CID, token []byte) []byte {
	b = appendLongStart(b, &Long{Type: Reset, Version: Version1})
	at := len(b)
	b = append(b, 0, 0, 0, 0, 0)
	putCID(b[at:], cid)
	return append(b, token...)
}

func appendLongStart(b []byte, h *Long) []byte {
	b = append(b, 0x80|byte(h.Type)<<4)
	b = binary.BigEndian.AppendUint32(b, h.Version)
	return binary.BigEndian.AppendUint64(b, h.HID)
}

// ParseLong reads the long packet at the start of b. withToken says that it comes from a client. For INITIAL and HANDSHAKE head is the
// header's length including the number, and end the end of the packet with its tag; the rest of b holds
// further packets. RETRY and VERSION take all of b. A version other than 1 is parsed no further than
// the HID: end is then len(b).
func ParseLong(b []byte, withToken bool) (h Long, head, end int, err error) {
	r := NewReader(b)
	f := r.Byte()
	h.Type = Type(f >> 4 & 7)
	h.Version = r.Uint32()
	if v := r.Bytes(8); v != nil {
		h.HID = binary.BigEndian.Uint64(v)
	}
	if r.Err() != nil || f&0x80 == 0 {
		return h, 0, 0, ErrMalformed
	}
	if h.Type == VersionNegotiation {
		n := int(r.Byte())
		if f&0x0f != 0 || h.Version != 0 || r.Len() != 4*n || n == 0 {
			return h, 0, 0, ErrMalformed
		}
		for range n {
			h.Versions = append(h.Versions, r.Uint32())
		}
		return h, len(b), len(b), nil
	}
	if h.Version != Version1 {
		return h, 0, len(b), nil
	}
	if f&0x0f != 0 {
		return h, 0, 0, ErrMalformed
	}
	switch h.Type {
	case Reset:
		if v := r.Bytes(CIDLen); v != nil {
			h.CID = getCID(v)
		}
		h.Token = r.Bytes(ResetTokenLen)
		if r.Err() != nil || r.Len() != 0 || h.HID != 0 {
			return h, 0, 0, ErrMalformed
		}
		return h, len(b), len(b), nil
	case Retry:
		h.Token = r.Block(MaxToken)
		h.Tag = r.Bytes(16)
		if r.Err() != nil || r.Len() != 0 || len(h.Token) == 0 {
			return h, 0, 0, ErrMalformed
		}
		return h, len(b) - 16, len(b), nil
	case Initial, Handshake:
		if v := r.Bytes(CIDLen); v != nil {
			h.CID = getCID(v)
		}
		if h.Type == Initial && withToken {
			h.Token = r.Block(MaxToken)
		}
		var n int
		if v := r.Bytes(2); v != nil {
			n = int(binary.BigEndian.Uint16(v))
		}
		if r.Err() != nil || n < 4+TagLen || n > r.Len() {
			return h, 0, 0, ErrMalformed
		}
		start := len(b) - r.Len()
		h.Number = r.Uint32()
		return h, start + 4, start + n, nil
	}
	return h, 0, 0, ErrMalformed
}
