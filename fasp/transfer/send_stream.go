package transfer

import (
	"context"
	"errors"
	"io"
)

// sendStream sends f, whose size shows when it has been read to its end. It is read once: what a lost session did not
// bring cannot be sent again, and fails the file.
func (s *sender) sendStream(ctx context.Context, f *sfile) error {
	src, err := s.store.Open(ctx, f.path)
	if err != nil {
		return storeError(CodeDiskRead, "open", f.name, err)
	}
	defer src.Close()
	p := s.press()
	defer s.putPress(p)
	var (
		root   []blockHash
		digest = newDigest(s.req.Checksum)
		cursor partCursor
	)
	for off := int64(0); ; {
		if stopped, _, _ := s.fileState(f); stopped {
			return nil
		}
		if err := p.begin(ctx, f.block); err != nil {
			return err
		}
		n, err := src.ReadAt(p.raw, off)
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			p.drop()
			return sourceError(f, err)
		}
		if n == 0 {
			p.drop()
			break
		}
		p.cut(n)
		if digest != nil {
			digest.Write(p.raw)
		}
		h, err := p.send(ctx, f, &cursor, off)
		if err != nil {
			return err
		}
		root = append(root, h)
		off += int64(n)
		s.mu.Lock()
		f.length = off
		s.mu.Unlock()
		s.rep.bytesTotal.Add(int64(n))
		if ended {
			break
		}
	}
	end := &fileEnd{ID: f.id, Size: f.length}
	sum := newRoot(f.length, f.block)
	for i, h := range root {
		sum.add(span{uint64(i), 1}, h)
	}
	end.Root = sum.sum()
	if digest != nil {
		end.Digest = digest.Sum(nil)
	}
	s.mu.Lock()
	f.digest = end.Digest
	s.mu.Unlock()
	if s.markSent(f) {
		s.out.put(recFileEnd, end.encode())
	}
	return nil
}
