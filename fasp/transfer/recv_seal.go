package transfer

import (
	"bytes"
	"context"
	"errors"
)

// finishes seals files that are all there.
func (r *receiver) finishes(ctx context.Context) error {
	for {
		f, err := r.finish.pop(ctx)
		if err != nil {
			return err
		}
		if err := r.seal(ctx, f); err != nil {
			return err
		}
	}
}

// seal checks a complete file, whose size is fixed, against the sender's root and hands it on to be committed.
func (r *receiver) seal(ctx context.Context, f *rfile) error {
	f.mu.Lock()
	end, had := f.end, f.had
	resumed := len(had) > 0
	if !end.Have {
		had = nil
	}
	root := f.got.root(f.size, f.ent.BlockSize, trusted(had, int(r.req.Resume)))
	f.mu.Unlock()
	undo := func(err *Error) error {
		f.mu.Lock()
		f.stage = stageOpen // so that reject drops it
		f.mu.Unlock()
		return r.reject(ctx, f, err)
	}
	// keep drops what came, because what is there is equal.
	keep := func() error {
		f.mu.Lock()
		f.stage = stageOpen
		f.mu.Unlock()
		r.rep.unwanted.Add(f.size)
		f.drop(ctx, 0)
		r.touch(ctx, f)
		r.skip(f)
		return nil
	}
	if root != end.Root {
		if resumed {
			return undo(failf(CodeTransferError, f.ent.Name, "its content is not that of the interrupted transfer, which is forgotten now; send it again"))
		}
		return undo(failf(CodeTransferError, f.ent.Name, "the blocks received are not those that were sent"))
	}
	if err := f.prepare(ctx, false); err != nil { // a file without blocks has no target yet
		return undo(storeError(CodeDiskWrite, "create", f.ent.Name, err))
	}
	f.mu.Lock()
	_, parted := f.tgt.(PartTarget)
	f.mu.Unlock()
	if resumed && len(end.Digest) > 0 && !parted { // what a store holds of an open upload cannot be read
		// Level 2 and below do not see every block of what was there before; a digest speaks of all of it.
		if sum, err := f.digest(ctx); err != nil {
			return undo(storeError(CodeDiskRead, "read", f.ent.Name, err))
		} else if !bytes.Equal(sum, end.Digest) {
			return undo(failf(CodeTransferError, f.ent.Name, "its content is not that of the interrupted transfer, which is forgotten now; send it again"))
		}
	}
	if same, err := f.sameAsOld(ctx); err != nil || same {
		if err != nil {
			return undo(storeError(CodeDiskRead, "read", f.ent.Name, err))
		}
		return keep() // the sender had sent it all before our question reached it
	}
	f.mu.Lock()
	noReplace := f.noReplace
	f.mu.Unlock()
	if noReplace {
		same, err := f.equalsOld(ctx)
		switch {
		case err != nil:
			return undo(storeError(CodeDiskRead, "read", f.ent.Name, err))
		case !same:
			return undo(errNoReplace(f.ent.Name))
		}
		return keep()
	}
	select {
	case f.io <- struct{}{}: // a checkpoint that is being written ends first, and none comes after
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	f.mu.Lock()
	tgt := f.tgt
	f.tgt = nil
	f.mu.Unlock()
	<-f.io
	a := r.attr(f.size, f.ent.Mode, f.ent.Mtime, f.ent.Atime)
	var sealed Sealed
	err := f.lastState(ctx, tgt)
	if err == nil {
		sealed, err = tgt.Seal(ctx, a, r.sync())
	} else {
		err = errors.Join(err, tgt.Close())
	}
	if err != nil {
		f.forgetParts()
		return undo(storeError(CodeDiskWrite, "write", f.ent.Name, err))
	}
	rec := f.record()
	rec.BytesResumed = f.hadBytes
	rec.BytesSent = f.size - f.hadBytes
	rec.Checksum, rec.Digest = r.req.Checksum, end.Digest
	r.commit.push(&sealedFile{id: f.ent.ID, final: f.finalName(), rec: rec, sealed: sealed, open: true, gone: f.forgetParts})
	return nil
}

// sameAsOld says whether what was received equals the existing file in the stretches that are compared.
func (f *rfile) sameAsOld(ctx context.Context) (bool, error) {
	f.mu.Lock()
	pieces, tgt := f.pieces, f.tgt
	f.mu.Unlock()
	if pieces == nil {
		return false, nil
	}
	if _, parted := tgt.(PartTarget); parted {
		return f.equalsOld(ctx)
	}
	buf := make([]byte, compareChunk)
	for _, p := range pieces {
		h, err := hashStretch(ctx, tgt, p.Off, p.Len, buf)
		if err != nil {
			return false, err
		}
		if h != p.Hash {
			return false, nil
		}
	}
	return true, nil
}

// equalsOld compares the target with the file that has its name, byte by byte, or by the hashes of the blocks where the
// target cannot be read.
func (f *rfile) equalsOld(ctx context.Context) (bool, error) {
	f.mu.Lock()
	tgt := f.tgt
	f.mu.Unlock()
	old, err := f.r.store.Open(ctx, f.name)
	if err != nil {
		return false, err
	}
	defer old.Close()
	if in, err := old.Info(); err != nil || in.Size != f.size {
		return false, err
	}
	if _, parted := tgt.(PartTarget); parted {
		return f.hashesAre(ctx, old)
	}
	a, b := make([]byte, compareChunk), make([]byte, compareChunk)
	for off := int64(0); off < f.size; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n := min(int64(len(a)), f.size-off)
		if err := errors.Join(readFull(tgt, a[:n], off), readFull(old, b[:n], off)); err != nil {
			return false, err
		}
		if !bytes.Equal(a[:n], b[:n]) {
			return false, nil
		}
		off += n
	}
	return true, nil
}

// hashesAre says whether old has the blocks that were received, of which a place of parts has none as zeros.
func (f *rfile) hashesAre(ctx context.Context, old Source) (same bool, err error) {
	f.mu.Lock()
	hashes := make([]blockHash, f.blocks)
	f.got.each(func(i int64, h blockHash) { hashes[i] = h })
	f.mu.Unlock()
	buf := make([]byte, f.ent.BlockSize)
	for i, want := range hashes {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		p := buf[:f.blockLen(int64(i))]
		if err := readFull(old, p, int64(i)*int64(f.ent.BlockSize)); err != nil {
			return false, err
		}
		if hashBlock(p) != want {
			return false, nil
		}
	}
	return true, nil
}

// digest reads the whole target.
func (f *rfile) digest(ctx context.Context) ([]byte, error) {
	f.mu.Lock()
	tgt := f.tgt
	f.mu.Unlock()
	h := newDigest(f.r.req.Checksum)
	buf := make([]byte, compareChunk)
	for off := int64(0); off < f.size; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p := buf[:min(int64(len(buf)), f.size-off)]
		if err := readFull(tgt, p, off); err != nil {
			return nil, err
		}
		h.Write(p)
		off += int64(len(p))
	}
	return h.Sum(nil), nil
}

// sync is when data of single files becomes durable in this session's mode.
func (r *receiver) sync() Sync {
	switch r.durability() {
	case DurabilityFile:
		return SyncNow
	case DurabilityNone:
		return SyncNone
	}
	return SyncLater
}
