package wire

// FrameECN is the extension frame that tells how many packets came with which mark (section 8.6).
const FrameECN = 0x43

// FeatureECN is the bit of transport parameter 7 for marks (section 4.5).
const FeatureECN = 1 << 5

// ECN fields of the IP header (RFC 3168 section 5).
const (
	NotECT = 0
	ECT1   = 1
	ECT0   = 2
	CE     = 3
)

// ECN is the body of an ECN frame: packets received with each mark since the start of the session, each below 2^62.
type ECN struct {
	ECT0, ECT1, CE uint64
}

// Append appends the encoded body.
func (e *ECN) Append(b []byte) []byte {
	return AppendUvarint(AppendUvarint(AppendUvarint(b, e.ECT0), e.ECT1), e.CE)
}

// Count adds a packet whose ECN field is the low two bits of mark.
func (e *ECN) Count(mark uint8) {
	switch mark & 3 {
	case ECT0:
		e.ECT0++
	case ECT1:
		e.ECT1++
	case CE:
		e.CE++
	}
}

// Total returns the packets with any mark.
func (e *ECN) Total() uint64 { return e.ECT0 + e.ECT1 + e.CE }

// ParseECN reads a body. The error is ErrMalformed.
func ParseECN(b []byte) (ECN, error) {
	r := NewReader(b)
	e := ECN{ECT0: r.Uvarint(), ECT1: r.Uvarint(), CE: r.Uvarint()}
	if r.Err() != nil || r.Len() > 0 || e.ECT0 >= 1<<62 || e.ECT1 >= 1<<62 || e.CE >= 1<<62 {
		return ECN{}, ErrMalformed
	}
	return e, nil
}
