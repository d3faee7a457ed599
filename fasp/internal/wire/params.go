package wire

// Params are the transport parameters of section 4.5. Zero values are left out of the encoding.
type Params struct {
	Datagram uint64
	Credit   uint64
	Extents  uint64
	Grant    uint64
	IdleMS   uint64
	Ciphers  []byte
	Features uint64
	Reset    []byte // 16 bytes, or none
	Largest  uint64
}

// Append appends the parameters in wire form.
func (p *Params) Append(b []byte) []byte {
	num := func(id, v uint64) {
		if v != 0 {
			b = AppendUvarint(b, id)
			b = AppendUvarint(b, uint64(UvarintLen(v)))
			b = AppendUvarint(b, v)
		}
	}
	num(1, p.Datagram)
	num(2, p.Credit)
	num(3, p.Extents)
	num(4, p.Grant)
	num(5, p.IdleMS)
	if len(p.Ciphers) > 0 {
		b = AppendBlock(AppendUvarint(b, 6), p.Ciphers)
	}
	num(7, p.Features)
	if len(p.Reset) > 0 {
		b = AppendBlock(AppendUvarint(b, 10), p.Reset)
	}
	num(11, p.Largest)
	return b
}

// ParseParams reads transport parameters; unknown ids are skipped.
func ParseParams(b []byte) (p Params, err error) {
	r := NewReader(b)
	var seen uint64
	for r.Len() > 0 {
		id := r.Uvarint()
		v := r.Block(1024)
		if r.Err() != nil {
			return Params{}, ErrMalformed
		}
		if id < 64 {
			if seen&(1<<id) != 0 {
				return Params{}, ErrMalformed
			}
			seen |= 1 << id
		}
		vr := NewReader(v)
		switch id {
		case 1:
			p.Datagram = vr.Uvarint()
		case 2:
			p.Credit = vr.Uvarint()
		case 3:
			p.Extents = vr.Uvarint()
		case 4:
			p.Grant = vr.Uvarint()
		case 5:
			p.IdleMS = vr.Uvarint()
		case 6:
			p.Ciphers = v
			vr = Reader{}
		case 7:
			p.Features = vr.Uvarint()
		case 10:
			if len(v) != ResetTokenLen {
				return Params{}, ErrMalformed
			}
			p.Reset = v
			vr = Reader{}
		case 11:
			p.Largest = vr.Uvarint()
		default:
			vr = Reader{}
		}
		if vr.Err() != nil || vr.Len() != 0 {
			return Params{}, ErrMalformed
		}
	}
	if r.Err() != nil {
		return Params{}, ErrMalformed
	}
	return p, nil
}
