package wire

import (
	"bytes"
	"testing"
)

func FuzzDispersion(f *testing.F) {
	f.Add((&Dispersion{First: 1 << 40, Span: 9, Micros: 1234}).Append(nil))
	f.Add([]byte{1, 0, 5})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDispersion(b)
		if err != nil {
			return
		}
		if d.Span == 0 {
			t.Fatal("a train of one packet")
		}
		if e := d.Append(nil); !bytes.Equal(e, b) {
			t.Fatalf("%x parsed to %+v, encoded to %x", b, d, e)
		}
	})
}
