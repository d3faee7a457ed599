package wire

import (
	"bytes"
	"errors"
	"testing"
)

func TestBlockSizes(t *testing.T) {
	body := AppendBlockSize(AppendBlockSize(nil, 7, 1), 1<<32-1, MaxBlock)
	var got []int
	add := func(block uint32, size int) error {
		got = append(got, int(block), size)
		return nil
	}
	if err := ReadBlockSizes(body, add); err != nil || len(got) != 4 || got[0] != 7 || got[1] != 1 || got[2] != 1<<32-1 || got[3] != MaxBlock {
		t.Fatal(got, err)
	}
	stop := errors.New("stop")
	if err := ReadBlockSizes(body, func(uint32, int) error { return stop }); err != stop {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"cut":              body[:1],
		"no size":          AppendBlockSize(nil, 7, 0),
		"beyond 1 MiB":     AppendBlockSize(nil, 7, MaxBlock+1),
		"block of 33 bits": AppendUvarint(AppendUvarint(nil, 1<<32), 5),
		"not minimal":      {0x87, 0, 1},
	} {
		if err := ReadBlockSizes(b, add); err != ErrMalformed {
			t.Fatal(name, err)
		}
	}
}

func FuzzBlockSizes(f *testing.F) {
	f.Add([]byte{})
	f.Add(AppendBlockSize(AppendBlockSize(nil, 7, 1), 300, 70_000))
	f.Add([]byte{7, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		err := ReadBlockSizes(b, func(block uint32, size int) error {
			again = AppendBlockSize(again, block, size)
			return nil
		})
		if err == nil && !bytes.Equal(again, b) {
			t.Fatalf("%x encoded to %x", b, again)
		}
	})
}
