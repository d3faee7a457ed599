package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/tradewind-io/tradewind/fasp"
)

// fileStage is where a file that was announced stands.
//
//	deciding --decision--> open --all blocks and the end--> sealing --> (commit)
//	deciding, open --refused, failed, skipped--> gone
type fileStage uint8

const (
	stageDeciding fileStage = iota
	stageOpen
	stageSealing
	stageGone
)

// rfile is an announced file on its way in.
type rfile struct {
	r     *receiver
	ent   entry         // as it was announced; of a divided file, the size is that of the slice
	slice Slice         // of a divided file
	name  string        // in the store
	again bool          // settled by an earlier session of this run
	io    chan struct{} // whoever syncs, saves or ends the target holds the one token

	mu        sync.Mutex // protects the rest
	stage     fileStage
	size      int64         // of the content; of a stream, streamSize until its end is announced, and fixed from then on
	blocks    int64         // in size
	final     string        // name, once it is claimed
	waiting   []*fasp.Block // came before the decision
	tgt       Target
	got       blockMap
	zeroRuns  int    // that came
	had       []span // of got, what an earlier session left, as the sender was told
	hadBytes  int64
	pieces    []piece // of the existing file, which the sender was asked to compare with
	noReplace bool    // a file of this size exists and may not be replaced: only equal content is no failure
	writers   int
	gather    gather // of the blocks that writers are about, where writes take several
	end       *fileEnd
	dirty     int64 // bytes written since the last checkpoint
	saved     time.Time
	keep      bool             // when stage is gone: the partial file stays
	parts     map[int][]uint64 // extents by the part that they are for, while it stands in memory
	short     int64            // of a stream: index of the one block that is not full, plus 1
}

// blockLen returns the size of block i. f.mu is held, or the size is fixed.
func (f *rfile) blockLen(i int64) int {
	return int(min(int64(f.ent.BlockSize), f.size-i*int64(f.ent.BlockSize)))
}

// decisions works through announced files.
func (r *receiver) decisions(ctx context.Context) error {
	for {
		f, err := r.decide.pop(ctx)
		if err != nil {
			return err
		}
		if err := r.decideOn(ctx, f); err != nil {
			return err
		}
	}
}

// verdict is what the overwrite rules say about a file.
type verdict uint8

const (
	take verdict = iota
	keepOld
	compareFirst
)

// judgement is what the overwrite rules say about a file, and why.
type judgement struct {
	verdict
	exists   bool // something would be replaced
	size     int64
	sameTime bool // its mtime is the source's
}

// judge applies the overwrite rules (docs/protocol-transfer.md section 26.1).
func (r *receiver) judge(ctx context.Context, name string, size, mtime int64) (judgement, *Error) {
	old, err := r.store.Stat(ctx, name, true)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return judgement{verdict: take}, nil
	case isEscape(err):
		// The final element is a link that leads out of the place. Publishing would replace the link and
		// touch nothing outside, but what stands there cannot be compared: refuse.
		return judgement{}, storeError(CodeBadPath, "open", name, err)
	case err != nil:
		return judgement{}, storeError(CodeDiskWrite, "stat", name, err)
	case old.Mode.IsDir():
		return judgement{}, failf(CodeIsDir, name, "a folder of this name exists")
	case !old.Mode.IsRegular():
		return judgement{}, failf(CodeNotRegular, name, "what exists is not a regular file")
	}
	j := judgement{exists: true, size: old.Size, sameTime: old.Mtime == mtime}
	j.verdict = r.rule(old, size, mtime)
	if j.verdict == compareFirst && !r.mayRead {
		j.verdict = take // its hashes would tell what may not be read
	}
	if j.verdict == take && !r.mayReplace && old.Size != size {
		return j, errNoReplace(name)
	}
	return j, nil
}

// errNoReplace refuses to replace a file for want of the right.
func errNoReplace(name string) *Error {
	return failf(CodeNoPerms, name, "it exists with other content, and replacing files is not allowed")
}

// rule is what the job wants to happen to a file that exists.
func (r *receiver) rule(old Info, size, mtime int64) verdict {
	rule, level := r.req.Overwrite, r.req.Resume
	if (rule == OverwriteOlder || rule == OverwriteDiffOlder) && old.Mtime >= mtime {
		return keepOld
	}
	switch rule {
	case OverwriteNever:
		return keepOld
	case OverwriteAlways, OverwriteOlder:
		return take
	}
	switch {
	case level == 0 || old.Size != size:
		return take
	case level == 1 && old.Mtime == mtime:
		return keepOld
	case level == 1:
		return take
	case size == 0:
		return keepOld
	}
	return compareFirst
}

// decideOn answers one announcement.
func (r *receiver) decideOn(ctx context.Context, f *rfile) error {
	if f.ent.Kind == kindDir {
		return r.folder(ctx, f)
	}
	if !r.claimName(f.name) {
		return r.reject(ctx, f, failf(CodeAmbiguousTarget, f.ent.Name, "two sources have this destination"))
	}
	if !f.setFinal() {
		return nil // failed at the sender meanwhile
	}
	var j judgement
	var ferr *Error
	if f.slice.divided() {
		j, ferr = r.judgeSlice(ctx, f)
	} else {
		j, ferr = r.judge(ctx, f.name, f.ent.Size, f.ent.Mtime)
	}
	if ferr != nil {
		return r.reject(ctx, f, ferr)
	}
	f.mu.Lock()
	f.noReplace = j.exists && !r.mayReplace
	f.mu.Unlock()
	switch j.verdict {
	case keepOld:
		f.drop(ctx, 0)
		r.skip(f)
		return nil
	case compareFirst:
		level := int(r.req.Resume)
		if !j.sameTime {
			level = 3 // a sample is enough only where the times do not speak of a change
		}
		c, err := r.piecesOf(ctx, f, level)
		if err != nil {
			return r.reject(ctx, f, storeError(CodeDiskRead, "read", f.ent.Name, err))
		}
		f.mu.Lock()
		f.pieces = c.Pieces
		f.mu.Unlock()
		if err := f.open(ctx); err != nil { // first, or the sender's reply could come before
			return err
		}
		r.out.put(recCompare, c.encode())
		return nil
	}
	if !f.slice.divided() && r.copyInside(f) {
		return nil
	}
	if f.ent.Small {
		r.want(f)
		return nil
	}
	// Without something to go on with, the file is opened when its first block is there: announcements alone take no descriptors.
	if !f.ent.Stream && !(r.fresh && r.extents != nil) && hasPartial(ctx, r.store, f.name) {
		if err := f.prepare(ctx, true); err != nil {
			return r.reject(ctx, f, storeError(CodeDiskWrite, "create", f.ent.Name, err))
		}
	}
	r.answer(f)
	return f.open(ctx)
}

// setFinal notes that f's name is claimed, or gives the claim back if f is gone already.
func (f *rfile) setFinal() bool {
	f.mu.Lock()
	gone := f.stage == stageGone
	if !gone {
		f.final = f.name
	}
	f.mu.Unlock()
	if gone {
		f.r.freeName(f.name)
	}
	return !gone
}

// finalName is the name that f holds a claim on, "" if none.
func (f *rfile) finalName() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.final
}

// want asks for a whole file.
func (r *receiver) want(f *rfile) {
	f.mu.Lock()
	f.stage = stageOpen
	f.mu.Unlock()
	r.out.put(recWant, encodeIDs([]span{{f.ent.ID, 1}}))
}

// answer says what of f is there already.
func (r *receiver) answer(f *rfile) {
	f.mu.Lock()
	had := f.had
	part := int64(0)
	if p, ok := f.tgt.(PartTarget); ok {
		part = p.Plan().First
	}
	f.mu.Unlock()
	if len(had) == 0 {
		if !r.fresh {
			r.out.put(recWant, encodeIDs([]span{{f.ent.ID, 1}}))
		}
		return
	}
	for len(had) > 0 {
		n := min(len(had), maxRanges)
		r.out.put(recHave, (&have{ID: f.ent.ID, More: n < len(had), Spans: had[:n], Part: part}).encode())
		had = had[n:]
	}
}

// piecesOf hashes the file that exists for the sender to compare with.
func (r *receiver) piecesOf(ctx context.Context, f *rfile, level int) (*compare, error) {
	src, err := r.store.Open(ctx, f.name)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	c := &compare{ID: f.ent.ID, Pieces: comparePieces(f.ent.Size, level)}
	if f.ent.Small {
		c.Pieces = []piece{{Len: f.ent.Size}}
	}
	buf := make([]byte, compareChunk)
	for i := range c.Pieces {
		p := &c.Pieces[i]
		if p.Hash, err = hashStretch(ctx, src, p.Off, p.Len, buf); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// prepare opens the target. With resume, what an earlier session left is taken up as far as it fits and
// stands the checks of the resume level; otherwise it is forgotten.
func (f *rfile) prepare(ctx context.Context, resume bool) error {
	select {
	case f.io <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-f.io }()
	f.mu.Lock()
	ready := f.tgt != nil || f.stage == stageGone
	f.mu.Unlock()
	if ready {
		return nil
	}
	if err := checkFree(ctx, f.r.store, f.r.minFree); err != nil {
		return err
	}
	a := f.r.attr(f.ent.Size, f.ent.Mode, f.ent.Mtime, f.ent.Atime)
	a.Block, a.Sparse = f.ent.BlockSize, f.ent.Sparse
	if f.ent.Stream {
		a.Size = -1
	}
	tgt, err := f.create(ctx, a)
	if err != nil {
		return err
	}
	pt, parted := tgt.(PartTarget)
	if parted {
		pt.Watch(f.partDone)
	}
	var cp *checkpoint
	if resume && tgt.Partial() > 0 {
		cp = f.r.leftover(ctx, f, tgt)
	}
	if cp != nil && parted && !f.r.has(flagAsk) && f.r.req.Direction == Send && !f.r.byRule(f, pt.Plan()) {
		cp = nil // the sender cuts by the rule already
	}
	if cp == nil && tgt.Partial() > 0 {
		if err := tgt.Reset(ctx); err != nil {
			return errors.Join(err, tgt.Discard(ctx))
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tgt = tgt
	f.saved = time.Now()
	if cp != nil {
		f.got = cp.Blocks
		f.had = cp.Blocks.spans()
		for _, s := range f.had {
			bs := int64(f.ent.BlockSize)
			f.hadBytes += min(int64(s.end())*bs, f.size) - int64(s.First)*bs
		}
		f.r.rep.bytesResumed.Add(f.hadBytes)
		f.r.rep.bytesDone.Add(f.hadBytes)
	}
	return nil
}

// leftover reads the checkpoint of tgt and drops from it what cannot be trusted (section 28.3). It
// returns nil if nothing is left.
func (r *receiver) leftover(ctx context.Context, f *rfile, tgt Target) *checkpoint {
	b, err := tgt.State(ctx)
	if err != nil || b == nil {
		return nil
	}
	cp, err := decodeCheckpoint(b)
	if err != nil || cp.Size != f.ent.Size || cp.Mtime != f.ent.Mtime || cp.BlockSize != f.ent.BlockSize {
		return nil
	}
	level := int(r.req.Resume)
	sameRun := r.has(flagRetry) && cp.Run == r.req.Run
	if level == 0 && !sameRun {
		return nil
	}
	if !r.verify(ctx, f, tgt, cp, level) {
		// A sample was wrong: nothing is taken on trust any more.
		r.verify(ctx, f, tgt, cp, 3)
	}
	if cp.Blocks.n == 0 {
		return nil
	}
	return cp
}

// sampleBlocks is about how many blocks of a partial file resume level 2 reads.
const sampleBlocks = 16

// sampled says whether the k-th of n blocks, from 1, is read at resume level 2 (docs/protocol-transfer.md section 26.2).
func sampled(k, n int64) bool {
	return k == 1 || k == n || k%max(n/sampleBlocks, 1) == 0
}

// trusted returns what of had, the blocks that the receiver had, does not count in the file's root. What counts although it was there
// finds out what was begun with another source: all at level 3, a sample at level 2, none below. had ascends.
func trusted(had []span, level int) []span {
	if level > 2 {
		return nil
	}
	if level < 2 {
		return had
	}
	var n int64
	for _, s := range had {
		n += int64(s.Count)
	}
	var seen []span
	k, step := int64(1), max(n/sampleBlocks, 1)
	before := int64(0) // blocks of had in front of s
	for _, s := range had {
		for ; k <= n && k <= before+int64(s.Count); k = nextSample(k, n, step) {
			seen = append(seen, span{s.First + uint64(k-before-1), 1})
		}
		before += int64(s.Count)
	}
	return minus(had, seen)
}

// nextSample returns the first k' behind k that is sampled of n, beyond n if there is none.
func nextSample(k, n, step int64) int64 {
	if next := (k/step + 1) * step; k >= n || next <= n {
		return next
	}
	return n
}

// verify reads blocks that cp lists and drops those that are not what was received: none below level 2,
// first, last and a spread of others at level 2, all at level 3. It returns false if one was dropped.
func (r *receiver) verify(ctx context.Context, f *rfile, tgt Target, cp *checkpoint, level int) bool {
	buf := make([]byte, cp.BlockSize)
	ok := true
	k, datas := int64(0), cp.Blocks.n-cp.Blocks.zeroed
	var bad []int64
	pt, parted := tgt.(PartTarget)
	cp.Blocks.each(func(i int64, h blockHash) {
		k++
		n := f.blockLen(i)
		if parted {
			// The place itself says which parts it has; it checked them when it took them.
			if !pt.Holds(i*int64(cp.BlockSize), int64(n)) {
				bad = append(bad, i)
			}
			return
		}
		if i*int64(cp.BlockSize)+int64(n) > tgt.Partial() {
			bad = append(bad, i) // the data is not even there
			return
		}
		if level < 2 || level == 2 && !sampled(k, datas) {
			return
		}
		if ctx.Err() != nil || readFull(tgt, buf[:n], i*int64(cp.BlockSize)) != nil || hashBlock(buf[:n]) != h {
			bad = append(bad, i)
		}
	})
	for _, i := range bad {
		cp.Blocks.drop(i)
		ok = false
	}
	return r.verifyZeros(ctx, tgt, cp, level) && ok
}

// open lets blocks in, first those that wait.
func (f *rfile) open(ctx context.Context) error {
	f.mu.Lock()
	if f.stage != stageDeciding {
		f.mu.Unlock()
		return nil
	}
	f.stage = stageOpen
	list := f.waiting
	f.waiting = nil
	ready := f.readyLocked()
	f.mu.Unlock()
	if ready {
		f.r.finish.push(f)
	}
	for i, b := range list {
		if err := f.arrive(ctx, b); err != nil {
			for _, b := range list[i+1:] {
				b.Release()
			}
			return err
		}
	}
	return nil
}

// readyLocked notes when all is there; the caller then hands f to be sealed. f.mu is held.
func (f *rfile) readyLocked() bool {
	if f.stage != stageOpen || f.end == nil || f.writers > 0 || f.got.n < f.blocks {
		return false
	}
	f.stage = stageSealing
	return true
}

// drop gives f up; code says why, 0 for skipped. Partial data stays only where it may be of use.
func (f *rfile) drop(ctx context.Context, code Code) {
	f.mu.Lock()
	if f.stage == stageGone || f.stage == stageSealing {
		f.mu.Unlock()
		return
	}
	f.stage = stageGone
	switch code {
	case CodeNoSpace, CodeDiskWrite, CodeTooManyFiles:
		f.keep = true
	}
	list := f.waiting
	f.waiting = nil
	now := f.writers == 0
	f.mu.Unlock()
	for _, b := range list {
		f.r.rep.unwanted.Add(int64(len(b.Data)))
		b.Release()
	}
	if now {
		f.cleanup(ctx)
	}
}

// cleanup closes the target of a file that is gone; nobody writes to it any more.
func (f *rfile) cleanup(ctx context.Context) {
	// The session may end meanwhile, with this file settled; what it left in a store would stay there.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTime)
	defer cancel()
	f.io <- struct{}{} // a checkpoint may be on its way; it ends by itself
	defer func() { <-f.io }()
	f.mu.Lock()
	tgt := f.tgt
	f.tgt = nil
	keep := f.keep && f.got.n > 0 && !f.ent.Stream
	f.mu.Unlock()
	switch {
	case tgt == nil:
	case keep:
		f.keepPartial(ctx, tgt)
	default:
		if err := tgt.Discard(ctx); err != nil {
			f.r.log.Warn("partial file not removed", "file", f.ent.Name, "err", err)
		}
	}
	f.forgetParts()
}

// keepPartial saves what is there and closes the target. The io token is held, or nobody else is left.
func (f *rfile) keepPartial(ctx context.Context, tgt Target) {
	f.mu.Lock()
	state := f.stateLocked()
	f.mu.Unlock()
	err := tgt.Sync(ctx)
	if err == nil {
		err = tgt.SaveState(ctx, state)
	}
	if err != nil {
		f.r.log.Warn("checkpoint not saved", "file", f.ent.Name, "err", err)
		if old, serr := tgt.State(ctx); serr == nil && old == nil {
			// Without any checkpoint the data is of no use, and on a full disk it is in the way.
			if err := tgt.Discard(ctx); err != nil {
				f.r.log.Warn("partial file not removed", "file", f.ent.Name, "err", err)
			}
			return
		}
	}
	if err := tgt.Close(); err != nil {
		f.r.log.Warn("partial file not closed", "file", f.ent.Name, "err", err)
	}
}

func (f *rfile) stateLocked() []byte {
	cp := checkpoint{Size: f.ent.Size, Mtime: f.ent.Mtime, BlockSize: f.ent.BlockSize, Run: f.r.req.Run, Blocks: f.got}
	return cp.encode()
}

// abandon keeps what is there for the next session.
func (f *rfile) abandon(ctx context.Context) {
	f.mu.Lock()
	f.stage = stageGone
	tgt := f.tgt
	f.tgt = nil
	list := f.waiting
	f.waiting = nil
	worth := f.got.n > 0 && !f.ent.Stream // a stream cannot be sent again
	f.mu.Unlock()
	for _, b := range list {
		b.Release()
	}
	switch {
	case tgt == nil:
	case worth:
		f.keepPartial(ctx, tgt)
	default:
		_ = tgt.Discard(ctx)
	}
	f.forgetParts()
}

// addSent counts content that crossed, as the receiver sees it.
func (r *receiver) addSent(n int64) { r.rep.bytesSent.Add(n) }

// fileEnd takes the sender's word that a file is complete, or equal to what is here.
func (r *receiver) fileEnd(ctx context.Context, e *fileEnd) error {
	f, settled := r.known(e.ID)
	if settled {
		return nil // given up here meanwhile
	}
	if f == nil || f.ent.Kind != kindFile {
		return fmt.Errorf("end of file %d, which was not announced", e.ID)
	}
	if e.Same {
		f.mu.Lock()
		asked := f.pieces != nil
		f.mu.Unlock()
		if !asked {
			return fmt.Errorf("file %d was not to be compared", e.ID)
		}
		f.drop(ctx, 0)
		r.touch(ctx, f)
		r.skip(f)
		return nil
	}
	f.mu.Lock()
	if f.end != nil || f.ent.Small {
		f.mu.Unlock()
		return fmt.Errorf("file %d ends twice or rides in a pack", e.ID)
	}
	if f.ent.Stream {
		blocks := blockCount(e.Size, f.ent.BlockSize)
		if f.got.beyond(blocks) || f.short != 0 && (f.short != blocks || e.Size%int64(f.ent.BlockSize) == 0) {
			f.mu.Unlock()
			return fmt.Errorf("file %d: its blocks are not those of %d bytes", e.ID, e.Size)
		}
		f.size, f.blocks = e.Size, blocks
	}
	f.end = e
	ready := f.readyLocked()
	f.mu.Unlock()
	if ready {
		r.finish.push(f)
	}
	return nil
}

// touch sets the attributes of a file whose content was equal already.
func (r *receiver) touch(ctx context.Context, f *rfile) {
	if !r.has(flagMtime|flagAtime|flagMode) || !r.mayReplace {
		return
	}
	a := r.attr(f.ent.Size, f.ent.Mode, f.ent.Mtime, f.ent.Atime)
	if err := r.store.SetAttr(ctx, f.name, a); err != nil {
		r.log.Warn("attributes not set", "file", f.ent.Name, "err", err)
	}
}
