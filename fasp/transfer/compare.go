package transfer

import (
	"context"
	"io"

	"github.com/zeebo/blake3"
)

// compareChunk is how much is read at a time to hash a stretch of a file.
const compareChunk = 256 << 10

// hashStretch is BLAKE3, cut to a block hash, over n bytes of r from off. buf is scratch space.
func hashStretch(ctx context.Context, r io.ReaderAt, off, n int64, buf []byte) (blockHash, error) {
	h := blake3.New()
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return blockHash{}, err
		}
		p := buf[:min(n, int64(len(buf)))]
		if err := readFull(r, p, off); err != nil {
			return blockHash{}, err
		}
		_, _ = h.Write(p)
		off += int64(len(p))
		n -= int64(len(p))
	}
	var sum [rootSize]byte
	h.Sum(sum[:0])
	return blockHash(sum[:blockHashSize]), nil
}

// Sampling for resume level 2 (docs/protocol-transfer.md section 26.2).
const (
	samplePieces = 16
	samplePiece  = 64 << 10
	fullPieces   = 256
)

// comparePieces says which stretches of a file of size bytes are compared at a resume level: all of it,
// cut into at most fullPieces, at level 3; first, last and evenly spread samples between at level 2.
func comparePieces(size int64, level int) []piece {
	var out []piece
	if level >= 3 || size <= samplePieces*samplePiece {
		step := max((size+fullPieces-1)/fullPieces, samplePiece)
		for off := int64(0); off < size; off += step {
			out = append(out, piece{Off: off, Len: min(step, size-off)})
		}
		return out
	}
	for i := range int64(samplePieces) {
		off := (size - samplePiece) / (samplePieces - 1) * i
		if i == samplePieces-1 {
			off = size - samplePiece
		}
		out = append(out, piece{Off: off, Len: samplePiece})
	}
	return out
}
