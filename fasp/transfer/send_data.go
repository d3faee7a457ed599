package transfer

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/tradewind-io/tradewind/fasp"
)

// packLinger is how long a pack that has room waits for another file.
const packLinger = 5 * time.Millisecond

// packLoop puts small files into packs (docs/protocol-transfer.md section 23.2).
func (s *sender) packLoop(ctx context.Context) error {
	var carry *sfile
	p := s.press()
	defer s.putPress(p)
	for {
		f := carry
		carry = nil
		if f == nil {
			var err error
			if f, err = s.small.pop(ctx); err != nil {
				return err
			}
		}
		b, err := s.sess.NewBlock(ctx, blockHeader+s.blockSize)
		if err != nil {
			return err
		}
		if carry, err = s.fillPack(ctx, p, b, f); err != nil {
			return err
		}
	}
}

// fillPack reads f and as many files after it as fit into b, and sends it. It returns a file that did not
// fit. b is taken over.
func (s *sender) fillPack(ctx context.Context, p *press, b *fasp.Block, f *sfile) (carry *sfile, err error) {
	var batch []*sfile
	used := blockHeader
	var prevID uint64
	var prevName string
	var bytes int64
	for ok := true; ok; f, ok = s.small.popWithin(ctx, packLinger) {
		if len(b.Data)-used < packOverhead+len(f.name)+int(f.info.Size) {
			carry = f
			break
		}
		n, err := s.packOne(ctx, b.Data[used:used:len(b.Data)], f, prevID, prevName)
		if err != nil && ctx.Err() != nil {
			break
		}
		if err != nil {
			s.failFile(f, err)
			continue
		}
		if n == 0 {
			continue // settled, or found equal
		}
		used += n
		bytes += f.info.Size
		prevID, prevName = f.id, f.name
		batch = append(batch, f)
	}
	if len(batch) == 0 {
		b.Release()
		return carry, cause(ctx, nil)
	}
	b.Data = b.Data[:used]
	if err := p.pack(b, len(batch)); err != nil {
		b.Release()
		return nil, err
	}
	// Before SendBlock: the receiver may confirm before it returns.
	for _, f := range batch {
		s.mu.Lock()
		f.bytes = f.info.Size
		s.mu.Unlock()
		s.markSent(f)
	}
	s.rep.bytesSent.Add(bytes)
	s.rep.progress.Add(bytes)
	return carry, p.sendPack(ctx, b)
}

// packOne appends f to dst, whose capacity was checked, and returns the bytes used.
func (s *sender) packOne(ctx context.Context, dst []byte, f *sfile, prevID uint64, prevName string) (int, *Error) {
	s.mu.Lock()
	stopped, cmp := f.stopped, f.cmp
	s.mu.Unlock()
	if stopped {
		return 0, nil
	}
	src, before, err := s.openSource(ctx, f)
	if err != nil {
		return 0, err
	}
	defer src.Close()
	p := packed{ID: f.id, Name: f.name, Mode: uint32(before.Mode.Perm()), Mtime: before.Mtime}
	if s.has(flagAtime) {
		p.Atime = before.Atime
	}
	digest := newDigest(s.req.Checksum)
	if digest != nil {
		p.Digest = digest.Sum(nil) // of the right length; the value follows
	}
	size := int(before.Size)
	head := appendPacked(dst, &p, size, prevID, prevName)
	data := head[len(head) : len(head)+size]
	if err := readFull(src, data, 0); err != nil {
		return 0, sourceError(f, err)
	}
	if err := s.unchanged(src, f, before); err != nil {
		return 0, err
	}
	if cmp != nil && len(cmp.Pieces) == 1 && cmp.Pieces[0].Off == 0 && cmp.Pieces[0].Len == int64(size) &&
		hashBlock(data) == cmp.Pieces[0].Hash {
		s.endSame(f)
		return 0, nil
	}
	if digest != nil {
		digest.Write(data)
		p.Digest = digest.Sum(nil)
		s.mu.Lock()
		f.digest = p.Digest
		s.mu.Unlock()
		appendPacked(dst, &p, size, prevID, prevName)
	}
	return len(head) + size, nil
}

// endSame says that the receiver's own copy of f is equal.
func (s *sender) endSame(f *sfile) {
	if s.markSent(f) {
		s.out.put(recFileEnd, (&fileEnd{ID: f.id, Same: true}).encode())
	}
}

// openSource opens f and checks that it is still what the walk saw.
func (s *sender) openSource(ctx context.Context, f *sfile) (Source, Info, *Error) {
	src, err := s.store.Open(ctx, f.path)
	if err != nil {
		return nil, Info{}, storeError(CodeDiskRead, "open", f.name, err)
	}
	in, err := src.Info()
	switch {
	case err != nil:
		err = storeError(CodeDiskRead, "stat", f.name, err)
	case !in.Mode.IsRegular():
		err = failf(CodeNotRegular, f.name, "not a regular file any more")
	case in.Size != f.whole() || in.Mtime != f.info.Mtime:
		err = fail(CodeDiskRead, "read", f.name, ErrChanged)
	case f.slice.divided():
		return sliceSource{src, f.slice}, in, nil
	default:
		return src, in, nil
	}
	_ = src.Close()
	var e *Error
	errors.As(err, &e)
	return nil, Info{}, e
}

// unchanged compares the open source with what it was before it was read.
func (s *sender) unchanged(src Source, f *sfile, before Info) *Error {
	now, err := src.Info()
	if err != nil {
		return storeError(CodeDiskRead, "stat", f.name, err)
	}
	// A file that is unlinked or renamed while it is read has a new ctime, too. Its content is what it was,
	// but whoever reads and the one who moves it disagree about what is there: it fails like a change.
	if now.Size != before.Size || now.Mtime != before.Mtime || now.Ctime != before.Ctime {
		return fail(CodeDiskRead, "read", f.name, ErrChanged)
	}
	return nil
}

// sourceError gives an error of reading its code; a file that ended early has changed.
func sourceError(f *sfile, err error) *Error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fail(CodeDiskRead, "read", f.name, ErrChanged)
	}
	return storeError(CodeDiskRead, "read", f.name, err)
}

func readFull(r io.ReaderAt, p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// fileLoop sends files that do not fit into packs, one after the other.
func (s *sender) fileLoop(ctx context.Context) error {
	for {
		f, err := s.big.pop(ctx)
		if err != nil {
			return err
		}
		if err := s.sendFile(ctx, f); err != nil {
			var e *Error
			if !errors.As(err, &e) || ctx.Err() != nil {
				return err // the session's, not the file's
			}
			s.failFile(f, e)
		}
	}
}

// fileState is what sendFile asks about its file before each block.
func (s *sender) fileState(f *sfile) (stopped bool, have []span, cmp *compare) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.haveDone {
		have = f.have
	}
	return f.stopped, have, f.cmp
}

// sameAs says whether f has all the pieces that the receiver listed.
func (s *sender) sameAs(ctx context.Context, src Source, f *sfile, c *compare) (bool, error) {
	buf := make([]byte, compareChunk)
	for _, p := range c.Pieces {
		if p.Off+p.Len > f.info.Size {
			return false, nil
		}
		h, err := hashStretch(ctx, src, p.Off, p.Len, buf)
		if err != nil {
			if ctx.Err() != nil {
				return false, err
			}
			return false, sourceError(f, err)
		}
		if h != p.Hash {
			return false, nil
		}
	}
	return len(c.Pieces) > 0, nil
}
