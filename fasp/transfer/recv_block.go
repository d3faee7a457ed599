package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/tradewind-io/tradewind/fasp"
)

// blocks places what arrives.
func (r *receiver) blocks(ctx context.Context) error {
	for {
		b, err := r.sess.ReceiveBlock(ctx)
		if err != nil {
			return err
		}
		if err := r.block(ctx, b); err != nil {
			return err
		}
	}
}

// block takes one block over.
func (r *receiver) block(ctx context.Context, b *fasp.Block) error {
	r.rep.bytesOnWire.Add(int64(len(b.Data)))
	h, err := r.parse(b)
	if err != nil {
		b.Release()
		return protocolError(err)
	}
	if h.Kind == blockPack {
		return r.pack(ctx, b, &h)
	}
	r.mu.Lock()
	f := r.files[h.File]
	switch {
	case f != nil:
		r.mu.Unlock()
		return f.arrive(ctx, b)
	case r.resolved.has(h.File):
		r.mu.Unlock()
		r.rep.unwanted.Add(int64(h.Raw))
		err := r.extents.pass(&h)
		b.Release()
		return err
	case r.end != nil:
		r.mu.Unlock()
		b.Release()
		return protocolError(fmt.Errorf("block of file %d, which was never announced", h.File))
	case r.parked == nil:
		r.mu.Unlock()
		b.Release()
		return nil // abandoned
	}
	// Its entry is on the way. The receive window bounds how much can wait here.
	r.parked[h.File] = append(r.parked[h.File], b)
	r.mu.Unlock()
	return nil
}

// pack takes the small files of a pack block, and takes the block over.
func (r *receiver) pack(ctx context.Context, b *fasp.Block, h *blockHead) error {
	c, err := r.expand(b, h)
	defer c.release()
	if err != nil {
		return protocolError(fmt.Errorf("pack: %w", err))
	}
	err = eachPacked(h.Payload, h.File, func(p *packed) error { return r.packedFile(ctx, p) })
	var e *Error
	if err != nil && !errors.As(err, &e) && ctx.Err() == nil {
		err = protocolError(err)
	}
	return err
}

// packedFile takes one small file. An error ends the session.
func (r *receiver) packedFile(ctx context.Context, p *packed) error {
	r.sighted(p.ID, kindFile, p.Name)
	f, settled := r.known(p.ID)
	if settled {
		r.rep.unwanted.Add(int64(len(p.Data)))
		return nil
	}
	rec := FileRecord{Name: p.Name, Size: int64(len(p.Data)), Mtime: p.Mtime}
	final := ""
	refuse := func(err *Error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return r.rejectID(p.ID, final, rec, err)
	}
	if f != nil {
		f.mu.Lock()
		open := f.stage == stageOpen
		f.mu.Unlock()
		if !open || !f.ent.Small || f.ent.Name != p.Name {
			return fmt.Errorf("file %d in a pack is not the one announced", p.ID)
		}
		final = f.finalName()
		f.mu.Lock()
		noReplace := f.noReplace
		f.mu.Unlock()
		if noReplace {
			if !r.equalTo(ctx, final, p.Data) {
				return refuse(errNoReplace(p.Name))
			}
			r.rep.unwanted.Add(rec.Size)
			r.skip(f)
			return nil
		}
	} else {
		r.mu.Lock()
		beyond := r.end != nil && p.ID > r.end.LastID
		r.mu.Unlock()
		if r.commit.len() > maxUnresolved {
			return fmt.Errorf("more than %d files not settled", maxUnresolved)
		}
		if beyond || !r.resolved.fits(p.ID, 0) {
			return fmt.Errorf("file id %d lies outside the window", p.ID)
		}
		if err := checkName(p.Name); err != nil {
			rec.Name = printable(rec.Name)
			return refuse(storeError(CodeBadPath, "", rec.Name, err))
		}
		name := r.dest.name(p.Name, kindFile)
		if r.mem.has(p.Name) {
			r.settle(p.ID, "", recSkip, encodeIDs([]span{{p.ID, 1}}))
			return nil
		}
		if !r.claimName(name) {
			return refuse(failf(CodeAmbiguousTarget, p.Name, "two sources have this destination"))
		}
		final = name
		j, err := judgement{verdict: take}, (*Error)(nil)
		if !r.nothingThere(p.Name) {
			j, err = r.judge(ctx, name, rec.Size, p.Mtime)
		}
		if err != nil {
			return refuse(err)
		}
		if v := j.verdict; v == compareFirst || v == take && j.exists && !r.mayReplace {
			switch {
			case r.equalTo(ctx, name, p.Data):
				j.verdict = keepOld
			case !r.mayReplace:
				return refuse(errNoReplace(p.Name))
			default:
				j.verdict = take
			}
		}
		if j.verdict == keepOld {
			r.rep.unwanted.Add(rec.Size)
			if r.settle(p.ID, final, recSkip, encodeIDs([]span{{p.ID, 1}})) {
				r.skipped(rec)
			}
			return nil
		}
	}
	if err := checkFree(ctx, r.store, r.minFree); err != nil {
		return refuse(storeError(CodeNoSpace, "write", p.Name, err))
	}
	a := r.attr(rec.Size, p.Mode, p.Mtime, p.Atime)
	sealed, err := r.store.Put(ctx, final, r.tag, p.Data, a, r.sync())
	if err != nil {
		return refuse(storeError(CodeDiskWrite, "write", p.Name, err))
	}
	r.addSent(rec.Size)
	r.rep.bytesDone.Add(rec.Size)
	r.rep.progress.Add(rec.Size)
	rec.BytesSent = rec.Size
	if len(p.Digest) > 0 {
		rec.Checksum, rec.Digest = r.req.Checksum, bytes.Clone(p.Digest)
	}
	r.commit.push(&sealedFile{id: p.ID, final: final, rec: rec, sealed: sealed})
	return nil
}

// nothingThere tells whether a file need not be asked for: the destination held nothing when the session began, and what somebody else put there since
// is replaced, unless it is a folder. Each question is a round trip to a store, and a fifteenth of a folder's time for small files.
func (r *receiver) nothingThere(name string) bool {
	if r.extents != nil {
		return r.fresh
	}
	return r.fresh && r.dest.looked(name) && r.mayReplace && (r.req.Overwrite == OverwriteAlways || r.req.Overwrite == OverwriteDiff)
}

// equalTo says whether the existing file at name holds data.
func (r *receiver) equalTo(ctx context.Context, name string, data []byte) bool {
	src, err := r.store.Open(ctx, name)
	if err != nil {
		return false
	}
	defer src.Close()
	buf := make([]byte, len(data))
	return readFull(src, buf, 0) == nil && bytes.Equal(buf, data)
}
