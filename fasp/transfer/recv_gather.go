package transfer

import (
	"cmp"
	"context"
	"io"
	"slices"
)

// gather is what waits to be written to a file where one write may take several blocks. Whoever finds nobody writing writes, and goes
// on until nothing waits; what others bring meanwhile, they leave here. So nobody waits for a write to become larger: while one is
// under way the next one grows. What waits holds its credit. rfile.mu protects it.
type gather struct {
	busy    bool
	waiting []*arrival // by offset
}

// add lets a wait.
func (g *gather) add(a *arrival) {
	i, _ := slices.BinarySearchFunc(g.waiting, a, func(x, y *arrival) int { return cmp.Compare(x.h.Offset, y.h.Offset) })
	g.waiting = slices.Insert(g.waiting, i, a)
}

// take appends to run the blocks that the next write is of: the first one that waits, and those that stand right behind it, up to
// size bytes together. Where nothing waits, nobody writes any more.
func (g *gather) take(run []*arrival, size int) []*arrival {
	n, bytes := 0, 0
	for _, a := range g.waiting {
		if n > 0 && (a.h.Offset != g.waiting[0].h.Offset+int64(bytes) || bytes+a.h.Raw > size) {
			break
		}
		n, bytes = n+1, bytes+a.h.Raw
	}
	run = append(run, g.waiting[:n]...)
	g.waiting = slices.Delete(g.waiting, 0, n)
	g.busy = n > 0
	return run
}

// write puts a into tgt, in writes of the size that the job asks for, and takes note; or it leaves that to the worker that is writing to the
// file. An error ends the session.
func (f *rfile) write(ctx context.Context, tgt Target, a *arrival) error {
	size := int(f.r.req.WriteSize)
	if _, parts := tgt.(PartTarget); parts {
		size = 0 // it is copied into the part; what the store is sent at a time is the part
	}
	// What came compressed stands in an inflater, of which each worker has one: it cannot be left to another.
	if gt, ok := tgt.(GatherTarget); ok && size >= 2*f.ent.BlockSize && a.c.buf == nil {
		return f.writeRuns(ctx, gt, a, size)
	}
	return f.wrote(ctx, a, writePieces(tgt, a.h.Payload, a.h.Offset, size))
}

// writePieces writes p at off, size bytes at a time, or all at once where size is 0.
func writePieces(w io.WriterAt, p []byte, off int64, size int) error {
	if size == 0 {
		size = len(p)
	}
	for len(p) > 0 {
		n, err := w.WriteAt(p[:min(size, len(p))], off)
		if err != nil {
			return err
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// writeRuns writes a and what comes meanwhile, up to size bytes at a time, or leaves a to the worker that does so already.
func (f *rfile) writeRuns(ctx context.Context, tgt GatherTarget, a *arrival, size int) error {
	f.mu.Lock()
	if f.gather.busy {
		f.gather.add(a)
		f.mu.Unlock()
		return nil
	}
	f.gather.busy = true
	f.mu.Unlock()
	run := []*arrival{a}
	var bufs [][]byte
	var werr, err error
	for len(run) > 0 {
		if werr == nil { // else the file has failed, and the rest is only released
			bufs = bufs[:0]
			for _, a := range run {
				bufs = append(bufs, a.h.Payload)
			}
			werr = tgt.WriteRun(bufs, run[0].h.Offset)
		}
		for _, a := range run {
			if e := f.wrote(ctx, a, werr); e != nil && err == nil {
				err = e
			}
		}
		f.mu.Lock()
		run = f.gather.take(run[:0], size)
		f.mu.Unlock()
	}
	return err
}
