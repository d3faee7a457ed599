package main

import (
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// ratio is what zstd's fastest level makes of the first 32 MiB, in blocks of 128 KiB.
func ratio(t *testing.T, kind string) float64 {
	r, err := content(kind)
	require.NoError(t, err)
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
	require.NoError(t, err)
	defer enc.Close()
	b := make([]byte, 128<<10)
	raw, out := 0, 0
	for range 256 {
		_, err := io.ReadFull(r, b)
		require.NoError(t, err)
		raw, out = raw+len(b), out+len(enc.EncodeAll(b, nil))
	}
	return float64(raw) / float64(out)
}

func TestText(t *testing.T) {
	require.InDelta(t, 5, ratio(t, "text"), 0.15, "the text that tables call 5:1")
	require.InDelta(t, 1, ratio(t, "random"), 0.001)
	require.InDelta(t, 1.66, ratio(t, "mixed"), 0.1)
	_, err := content("x")
	require.Error(t, err)
}
