package transfer

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	zeebo "github.com/zeebo/blake3"
	lukechampine "lukechampine.com/blake3"
)

// TestHashIsBLAKE3 compares with a second implementation.
func TestHashIsBLAKE3(t *testing.T) {
	for _, n := range []int{0, 1, 64, 1023, 1024, 1025, 128 << 10, 1 << 20} {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(i * 7)
		}
		want := lukechampine.Sum256(p)
		require.Equal(t, want[:blockHashSize], hashOf(p), "%d bytes", n)
	}
}

func hashOf(p []byte) []byte {
	h := hashBlock(p)
	return h[:]
}

// BenchmarkHash is behind docs/decisions/0002-block-hash.md: run it with -cpu 1.
func BenchmarkHash(b *testing.B) {
	for _, size := range []int{4 << 10, 128 << 10, 1 << 20} {
		p := make([]byte, size)
		for _, h := range []struct {
			name string
			sum  func([]byte) [32]byte
		}{{"sha256", sha256.Sum256}, {"zeebo-blake3", zeebo.Sum256}, {"lukechampine-blake3", lukechampine.Sum256}} {
			b.Run(fmt.Sprintf("%s/%dKiB", h.name, size>>10), func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					h.sum(p)
				}
			})
		}
	}
}
