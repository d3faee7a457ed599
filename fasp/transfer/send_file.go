package transfer

import (
	"context"
	"hash"
)

// outgoing is a file while it is read and sent.
type outgoing struct {
	s      *sender
	f      *sfile
	src    Source
	before Info // of src, when it was opened
	p      *press
	cursor partCursor

	blocks  int64
	got     blockMap // the hashes of what was sent, or looked at
	digest  hash.Hash
	have    []span // what the receiver has, once that is known
	trusted []span // of it, what does not count in the root
	known   bool   // it is
	resumed int64
	scratch []byte

	holes    Holes // nil where none are looked for
	from, to int64 // the last answer of holes: the data behind what was asked for
	asked    int64 // what that was, -1 before
	zeroRuns int
}

// sendFile sends the blocks of f which the receiver does not hold. An *Error fails the file only.
func (s *sender) sendFile(ctx context.Context, f *sfile) error {
	if stopped, _, _ := s.fileState(f); stopped {
		return nil
	}
	if f.stream {
		return s.sendStream(ctx, f)
	}
	src, before, ferr := s.openSource(ctx, f)
	if ferr != nil {
		return ferr
	}
	defer src.Close()
	o := &outgoing{
		s: s, f: f, src: src, before: before, p: s.press(), blocks: blockCount(f.info.Size, f.block), digest: newDigest(s.req.Checksum), asked: -1,
	}
	defer s.putPress(o.p)
	o.p.reads.begin(src, f.info.Size, s.readSize())
	if f.sparse() {
		o.holes = holesOf(src)
	}
	done, err := o.send(ctx)
	if err != nil || !done {
		return err
	}
	return o.end()
}

// send gives the transport what is owed; false if the file was settled meanwhile.
func (o *outgoing) send(ctx context.Context) (bool, error) {
	s, f := o.s, o.f
	compared := false
	for i := int64(0); i < o.blocks; {
		stopped, have, cmp := s.fileState(f)
		if stopped {
			return false, nil
		}
		if cmp != nil && !compared {
			compared = true
			same, err := s.sameAs(ctx, o.src, f, cmp)
			if err != nil {
				return false, err
			}
			if same {
				if err := s.unchanged(o.src, f, o.before); err != nil {
					return false, err
				}
				s.endSame(f)
				return false, nil
			}
		}
		o.learn(have)
		n, err := o.hole(ctx, i)
		switch {
		case err != nil:
		case n > 0:
			n, err = o.zeros(ctx, i, n)
		case inSpans(o.have, uint64(i)):
			n, err = 1, o.skip(i)
		default:
			n, err = 1, o.block(ctx, i)
		}
		if err != nil {
			return false, err
		}
		i += n
	}
	return true, nil
}

// learn takes note of what the receiver has, the first time that is known.
func (o *outgoing) learn(have []span) {
	if have != nil && !o.known {
		o.known, o.have, o.trusted = true, have, trusted(have, int(o.s.req.Resume))
	}
}

// stretch returns where block i begins and how long it is.
func (o *outgoing) stretch(i int64) (off int64, n int) {
	off = i * int64(o.f.block)
	return off, int(min(int64(o.f.block), o.f.info.Size-off))
}

// block reads and sends block i.
func (o *outgoing) block(ctx context.Context, i int64) error {
	off, n := o.stretch(i)
	if err := o.p.begin(ctx, n); err != nil {
		return err
	}
	if err := readFull(&o.p.reads, o.p.raw, off); err != nil {
		o.p.drop()
		return sourceError(o.f, err)
	}
	if o.digest != nil {
		o.digest.Write(o.p.raw)
	}
	if err := o.checkLast(i + 1); err != nil {
		o.p.drop()
		return err
	}
	h, err := o.p.send(ctx, o.f, &o.cursor, off)
	if err != nil {
		return err
	}
	o.note(i, h)
	return nil
}

// checkLast looks whether the source is what it was, before the blocks up to next are given away, if they are the last. Otherwise the
// receiver would hold a whole file that is none; the end of the file alone decides, but the earlier the better.
func (o *outgoing) checkLast(next int64) error {
	if next < o.blocks {
		return nil
	}
	if err := o.s.unchanged(o.src, o.f, o.before); err != nil {
		return err
	}
	return nil
}

func (o *outgoing) note(i int64, h blockHash) {
	o.got.claim(i)
	o.got.finish(i, h)
}

// skip passes over block i, which the receiver has. It is read where it counts in the root or in a digest.
func (o *outgoing) skip(i int64) error {
	off, n := o.stretch(i)
	o.resumed += int64(n)
	check := !inSpans(o.trusted, uint64(i))
	if o.digest == nil && !check {
		return nil
	}
	if o.scratch == nil {
		o.scratch = make([]byte, o.f.block)
	}
	p := o.scratch[:n]
	if err := readFull(&o.p.reads, p, off); err != nil {
		return sourceError(o.f, err)
	}
	if check {
		o.note(i, hashBlock(p))
	}
	if o.digest != nil {
		o.digest.Write(p)
	}
	return nil
}

// hole returns how many full blocks from i on lie wholly in a hole, 0 where the receiver is not to hear of holes. At the first hole
// it waits for the receiver's answer to the request.
func (o *outgoing) hole(ctx context.Context, i int64) (int64, error) {
	if o.holes == nil || o.zeroRuns >= maxZeroRuns {
		return 0, nil
	}
	off := i * int64(o.f.block)
	if o.asked < 0 || off < o.asked || off >= o.to {
		var err error
		if o.from, o.to, err = o.holes.NextData(off); err != nil {
			return 0, sourceError(o.f, err)
		}
		o.asked = off
	}
	// What is behind the announced size, in a file that has grown, is nobody's.
	n := min(o.from, o.f.info.Size)/int64(o.f.block) - i
	if n <= 0 {
		return 0, nil
	}
	parts, err := o.s.destParts(ctx)
	if err != nil || parts {
		o.holes = nil
		return 0, err
	}
	return n, nil
}

// destParts says whether the destination is made of parts, which know of no holes. It waits until that is known, a
// round trip at most: zeros that were sent meanwhile would stand on the disk.
func (s *sender) destParts(ctx context.Context) (bool, error) {
	for {
		s.mu.Lock()
		if s.rule != nil {
			defer s.mu.Unlock()
			return s.rule.Want > 0, nil
		}
		if err := s.awaitChange(ctx); err != nil {
			return false, err
		}
	}
}

// zeros says of n blocks from i on, or of the first of them that are alike for the receiver, that they are zeros, and returns of how many.
func (o *outgoing) zeros(ctx context.Context, i, n int64) (int64, error) {
	run := span{uint64(i), uint64(n)}
	had := false
	if next := from(o.have, run.First); len(next) > 0 {
		if had = next[0].has(run.First); had {
			run.Count = min(run.Count, next[0].end()-run.First)
		} else {
			run.Count = min(run.Count, next[0].First-run.First)
		}
	}
	size := int64(run.Count) * int64(o.f.block)
	if err := o.digestZeros(ctx, size); err != nil {
		return 0, err
	}
	if had {
		o.resumed += size
	} else {
		if err := o.checkLast(int64(run.end())); err != nil {
			return 0, err
		}
		if err := o.s.sendZeros(ctx, o.f, i*int64(o.f.block), size); err != nil {
			return 0, err
		}
		o.zeroRuns++
	}
	o.got.finishZeros(o.f.block, o.got.claimZeros(run)...)
	return int64(run.Count), nil
}

// digestZeros adds n zeros to the digest, if there is one. For a digest there is no shorter way.
func (o *outgoing) digestZeros(ctx context.Context, n int64) error {
	if o.digest == nil {
		return nil
	}
	zeros := make([]byte, min(n, compareChunk))
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		k := min(n, int64(len(zeros)))
		o.digest.Write(zeros[:k])
		n -= k
	}
	return nil
}

// sendZeros sends the run of n zeros of f at off (docs/protocol-transfer.md section 23.7).
func (s *sender) sendZeros(ctx context.Context, f *sfile, off, n int64) error {
	b, err := s.sess.NewBlock(ctx, blockHeader+zerosPayload)
	if err != nil {
		return err
	}
	putZeros(b.Data, f.id, off, n)
	wire := int64(len(b.Data)) // the transport has the block afterwards
	if err := s.sess.SendBlock(ctx, b); err != nil {
		return err
	}
	s.mu.Lock()
	f.bytes += n
	s.mu.Unlock()
	s.rep.bytesSent.Add(n)
	s.rep.bytesOnWire.Add(wire)
	s.rep.progress.Add(n)
	return nil
}

// end checks the source for the last time and says that all of f was sent.
func (o *outgoing) end() error {
	s, f := o.s, o.f
	if err := s.unchanged(o.src, f, o.before); err != nil {
		return err
	}
	_, have, _ := s.fileState(f)
	o.learn(have) // where it came after the last block, all were sent, and have their hashes
	e := &fileEnd{ID: f.id, Have: o.known, Root: o.got.root(f.info.Size, f.block, o.trusted)}
	if o.digest != nil {
		e.Digest = o.digest.Sum(nil)
	}
	s.mu.Lock()
	f.digest, f.resumed = e.Digest, o.resumed
	s.mu.Unlock()
	s.rep.bytesResumed.Add(o.resumed)
	if s.markSent(f) {
		s.out.put(recFileEnd, e.encode())
	}
	return nil
}
