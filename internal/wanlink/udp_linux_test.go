package wanlink

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func FuzzParseName(f *testing.F) {
	f.Add(appendName(nil, netip.MustParseAddrPort("192.0.2.1:443")))
	f.Add(appendName(nil, netip.MustParseAddrPort("[2001:db8::1]:65535")))
	f.Add([]byte{})
	f.Add([]byte{10, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		a := parseName(b)
		if a.IsValid() {
			require.Equal(t, a, parseName(appendName(nil, a)), "what is parsed encodes back")
		}
	})
}

func FuzzParseControl(f *testing.F) {
	stamp := []byte{32, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 35, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0}
	drops := []byte{20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 40, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0}
	gro := []byte{20, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 104, 0, 0, 0, 0xb0, 4, 0, 0, 0, 0, 0, 0}
	f.Add(append(append(append([]byte{}, stamp...), drops...), gro...))
	f.Add(stamp[:31])
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 35, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		// The kernel's buffers are aligned; so must be the test's.
		var aligned struct {
			_ uint64
			b [512]byte
		}
		n := copy(aligned.b[:], b)
		var m message
		m.parseControl(aligned.b[:n])
		require.GreaterOrEqual(t, m.segment, 0)
	})
}

func TestParseControl(t *testing.T) {
	if unix.SizeofPtr != 8 {
		t.Skip("SKIPPED: the bytes below are for 64-bit little-endian machines")
	}
	var aligned struct {
		_ uint64
		b [76]byte
	}
	copy(aligned.b[:], []byte{
		32, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 35, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
		20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 40, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0,
		20, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 104, 0, 0, 0, 0xb0, 4, 0, 0,
	})
	var m message
	m.parseControl(aligned.b[:])
	require.Equal(t, message{stamp: 1e9 + 2, drops: 7, hasDrops: true, segment: 1200}, m)
}
