package wire

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzECN(f *testing.F) {
	f.Add((&ECN{ECT0: 1 << 40, ECT1: 0, CE: 1234}).Append(nil))
	f.Add([]byte{1, 2})
	f.Add([]byte{1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseECN(b)
		if err != nil {
			return
		}
		if e.Total() < e.CE {
			t.Fatalf("%+v overflows", e)
		}
		if again := e.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x parsed to %+v, encoded to %x", b, e, again)
		}
	})
}

func TestCountECN(t *testing.T) {
	var e ECN
	for _, tos := range []uint8{0, 1, 2, 2, 3, 3, 3, 0xb8 | CE} { // the last one with a DSCP, which does not matter
		e.Count(tos)
	}
	require.Equal(t, ECN{ECT0: 2, ECT1: 1, CE: 4}, e)
	require.EqualValues(t, 7, e.Total())
}
