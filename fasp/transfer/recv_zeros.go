package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// checkZeros refuses a run of zeros that f cannot have, and counts it. f.mu is held.
func (f *rfile) checkZeros(h *blockHead) error {
	bs := int64(f.ent.BlockSize)
	switch {
	case !f.ent.Sparse:
		return fmt.Errorf("file %d: zeros, but it was not announced as one with holes", h.File)
	case f.r.extents != nil:
		return fmt.Errorf("file %d: zeros, but the destination is made of parts", h.File)
	case h.Offset%bs != 0 || h.Zeros%bs != 0 || h.Zeros > f.size || h.Offset > f.size-h.Zeros:
		return fmt.Errorf("file %d: %d zeros at %d do not fit", h.File, h.Zeros, h.Offset)
	}
	if f.stage == stageDeciding {
		return nil // it comes again when it is decided
	}
	if f.zeroRuns++; f.zeroRuns > maxZeroRuns {
		return fmt.Errorf("file %d: more than %d runs of zeros", h.File, maxZeroRuns)
	}
	return nil
}

// writeZeros makes blocks zeros.
func (f *rfile) writeZeros(ctx context.Context, tgt Target, list []span) error {
	bs := int64(f.ent.BlockSize)
	zt, ok := tgt.(ZeroTarget)
	for _, s := range list {
		off, n := int64(s.First)*bs, int64(s.Count)*bs
		if ok {
			err := zt.Zero(off, n)
			if err == nil {
				continue
			}
			if !errors.Is(err, errors.ErrUnsupported) {
				return err
			}
		}
		for n > 0 {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			k := min(n, zeroStep)
			if err := writeZeros(tgt, off, k); err != nil {
				return err
			}
			off, n = off+k, n-k
		}
	}
	return nil
}

const (
	zeroStep   = 8 << 20   // bytes of zeros that are written between two looks at whether they are still wanted
	zeroBuffer = 128 << 10 // bytes of them that are written at a time
)

// writeZeros writes n zeros at off.
func writeZeros(w io.WriterAt, off, n int64) error {
	buf := make([]byte, min(n, zeroBuffer))
	for n > 0 {
		k, err := w.WriteAt(buf[:min(n, int64(len(buf)))], off)
		if err != nil {
			return err
		}
		off, n = off+int64(k), n-int64(k)
	}
	return nil
}

// verifyZeros looks whether the runs of zeros that cp lists are zeros in tgt: about sampleBlocks runs at level 2, all at level 3, and
// below only whether they are there. Those that are not are dropped whole: they come again at no cost. It returns false if one was.
func (r *receiver) verifyZeros(ctx context.Context, tgt Target, cp *checkpoint, level int) bool {
	bs := int64(cp.BlockSize)
	n := int64(len(cp.Blocks.zeros))
	ok := true
	for k, s := range slices.Clone(cp.Blocks.zeros) {
		off, size := int64(s.First)*bs, int64(s.Count)*bs
		good := off+size <= tgt.Partial()
		if good && (level > 2 || level == 2 && sampled(int64(k)+1, n)) {
			z, err := isZero(ctx, tgt, off, size)
			good = z && err == nil
		}
		if !good {
			cp.Blocks.dropZeros(s)
			ok = false
		}
	}
	return ok
}

// isZero says whether n bytes of r at off are zeros. What is known to be a hole is not read.
func isZero(ctx context.Context, r io.ReaderAt, off, n int64) (bool, error) {
	holes, _ := r.(Holes)
	buf := make([]byte, min(n, compareChunk))
	to := off // up to which there may be data
	for end := off + n; off < end; {
		if err := ctx.Err(); err != nil {
			return false, context.Cause(ctx)
		}
		switch {
		case holes == nil:
			to = end
		case off >= to:
			var err error
			if off, to, err = holes.NextData(off); err != nil {
				return false, err
			}
			if off >= end || off == to {
				return true, nil
			}
		}
		p := buf[:min(int64(len(buf)), end-off, to-off)]
		if err := readFull(r, p, off); err != nil {
			return false, err
		}
		if !allZero(p) {
			return false, nil
		}
		off += int64(len(p))
	}
	return true, nil
}

func allZero(p []byte) bool {
	for len(p) >= 8 {
		if p[0]|p[1]|p[2]|p[3]|p[4]|p[5]|p[6]|p[7] != 0 {
			return false
		}
		p = p[8:]
	}
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
