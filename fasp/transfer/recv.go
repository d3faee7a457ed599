package transfer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tradewind-io/tradewind/fasp"
)

// receiver is the receiving side of a session. It alone decides what it needs, so that it is right
// whatever arrives: what is not needed is dropped and counted.
type receiver struct {
	job
	dest    destination
	extents *extents     // of the memory for parts; nil where the destination has none
	drain   *drainMeter  // likewise
	inside  *BucketStore // where the sender's files stand, if they may be copied from there within the store
	fresh   bool         // the destination holds nothing and the sender waits for no answers
	tag     string       // marks the temporary names of small files with the job and its owner
	sole    atomic.Bool  // the one source turned out to be a file
	workers int
	minFree int64
	// compressed says that blocks may be; where the answer is on its way, whether that was offered.
	compressed atomic.Bool
	inflaters  sync.Pool // of *inflater, each with room for a payload
	// mayRead and mayReplace are rights at the destination: to learn what is in files there, and to put others in their place.
	mayRead, mayReplace bool

	decide *fifo[*rfile] // announced, to be decided on
	finish *fifo[*rfile] // all there, to be sealed
	commit *fifo[*sealedFile]
	refuse *fifo[refusal] // which the place does not take any more

	mu        sync.Mutex // protects the rest
	files     map[uint64]*rfile
	parked    map[uint64][]*fasp.Block // blocks whose entry is still on its way; they hold receive window
	names     map[string]struct{}      // final names being worked on
	nameBytes int                      // of names in files
	end       *totals
	dirs      map[string]Attr // of folders, to be set at the end
	dirBytes  int             // of names in dirs
	large     int             // announced files that are not in packs, not settled
	lastName  string          // of the last entry, see entry.encode
	noSpace   int             // files in a row that failed for lack of space
	done      chan struct{}
	isDone    bool // done is closed
	said      bool // the done record was put; read when all goroutines have ended
	resolved  idSet
}

// Bounds on what announcements without data can take.
const (
	maxLarge    = 8192     // files that may hold a descriptor; a sender announces 512 ahead (docs/protocol-transfer.md section 24.3)
	maxDirBytes = 32 << 20 // of names of folders whose attributes wait for the end
)

func newReceiver(j job, dest destination, workers int) *receiver {
	r := &receiver{
		job: j, dest: dest, workers: workers, tag: j.tag(), mayRead: true, mayReplace: true,
		decide: newFifo[*rfile](), finish: newFifo[*rfile](), commit: newFifo[*sealedFile](), refuse: newFifo[refusal](),
		files: make(map[uint64]*rfile), parked: make(map[uint64][]*fasp.Block), names: make(map[string]struct{}),
		done: make(chan struct{}),
	}
	r.compressed.Store(j.req.Compression != CompressionOff)
	return r
}

// durability is the mode of the session. Where the client leaves the choice to us it is that of single files if
// the job is one source and that is a file, which shows with its first entry.
func (r *receiver) durability() Durability {
	switch {
	case r.req.Durable != DurabilityAuto:
		return r.req.Durable
	case r.sole.Load():
		return DurabilityFile
	}
	return DurabilitySession
}

// sighted notes the kind of the first entry. A name with folders is of a tree whose folder an earlier
// session settled.
func (r *receiver) sighted(id uint64, k kind, name string) {
	if id == 1 && r.dest.single && k == kindFile && !strings.Contains(name, "/") {
		r.sole.Store(true)
	}
}

// run receives until everything is settled and confirmed. Whatever ends it, what is durable is in
// checkpoints when it returns, and no file is open.
func (r *receiver) run(ctx context.Context, first func(typ uint64, body []byte) (bool, error)) error {
	if err := r.req.canSlice(r.store); err != nil {
		return err
	}
	x, err := newExtents(ctx, r.sess, r.store)
	if err != nil {
		return err
	}
	r.extents = x
	defer x.leave()
	g, gctx := errgroup.WithContext(ctx)
	deciders := r.workers
	if p, ok := r.store.(PartStore); ok {
		// Questions to a store take their time, not ours.
		deciders = max(deciders, p.Parallel())
		r.drain = new(drainMeter)
		g.Go(func() error { return r.steer(gctx) })
		g.Go(func() error { return r.refusals(gctx) })
	}
	g.Go(func() error { return r.out.run(gctx, r.sess) })
	g.Go(func() error { return r.messages(gctx, first) })
	g.Go(func() error { return r.checkpoints(gctx) })
	g.Go(func() error { return r.commits(gctx) })
	g.Go(func() error { return r.conclude(gctx) })
	for range r.workers {
		g.Go(func() error { return r.blocks(gctx) })
		g.Go(func() error { return r.finishes(gctx) })
	}
	for range deciders {
		g.Go(func() error { return r.decisions(gctx) })
	}
	err = g.Wait()
	if errors.Is(err, errFinished) {
		return nil
	}
	if r.said {
		// Everything is settled, durable and confirmed; whether the sender heard our last record is its own concern.
		r.log.Debug("the sender left without a word", "err", err)
		return nil
	}
	r.abandon()
	return err
}

// abandonTime bounds how long an interrupted session works on keeping what it has.
const abandonTime = 10 * time.Second

// abandon keeps what was received for the next session. All other goroutines have ended.
func (r *receiver) abandon() {
	ctx, cancel := context.WithTimeout(context.Background(), abandonTime)
	defer cancel()
	r.mu.Lock()
	files, parked := r.files, r.parked
	r.files, r.parked = nil, nil
	r.mu.Unlock()
	for _, list := range parked {
		for _, b := range list {
			b.Release()
		}
	}
	// Whole files first: they need only their names.
	r.rescue(ctx, r.commit.takeAll())
	for _, f := range files {
		f.abandon(ctx)
	}
}

// messages handles the sender's records.
func (r *receiver) messages(ctx context.Context, first func(uint64, []byte) (bool, error)) error {
	for {
		// A peer that does not read what we answer is not read either.
		if err := r.out.wait(ctx); err != nil {
			return err
		}
		typ, body, err := r.in.next(ctx)
		if err != nil {
			return err
		}
		if first != nil {
			taken, err := first(typ, body)
			if err != nil {
				return err
			}
			if taken {
				continue
			}
		}
		if err := r.handle(ctx, typ, body); err != nil {
			var e *Error
			if !errors.As(err, &e) && ctx.Err() == nil {
				err = protocolError(err)
			}
			return err
		}
	}
}

func (r *receiver) handle(ctx context.Context, typ uint64, body []byte) error {
	switch typ {
	case recEntry:
		e, err := decodeEntry(body, r.lastName)
		if err != nil {
			return err
		}
		r.lastName = e.Name
		return r.entry(ctx, e)
	case recFileEnd:
		e, err := decodeFileEnd(body)
		if err != nil {
			return err
		}
		return r.fileEnd(ctx, e)
	case recFail:
		f, err := decodeFailure(body)
		if err != nil {
			return err
		}
		return r.failed(ctx, f)
	case recTotals, recEnd:
		t, err := decodeTotals(body)
		if err != nil {
			return err
		}
		r.rep.filesTotal.Store(int64(t.Files))
		r.rep.bytesTotal.Store(int64(t.Bytes))
		if typ == recEnd {
			return r.ended(t)
		}
	}
	return nil // unknown records are skipped (section 21.2)
}

// known returns the file of an id, or whether the id is settled.
func (r *receiver) known(id uint64) (f *rfile, settled bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.files[id], r.resolved.has(id)
}

// entry takes one announcement.
func (r *receiver) entry(ctx context.Context, e *entry) error {
	f, settled := r.known(e.ID)
	if f != nil || settled || !r.resolved.fits(e.ID, 0) {
		return fmt.Errorf("entry %d comes twice or lies outside the window", e.ID)
	}
	r.sighted(e.ID, e.Kind, e.Name)
	r.mu.Lock()
	if r.end != nil {
		r.mu.Unlock()
		return errors.New("entry after the end")
	}
	r.mu.Unlock()
	if n := r.announced(len(e.Name)); n > maxUnresolved {
		return fmt.Errorf("%d files announced and not settled", n)
	}
	slice, err := r.req.cut(e)
	if err != nil {
		return err
	}
	f = &rfile{r: r, ent: *e, slice: slice, io: make(chan struct{}, 1)}
	f.size, f.blocks = e.Size, blockCount(e.Size, max(e.BlockSize, 1))
	r.mu.Lock()
	if e.Kind == kindFile && !e.Small {
		r.large++
	}
	tooMany := r.large > maxLarge
	r.files[e.ID] = f
	f.waiting = r.parked[e.ID]
	delete(r.parked, e.ID)
	r.mu.Unlock()
	if tooMany {
		return fmt.Errorf("more than %d large files announced and not settled", maxLarge)
	}
	if err := checkName(e.Name); err != nil {
		return r.reject(ctx, f, storeError(CodeBadPath, "", printable(e.Name), err))
	}
	f.name = r.dest.name(e.Name, e.Kind)
	f.again = r.mem.has(e.Name)
	if f.again && e.Kind != kindDir {
		f.drop(ctx, 0)
		r.skip(f) // settled by an earlier session of this run, and counted there
		return nil
	}
	switch {
	case e.Kind == kindLink:
		return r.link(ctx, f)
	case e.Kind == kindDir && r.extents == nil:
		return r.folder(ctx, f) // before what is in it is decided on
	}
	r.decide.push(f)
	return nil
}

// folder makes an announced folder. Its times are set at the end, when nothing is put into it any more.
func (r *receiver) folder(ctx context.Context, f *rfile) error {
	e := &f.ent
	exists := false
	if r.has(flagMtime | flagMode) {
		_, err := r.store.Stat(ctx, f.name, false)
		exists = err == nil
	}
	if err := r.store.Mkdir(ctx, f.name); err != nil {
		return r.reject(ctx, f, storeError(CodeDiskWrite, "make folder", e.Name, err))
	}
	if r.has(flagMtime|flagMode) && (!exists || r.mayReplace && r.req.Overwrite != OverwriteNever) {
		r.folderAttr(ctx, f.name, r.attr(e.Size, e.Mode, e.Mtime, e.Atime))
	}
	r.commit.push(&sealedFile{id: e.ID, rec: r.record(e), again: f.again})
	return nil
}

// folderAttr keeps the attributes of a folder for the end, or sets them at once if too many are kept.
func (r *receiver) folderAttr(ctx context.Context, name string, a Attr) {
	r.mu.Lock()
	_, known := r.dirs[name]
	keep := known || r.dirBytes+len(name) <= maxDirBytes
	if keep {
		if r.dirs == nil {
			r.dirs = make(map[string]Attr)
		}
		if !known {
			r.dirBytes += len(name) + 64
		}
		r.dirs[name] = a
	}
	r.mu.Unlock()
	if !keep {
		r.setFolder(ctx, name, a)
	}
}

func (r *receiver) setFolder(ctx context.Context, name string, a Attr) {
	if err := r.store.SetAttr(ctx, name, a); err != nil {
		r.log.Warn("attributes of a folder not set", "folder", name, "err", err)
	}
}

func (r *receiver) link(ctx context.Context, f *rfile) error {
	e := &f.ent
	if r.req.Symlinks != SymlinksCopy && r.req.Symlinks != SymlinksCopyForce {
		return errors.New("a link, but links were not asked for")
	}
	// Below the destination, by the letter: the store itself only keeps links from leaving its root, and makes none in a
	// folder that is reached by a link.
	if !linkStays(e.Name, e.Target) {
		return r.reject(ctx, f, failf(CodeBadPath, e.Name, "link refused: its target leads out of the destination"))
	}
	force := (r.req.Symlinks == SymlinksCopyForce || r.req.Overwrite == OverwriteAlways) && r.mayReplace
	err := r.store.Symlink(ctx, e.Target, f.name, force)
	if err != nil {
		se := storeError(CodeDiskWrite, "make link", e.Name, err)
		if se.Code != CodeAlreadyExists {
			return r.reject(ctx, f, se)
		}
		if t, rerr := r.store.Readlink(ctx, f.name); rerr != nil || t != e.Target {
			r.skip(f)
			return nil
		}
	}
	r.commit.push(&sealedFile{id: e.ID, rec: r.record(e), again: f.again})
	return nil
}

// linkStays says whether a link of that name and target stays below the destination, whatever other links there
// are. Behind a name, ".." would be taken from where that name leads, if it is a link; so it may only come first.
func linkStays(name, target string) bool {
	dir, _ := splitName(name)
	if strings.HasPrefix(target, "/") || !filepath.IsLocal(filepath.FromSlash(path.Join(dir, target))) {
		return false
	}
	down := false
	for part := range strings.SplitSeq(target, "/") {
		if part == ".." && down {
			return false
		}
		down = down || part != ".." && part != "." && part != ""
	}
	return true
}

// attr is what a new file or folder gets under the options of the job.
func (r *receiver) attr(size int64, mode uint32, mtime, atime int64) Attr {
	a := Attr{Size: size, Mode: mode & 0o777, Exact: r.has(flagMode)}
	if r.has(flagMtime) || r.extents != nil { // in an object store it is metadata that costs nothing, and tells versions apart
		a.Mtime = mtime
	}
	if r.has(flagAtime) && atime != 0 {
		a.Atime = atime
		if a.Mtime == 0 {
			a.Mtime = time.Now().UnixNano()
		}
	}
	return a
}

// ended takes the last totals: every id up to LastID has been announced by now, or comes in a pack.
func (r *receiver) ended(t *totals) error {
	r.rep.scanned.Store(true)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.end != nil {
		return errors.New("the end comes twice")
	}
	if len(r.parked) > 0 {
		return errors.New("blocks of files that were never announced")
	}
	for id := range r.files {
		if id > t.LastID {
			return fmt.Errorf("file %d beyond the last", id)
		}
	}
	r.end = t
	r.checkDone()
	return nil
}

// checkDone notes when nothing is left to settle. r.mu is held.
func (r *receiver) checkDone() {
	if r.end == nil || r.isDone || r.resolved.count() < r.end.LastID {
		return
	}
	r.isDone = true
	close(r.done)
}

// settle marks an id as done with, one way or the other, and puts the record that says so; typ 0 puts
// none. It returns false if the id was settled before.
func (r *receiver) settle(id uint64, final string, typ uint64, body []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	fresh, _ := r.resolved.add(id)
	if !fresh {
		return false
	}
	if typ != 0 {
		r.out.put(typ, body) // before anybody can find that nothing is left and says done
	}
	if f := r.files[id]; f != nil {
		r.nameBytes -= len(f.ent.Name)
		if f.ent.Kind == kindFile && !f.ent.Small {
			r.large--
		}
		delete(r.files, id)
	}
	delete(r.names, final)
	r.checkDone()
	return true
}

// announced counts an announcement with a name of n bytes. It returns how many stand, or more than
// maxUnresolved if their names take too much.
func (r *receiver) announced(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nameBytes += n
	if r.nameBytes > maxNameBytes {
		return maxUnresolved + 1
	}
	return len(r.files) + 1
}

// claimName reserves a final name; false while another file of this session is on its way to it.
func (r *receiver) claimName(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.names[name]; taken {
		return false
	}
	r.names[name] = struct{}{}
	return true
}

// freeName gives a claim back.
func (r *receiver) freeName(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.names, name)
}

// record begins what is reported of f.
func (f *rfile) record() FileRecord {
	rec := f.r.record(&f.ent)
	rec.Offset, rec.Whole = f.slice.Off, f.slice.Whole
	f.mu.Lock()
	rec.Size = f.size
	f.mu.Unlock()
	if rec.Size == streamSize {
		rec.Size = 0
	}
	return rec
}

// record describes an entry for events.
func (r *receiver) record(e *entry) FileRecord {
	return FileRecord{Name: e.Name, Size: e.Size, Mtime: e.Mtime, Folder: e.Kind == kindDir, Link: e.Kind == kindLink}
}

// reject fails a file at this end. It returns an error only if the session cannot go on.
func (r *receiver) reject(ctx context.Context, f *rfile, err *Error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx) // the session fails, not the file: abandon keeps what is there
	}
	f.drop(ctx, err.Code)
	return r.rejectID(f.ent.ID, f.finalName(), f.record(), err)
}

// maxNoSpace is how many files in a row may find the disk full before the session is given up.
const maxNoSpace = 3

// rejectID is reject for what has no rfile.
func (r *receiver) rejectID(id uint64, final string, rec FileRecord, err *Error) error {
	text := err.Error()
	if err.Err != nil {
		text = err.Err.Error()
	}
	if !r.settle(id, final, recFileError, (&failure{ID: id, Code: err.Code, Text: text}).encode()) {
		return nil
	}
	rec.Code, rec.Error = err.Code, text
	r.mem.add(rec.Name)
	r.rep.file(EventFileFailed, rec)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err.Code != CodeNoSpace {
		return nil
	}
	r.noSpace++
	if r.noSpace >= maxNoSpace {
		return &Error{Code: CodeNoSpace, Op: "write", Err: err.Err}
	}
	return nil
}

// skip settles a file whose destination keeps what it has.
func (r *receiver) skip(f *rfile) {
	if r.settle(f.ent.ID, f.finalName(), recSkip, encodeIDs([]span{{f.ent.ID, 1}})) && !f.again {
		r.skipped(f.record())
	}
}

func (r *receiver) skipped(rec FileRecord) {
	if !rec.Folder && !rec.Link {
		r.rep.bytesDone.Add(rec.Size)
	}
	r.mem.add(rec.Name)
	r.rep.file(EventFileSkipped, rec)
}

// failed takes the sender's word that a file will not come.
func (r *receiver) failed(ctx context.Context, e *failure) error {
	f, settled := r.known(e.ID)
	if settled {
		return nil // we gave it up at the same time
	}
	if e.ID == 0 || !r.resolved.fits(e.ID, 0) {
		return fmt.Errorf("file id %d lies outside the window", e.ID)
	}
	rec := FileRecord{Name: printable(e.Name)}
	name := ""
	if f != nil {
		rec = f.record()
		f.drop(ctx, CodeDiskRead)
		name = f.finalName()
	}
	if !r.settle(e.ID, name, 0, nil) {
		return nil
	}
	rec.Code, rec.Error = e.Code, printable(e.Text)
	r.mem.add(rec.Name)
	r.rep.file(EventFileFailed, rec)
	return nil
}

// conclude ends the session well: attributes of folders, durable, confirmed, said.
func (r *receiver) conclude(ctx context.Context) error {
	select {
	case <-r.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	// Deepest first: setting a folder's times must be the last change in it.
	dirs := slices.Collect(maps.Keys(r.dirs))
	sort.Slice(dirs, func(i, j int) bool {
		return strings.Count(dirs[i], "/") > strings.Count(dirs[j], "/")
	})
	for _, name := range dirs {
		r.setFolder(ctx, name, r.dirs[name])
	}
	if r.durability() != DurabilityNone && len(r.dirs) > 0 {
		if err := r.store.Flush(ctx); err != nil {
			return storeError(CodeDiskWrite, "sync", "", err)
		}
	}
	r.out.put(recDone, (&done{
		Confirmed: uint64(r.rep.filesDone.Load()), Skipped: uint64(r.rep.filesSkipped.Load()),
		Failed: uint64(r.rep.filesFailed.Load()),
	}).encode())
	r.said = true
	if err := r.out.flushed(ctx); err != nil {
		return err
	}
	if err := r.sess.Drained(ctx); err != nil {
		return err
	}
	return errFinished
}
