package transfer

import (
	"context"
	"errors"
	"fmt"

	"github.com/tradewind-io/tradewind/fasp"
)

// arrival is what a block brings to a file, claimed and on its way to be written.
type arrival struct {
	f     *rfile
	h     blockHead
	c     content
	block int64  // index
	zeros []span // of a run of zeros, what was not there
	size  int64  // bytes of the file that it is about
	err   error  // it cannot be written
}

// arrive takes a block of f over.
func (f *rfile) arrive(ctx context.Context, b *fasp.Block) error {
	a, err := f.admit(ctx, b)
	if err != nil || a == nil {
		return err
	}
	tgt, err := f.place(ctx, a)
	if err != nil || a.h.Kind == blockZeros {
		return f.wrote(ctx, a, err)
	}
	return f.write(ctx, tgt, a)
}

// admit takes b over and claims what it brings. It returns nil if there is nothing to be written now. What it returns must go to wrote.
func (f *rfile) admit(ctx context.Context, b *fasp.Block) (*arrival, error) {
	h, err := parseBlock(b.Data)
	f.mu.Lock()
	if err == nil {
		err = f.checkBlock(&h)
	}
	if err != nil {
		f.mu.Unlock()
		b.Release()
		return nil, protocolError(err)
	}
	if f.stage == stageDeciding {
		f.waiting = append(f.waiting, b)
		f.mu.Unlock()
		return nil, nil
	}
	a := &arrival{f: f, h: h, block: h.Offset / int64(f.ent.BlockSize), size: int64(h.Raw)}
	if f.stage != stageOpen || !f.claim(a) {
		f.mu.Unlock()
		f.r.rep.unwanted.Add(int64(h.Raw))
		perr := f.r.extents.pass(&h)
		b.Release()
		return nil, perr
	}
	if f.ent.Stream && h.Raw < f.ent.BlockSize {
		if f.short != 0 {
			f.mu.Unlock()
			b.Release()
			return nil, protocolError(fmt.Errorf("file %d: two blocks of a stream are not full", h.File))
		}
		f.short = a.block + 1
	}
	f.writers++
	f.mu.Unlock()
	if a.c, err = f.r.expand(b, &a.h); err != nil {
		a.err = protocolError(fmt.Errorf("block of file %d at %d: %w", h.File, h.Offset, err))
	}
	return a, nil
}

// claim reserves what a brings; false if all of it is there or on its way. f.mu is held.
func (f *rfile) claim(a *arrival) bool {
	if a.h.Kind != blockZeros {
		return f.got.claim(a.block)
	}
	bs := int64(f.ent.BlockSize)
	a.zeros = f.got.claimZeros(span{uint64(a.block), uint64(a.h.Zeros / bs)})
	a.size = 0
	for _, s := range a.zeros {
		a.size += int64(s.Count) * bs
	}
	return len(a.zeros) > 0
}

// place opens the target with the first block and enters a into the books, or makes zeros of what a says; data is then to be written.
func (f *rfile) place(ctx context.Context, a *arrival) (Target, error) {
	if a.err != nil {
		return nil, a.err
	}
	tgt, err := f.target(ctx)
	if err != nil {
		return nil, err
	}
	if a.h.Kind == blockZeros {
		return tgt, f.writeZeros(ctx, tgt, a.zeros)
	}
	return tgt, f.hold(tgt, &a.h)
}

// target returns the target, open.
func (f *rfile) target(ctx context.Context) (Target, error) {
	for tried := false; ; tried = true {
		f.mu.Lock()
		tgt := f.tgt
		f.mu.Unlock()
		switch {
		case tgt != nil:
			return tgt, nil
		case tried: // gone meanwhile
			return nil, context.Canceled
		}
		if err := f.prepare(ctx, false); err != nil {
			return nil, err
		}
	}
}

// wrote notes what became of a, and releases it. An error ends the session.
func (f *rfile) wrote(ctx context.Context, a *arrival, werr error) error {
	a.c.release()
	f.mu.Lock()
	f.writers--
	switch {
	case werr == nil && a.zeros != nil:
		f.got.finishZeros(f.ent.BlockSize, a.zeros...)
		f.dirty += a.size
	case werr == nil:
		f.got.finish(a.block, a.h.Hash)
		f.dirty += a.size
	case a.zeros != nil:
		f.got.unclaimZeros(a.zeros...)
	default:
		f.got.unclaim(a.block)
	}
	ready := f.readyLocked()
	gone := f.stage == stageGone
	last := gone && f.writers == 0
	f.mu.Unlock()
	if last {
		f.cleanup(ctx)
	}
	switch {
	case werr == nil:
		f.r.rep.bytesDone.Add(a.size)
		f.r.rep.progress.Add(a.size)
		f.r.addSent(a.size)
		if ready {
			f.r.finish.push(f)
		}
		return nil
	case gone:
		return nil
	}
	var e *Error
	if errors.As(werr, &e) && e.Code == CodeFaspProto {
		return werr
	}
	return f.r.reject(ctx, f, storeError(CodeDiskWrite, "write", f.ent.Name, werr))
}

// checkBlock refuses a block that f cannot have. f.mu is held.
func (f *rfile) checkBlock(h *blockHead) error {
	if h.Kind == blockZeros {
		return f.checkZeros(h)
	}
	bs := int64(f.ent.BlockSize)
	i := h.Offset / bs
	full := h.Raw == f.blockLen(i) || f.ent.Stream && h.Raw <= f.ent.BlockSize
	if f.ent.Kind != kindFile || f.ent.Small || h.Offset%bs != 0 || i >= f.blocks || !full {
		return fmt.Errorf("file %d: block at %d of %d bytes does not fit", h.File, h.Offset, h.Raw)
	}
	return nil
}
