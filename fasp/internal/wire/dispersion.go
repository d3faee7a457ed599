package wire

// Dispersion is the body of a DISPERSION frame (section 8.5): how long a train took.
type Dispersion struct {
	First  uint64 // number of the first packet
	Span   uint64 // distance to the last one, 1 to 65,536
	Micros uint64 // between their arrivals, at most 10^9
}

// Append appends the encoded body.
func (d *Dispersion) Append(b []byte) []byte {
	return AppendUvarint(AppendUvarint(AppendUvarint(b, d.First), d.Span), d.Micros)
}

// ParseDispersion reads a body. The error is ErrMalformed.
func ParseDispersion(b []byte) (Dispersion, error) {
	r := NewReader(b)
	d := Dispersion{First: r.Uvarint(), Span: r.Uvarint(), Micros: r.Uvarint()}
	if r.Err() != nil || r.Len() > 0 || d.First >= 1<<62 || d.Span == 0 || d.Span > 1<<16 || d.Micros > 1e9 {
		return Dispersion{}, ErrMalformed
	}
	return d, nil
}
