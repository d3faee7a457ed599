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
	case in.Size != f.info.Size || in.Mtime != f.info.Mtime:
		err = fail(CodeDiskRead, "read", f.name, ErrChanged)
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
	p := s.press()
	defer s.putPress(p)
	var (
		size     = f.info.Size
		blocks   = blockCount(size, f.block)
		hashes   = make([]blockHash, 0, min(blocks, 1024))
		digest   = newDigest(s.req.Checksum)
		compared bool
		scratch  []byte
		resumed  int64
		checked  func(uint64) bool // blocks of have that are read and count in the root
		cursor   partCursor
	)
	for i := range blocks {
		stopped, have, cmp := s.fileState(f)
		if stopped {
			return nil
		}
		if cmp != nil && !compared {
			compared = true
			same, err := s.sameAs(ctx, src, f, cmp)
			if err != nil {
				return err
			}
			if same {
				if err := s.unchanged(src, f, before); err != nil {
					return err
				}
				s.endSame(f)
				return nil
			}
		}
		off := i * int64(f.block)
		n := int(min(int64(f.block), size-off))
		if have != nil && checked == nil {
			checked = checkedOf(have, int(s.req.Resume))
		}
		if inSpans(have, uint64(i)) {
			resumed += int64(n)
			check := checked(uint64(i))
			hashes = append(hashes, blockHash{})
			if digest == nil && !check {
				continue
			}
			if scratch == nil {
				scratch = make([]byte, f.block)
			}
			if err := readFull(src, scratch[:n], off); err != nil {
				return sourceError(f, err)
			}
			if check {
				hashes[i] = hashBlock(scratch[:n])
			}
			if digest != nil {
				digest.Write(scratch[:n])
			}
			continue
		}
		if err := p.begin(ctx, n); err != nil {
			return err
		}
		if err := readFull(src, p.raw, off); err != nil {
			p.drop()
			return sourceError(f, err)
		}
		if digest != nil {
			digest.Write(p.raw)
		}
		if i == blocks-1 {
			// The check must come before the last block is given away, or the receiver would hold a
			// whole file that is none; FileEnd alone decides, but the earlier the better.
			if err := s.unchanged(src, f, before); err != nil {
				p.drop()
				return err
			}
		}
		h, err := p.send(ctx, f, &cursor, off)
		if err != nil {
			return err
		}
		hashes = append(hashes, h)
	}
	if err := s.unchanged(src, f, before); err != nil {
		return err
	}
	end := &fileEnd{ID: f.id}
	_, have, _ := s.fileState(f)
	end.Have = have != nil
	root := newRoot(size, f.block)
	if have != nil && checked == nil { // it came after the last block: all were sent, and have their hashes
		checked = checkedOf(have, int(s.req.Resume))
	}
	for i, h := range hashes {
		if !inSpans(have, uint64(i)) || checked(uint64(i)) {
			root.add(int64(i), h)
		}
	}
	end.Root = root.sum()
	if digest != nil {
		end.Digest = digest.Sum(nil)
	}
	s.mu.Lock()
	f.digest, f.resumed = end.Digest, resumed
	s.mu.Unlock()
	s.rep.bytesResumed.Add(resumed)
	if s.markSent(f) {
		s.out.put(recFileEnd, end.encode())
	}
	return nil
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

// inSpans says whether i is in s, which is ascending.
func inSpans(s []span, i uint64) bool {
	lo, hi := 0, len(s)
	for lo < hi {
		mid := (lo + hi) / 2
		if s[mid].First+s[mid].Count <= i {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo < len(s) && s[lo].First <= i
}
