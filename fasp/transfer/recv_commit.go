package transfer

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// sealedFile is a file that is whole and waits for its final name; folders and links, which have theirs,
// wait for confirmation only.
type sealedFile struct {
	id     uint64
	final  string
	rec    FileRecord
	sealed Sealed // nil for folders and links
	open   bool   // holds a descriptor until it is published
	again  bool   // not to be counted
	gone   func() // called when its content does not stand in memory any more; may be nil
}

// Batches of files to be named and confirmed. A sync of the file system costs the same for one file as for
// thousands, so batches of the session mode gather for a while, unless they hold many files open; in the
// other modes a short while keeps confirmations few.
const (
	batchEvery = 200 * time.Millisecond
	batchMost  = 1 * time.Second
	batchSoon  = 10 * time.Millisecond
	batchOpen  = 256
	batchFiles = maxUnresolved / 8 // two batches and what arrives meanwhile stay well below what a sender may have unsettled
)

// batchWait returns how long a batch of the session mode gathers after a sync that took so long. While a file system syncs it makes
// few new files, so where syncs are slow there must be few of them: they get a quarter of the time.
func batchWait(sync time.Duration) time.Duration { return min(max(batchEvery, 3*sync), batchMost) }

// commits gives sealed files their names and confirms them (docs/protocol-transfer.md section 27). When it
// ends before its work is done, what is left stands in r.commit again.
//
// In session mode one sync serves two steps: it makes the data of this round's files durable, which may
// then be renamed, and the names of the round before, which may then be confirmed.
func (r *receiver) commits(ctx context.Context) error {
	if p, ok := r.store.(PartStore); ok {
		return r.commitEach(ctx, p.Parallel())
	}
	var named []*sealedFile // published, names not yet durable
	giveBack := func(list []*sealedFile) {
		for _, f := range list {
			r.commit.push(f)
		}
	}
	next := time.Now() // when the next batch may be complete
	for {
		if len(named) == 0 {
			f, err := r.commit.pop(ctx)
			if err != nil {
				return err
			}
			r.commit.push(f)
		}
		if err := r.gather(ctx, next, len(named)); err != nil {
			return err
		}
		batch := r.commit.takeAll()
		began := time.Now()
		// That the job is one file may show after others have got their names: they are confirmed first, as the session mode does.
		if r.durability() != DurabilitySession && len(named) == 0 {
			next = began.Add(batchSoon)
			named, err := r.publish(ctx, batch, r.sync())
			if err != nil {
				giveBack(batch)
				return err
			}
			if err := r.confirm(named); err != nil {
				return err
			}
			continue
		}
		if err := r.store.Flush(ctx); err != nil {
			giveBack(batch)
			return storeError(CodeDiskWrite, "sync", "", err)
		}
		now := time.Now()
		next = now.Add(batchWait(now.Sub(began)))
		if err := r.confirm(named); err != nil {
			giveBack(batch)
			return err
		}
		var err error
		if named, err = r.publish(ctx, batch, SyncLater); err != nil {
			giveBack(batch)
			return err
		}
	}
}

// commitEach gives files their names as they come, n at a time: to a store each is a request or two, which takes its time,
// and when it has answered the file is durable.
func (r *receiver) commitEach(ctx context.Context, n int) error {
	g, ctx := errgroup.WithContext(ctx)
	for range n {
		g.Go(func() error {
			for {
				f, err := r.commit.pop(ctx)
				if err != nil {
					return err
				}
				named, err := r.publish(ctx, []*sealedFile{f}, SyncNow)
				if err != nil {
					r.commit.push(f)
					return err
				}
				if err := r.confirm(named); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// gather waits until a batch is worth a sync.
func (r *receiver) gather(ctx context.Context, next time.Time, named int) error {
	t := time.NewTimer(time.Until(next))
	defer t.Stop()
	for {
		n := r.commit.len()
		if n >= batchFiles || n >= batchOpen && r.openSealed() >= batchOpen {
			return nil
		}
		if r.allSealed(named) {
			return nil // nobody else will come: why wait
		}
		select {
		case <-t.C:
			return nil
		case <-r.commit.wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// openSealed counts files in the queue that hold a descriptor.
func (r *receiver) openSealed() int {
	r.commit.mu.Lock()
	defer r.commit.mu.Unlock()
	n := 0
	for _, f := range r.commit.items {
		if f.open {
			n++
		}
	}
	return n
}

// allSealed says whether all that is not settled stands in the queue, or has its name.
func (r *receiver) allSealed(named int) bool {
	n := uint64(r.commit.len() + named)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.end != nil && r.resolved.count()+n >= r.end.LastID
}

// publishChunk is how many files one goroutine names in a row; they are mostly of one folder.
const publishChunk = 256

// publish gives files their final names, a few at a time, and returns those that got theirs.
func (r *receiver) publish(ctx context.Context, batch []*sealedFile, s Sync) ([]*sealedFile, error) {
	defer func() {
		for _, f := range batch {
			if f.gone != nil && f.sealed == nil {
				f.gone()
				f.gone = nil
			}
		}
	}()
	got := make([]bool, len(batch))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.workers)
	for first := 0; first < len(batch); first += publishChunk {
		g.Go(func() error {
			for i := first; i < min(first+publishChunk, len(batch)); i++ {
				var err error
				if got[i], err = r.publishFile(gctx, batch[i], s); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	named := batch[:0:0]
	for i, f := range batch {
		if got[i] {
			named = append(named, f)
		}
	}
	return named, nil
}

// publishFile gives one file its final name and says whether it got it. An error ends the session.
func (r *receiver) publishFile(ctx context.Context, f *sealedFile, s Sync) (bool, error) {
	if f.sealed == nil {
		return true, nil
	}
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	err := f.sealed.Publish(ctx, s, r.replaces())
	if err != nil && ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	sealed := f.sealed
	f.sealed = nil
	if err == nil {
		if w, ok := sealed.(waiting); ok {
			f.rec.Missing = w.Missing()
		}
		return true, nil
	}
	if derr := sealed.Discard(ctx); derr != nil {
		r.log.Warn("partial file not removed", "file", f.rec.Name, "err", derr)
	}
	// Somebody else's file took the name since it was judged.
	appeared := errors.Is(err, fs.ErrExist) && !r.replaces()
	if appeared && r.req.Overwrite == OverwriteNever {
		if r.settle(f.id, f.final, recSkip, encodeIDs([]span{{f.id, 1}})) {
			r.skipped(f.rec)
		}
		return false, nil
	}
	failure := storeError(CodeDiskWrite, "rename", f.rec.Name, err)
	if appeared {
		failure = errNoReplace(f.rec.Name)
	}
	return false, r.rejectID(f.id, f.final, f.rec, failure)
}

// replaces says whether files of this job may take the place of others at all.
func (r *receiver) replaces() bool { return r.mayReplace && r.req.Overwrite != OverwriteNever }

// maxConfirm is how many ids one record confirms at most; each may be a range of its own.
const maxConfirm = maxRanges

// confirm tells the sender that files are complete and durable.
func (r *receiver) confirm(list []*sealedFile) error {
	if len(list) == 0 {
		return nil
	}
	ids := make([]uint64, 0, len(list))
	for _, f := range list {
		ids = append(ids, f.id)
		if f.rec.Missing > 0 {
			r.out.put(recWaits, (&waits{f.id, f.rec.Missing}).encode())
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	for part := range slices.Chunk(ids, maxConfirm) {
		r.out.put(recConfirm, encodeIDs(spansOf(part)))
	}
	r.mu.Lock()
	r.noSpace = 0
	r.mu.Unlock()
	for _, f := range list {
		if !f.again {
			r.mem.add(f.rec.Name)
			r.rep.file(EventFileDone, f.rec)
		}
		r.settle(f.id, f.final, 0, nil) // the record was put above
	}
	return nil
}

// keeper is a Sealed of which what is there can be left for a later Create.
type keeper interface{ Keep(context.Context) error }

// rescue gives whole files their names after the session has failed: nothing of them need be sent again.
func (r *receiver) rescue(ctx context.Context, list []*sealedFile) {
	if len(list) == 0 {
		return
	}
	var err error
	if r.durability() == DurabilitySession {
		err = r.store.Flush(ctx)
	}
	for _, f := range list {
		if f.sealed == nil {
			continue
		}
		perr := err // without the sync nothing may get its name
		if perr == nil {
			perr = f.sealed.Publish(ctx, r.sync(), r.replaces())
		}
		if k, ok := f.sealed.(keeper); ok && perr != nil {
			perr = errors.Join(perr, k.Keep(ctx))
			r.log.Debug("file left for the next session to complete", "file", f.rec.Name, "err", perr)
		} else if perr != nil {
			perr = errors.Join(perr, f.sealed.Discard(ctx))
			r.log.Warn("whole file not kept after the session failed", "file", f.rec.Name, "err", perr)
		}
		if f.gone != nil {
			f.gone()
		}
	}
	if r.durability() != DurabilityNone {
		if err := r.store.Flush(ctx); err != nil {
			r.log.Warn("sync after the session failed", "err", err)
		}
	}
}

// Checkpoints (docs/protocol-transfer.md section 28): how much may be sent again after a crash.
const (
	checkpointBytes = 64 << 20
	checkpointAge   = 1 * time.Second
	checkpointTick  = 250 * time.Millisecond
	// checkpointCost keeps checkpoints of huge files, which grow with the number of blocks, below a
	// sixteenth of the data they cover.
	checkpointCost = 16
)

// checkpoints saves the state of partial files beside the writing.
func (r *receiver) checkpoints(ctx context.Context) error {
	t := time.NewTicker(checkpointTick)
	defer t.Stop()
	var due []*rfile
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		r.mu.Lock()
		due = due[:0]
		for _, f := range r.files {
			due = append(due, f)
		}
		r.mu.Unlock()
		now := time.Now()
		for _, f := range due {
			if ctx.Err() != nil {
				break
			}
			if f.due(now) {
				f.save(ctx)
			}
		}
		clear(due)
	}
}

// due says whether a checkpoint is worth its cost.
func (f *rfile) due(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stage == stageOpen && f.tgt != nil && !f.ent.Stream && f.dirty > 0 &&
		(f.dirty >= checkpointBytes || now.Sub(f.saved) >= checkpointAge) &&
		f.dirty >= f.got.cost()*checkpointCost
}

// save writes a checkpoint of what is written by now.
func (f *rfile) save(ctx context.Context) {
	select {
	case f.io <- struct{}{}:
		defer func() { <-f.io }()
	default:
		return // somebody is about to end it
	}
	f.mu.Lock()
	tgt := f.tgt
	if f.stage != stageOpen || tgt == nil {
		f.mu.Unlock()
		return
	}
	state := f.stateLocked()
	written := f.dirty
	f.mu.Unlock()
	// First the data, then the word that it is there.
	err := tgt.Sync(ctx)
	if err == nil {
		err = tgt.SaveState(ctx, state)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.saved = time.Now()
	if err != nil {
		f.r.log.Warn("checkpoint not saved", "file", f.ent.Name, "err", err)
		return
	}
	f.dirty -= written
}
