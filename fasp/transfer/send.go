package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/tradewind-io/tradewind/fasp"
)

// sendMode says how the sender treats files (docs/protocol-transfer.md section 24.1).
//
//	optimistic, ask --answer: fresh--> stream
//	optimistic --answer: not fresh--> ask
type sendMode uint8

const (
	modeAsk        sendMode = iota // announce, and send what the receiver wants
	modeOptimistic                 // send; the answer to the request is on its way
	modeStream                     // send; the destination holds nothing
)

// Windows of the sender (section 24).
const (
	smallFile      = 64 << 10 // files up to this size ride in packs
	maxUnresolved  = 1 << 16  // files, folders and links announced or sent and not yet settled
	maxNameBytes   = 16 << 20 // bytes of their names
	askAheadSmall  = 4096     // small files announced and not yet sent
	askAheadBig    = 512      // others; each may hold a file open at the receiver
	streamAhead    = 1024     // small files queued for packing
	streamAheadBig = 64       // others queued for reading
	totalsEvery    = 1000     // files between two totals records
)

// sender is the sending side of a session.
type sender struct {
	job
	sources   []source
	srcBase   string
	workers   int
	blockSize int
	smallMax  int64

	small *fifo[*sfile]
	big   *fifo[*sfile]

	squeezer squeezer

	mu       sync.Mutex // protects the rest, and the fields of sfile that say so
	mode     sendMode
	rule     *partRule         // how the destination takes files; nil until it has said so
	tell     bool              // the receiver learns where each file stands in our store, and may take it from there
	pages    uint64            // of the destination's memory that were opened (docs/protocol-transfer.md section 29.2)
	noList   bool              // folders may not be listed: each fails
	files    map[uint64]*sfile // announced or sent, not settled
	lastID   uint64
	ended    bool          // End was put
	names    int           // bytes of the names in files
	aheadS   int           // small files announced or queued, not sent
	aheadB   int           // other files
	changed  chan struct{} // closed and replaced when a window moves; nil while nobody waits
	resolved idSet
}

// sfile is a file, folder or link on its way.
type sfile struct {
	id     uint64
	found        // name, path and so on
	slice  Slice // of a divided file; info.Size is that of the slice then
	kind   kind
	small  bool
	block  int
	stream bool // the size shows at the end only
	again  bool // a folder that an earlier session of this run made: its times are still to be set

	// protected by sender.mu
	asked    bool // waits for the receiver's answer
	queued   bool
	sent     bool // all of it was handed to the transport
	stopped  bool // settled: nothing more is to be sent
	have     []span
	haveDone bool
	part     int64 // size of the parts that the receiver goes on with, 0 = by the rule
	cmp      *compare
	bytes    int64 // content handed to the transport
	resumed  int64
	missing  int // slices of the file that are not there, as the receiver says
	digest   []byte
	length   int64 // of a stream, as far as it was read
}

func newSender(j job, sources []source, srcBase string, mode sendMode, workers int) *sender {
	bs := int(j.req.BlockSize)
	s := &sender{
		job: j, sources: sources, srcBase: srcBase, mode: mode, workers: workers, blockSize: bs,
		smallMax: int64(min(smallFile, bs/2)),
		small:    newFifo[*sfile](), big: newFifo[*sfile](), files: make(map[uint64]*sfile),
	}
	s.squeezer.agreed(CompressionOff)
	return s
}

// run sends everything and returns nil when the receiver has settled it all. first handles records that
// are not the receiver's, such as the answer; it may be nil.
func (s *sender) run(ctx context.Context, first func(typ uint64, body []byte) (bool, error)) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.out.run(ctx, s.sess) })
	g.Go(func() error { return s.dispatch(ctx) })
	g.Go(func() error { return s.receive(ctx, first) })
	packers := s.workers
	if p, ok := s.store.(PartStore); ok {
		packers = max(packers, p.Parallel()) // a small object is a request, which takes its time and none of ours
	}
	for range packers {
		g.Go(func() error { return s.packLoop(ctx) })
	}
	for range s.workers {
		g.Go(func() error { return s.fileLoop(ctx) })
	}
	err := g.Wait()
	if errors.Is(err, errFinished) {
		return nil
	}
	return err
}

// dispatch walks the sources and gives each file its id and its way.
func (s *sender) dispatch(ctx context.Context) error {
	names, err := destNames(s.sources, s.srcBase)
	if err != nil {
		return err
	}
	ch := make(chan found, 256)
	g, gctx := errgroup.WithContext(ctx)
	w := &walker{
		store: s.store, links: s.req.Symlinks, filters: s.req.Filters, special: s.has(flagSkipSpecial), noList: s.noList,
		emit: func(ctx context.Context, f found) error {
			select {
			case ch <- f:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		},
	}
	g.Go(func() error {
		defer close(ch)
		return w.run(gctx, s.sources, names)
	})
	g.Go(func() error {
		for f := range ch {
			if err := s.admit(gctx, f); err != nil {
				return err
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return err
	}
	s.mu.Lock()
	s.ended = true
	last := s.lastID
	s.mu.Unlock()
	s.rep.scanned.Store(true)
	s.out.put(recEnd, s.totals(last).encode())
	return nil
}

func (s *sender) totals(last uint64) *totals {
	return &totals{LastID: last, Files: uint64(s.rep.filesTotal.Load()), Bytes: uint64(s.rep.bytesTotal.Load())}
}

// admit decides what becomes of one thing that was found.
func (s *sender) admit(ctx context.Context, f found) error {
	again := s.mem.has(f.name)
	if again && !(f.err == nil && f.info.Mode.IsDir() && s.has(flagMtime|flagMode)) {
		return nil // settled by an earlier session of this run, and counted there
	}
	slice := Slice{}
	if f.err == nil && f.info.Mode.IsRegular() {
		slice = s.req.slice(f.info.Size, f.info.Mtime)
	}
	switch {
	case slice.divided() && slice.Len == 0:
		return nil // there are fewer slices than parts
	case slice.divided():
		f.info.Size = slice.Len
	case f.err == nil && !f.info.Mode.IsDir() && !s.req.Part.has(f.name):
		return nil // of another part; the folders are everybody's
	}
	file := &sfile{found: f, slice: slice, block: blockSizeFor(f.info.Size, s.blockSize), again: again}
	switch {
	case f.err != nil:
	case f.info.Mode.IsDir():
		file.kind = kindDir
	case f.info.Mode&fs.ModeSymlink != 0:
		file.kind = kindLink
	default:
		file.stream = f.info.Size < 0
		file.small = !file.stream && !slice.divided() && f.info.Size <= s.smallMax
	}
	if file.stream {
		file.block = max(file.block, streamBlock)
	}
	if err := s.room(ctx, file); err != nil {
		return err
	}
	if err := s.out.wait(ctx); err != nil {
		return err
	}
	isFile := file.kind == kindFile && f.err == nil
	if isFile {
		s.rep.filesTotal.Add(1)
		s.rep.bytesTotal.Add(max(f.info.Size, 0))
	}

	s.mu.Lock()
	s.lastID++
	id := s.lastID
	file.id = id
	file.asked = isFile && s.mode == modeAsk
	s.files[id] = file
	s.names += len(file.name)
	announce := !file.small || file.asked
	file.sent = !isFile
	direct := isFile && !file.asked // queued here; otherwise the answer queues it, perhaps before this returns
	file.queued = direct
	if isFile && file.small {
		s.aheadS++
	} else if isFile {
		s.aheadB++
	}
	s.mu.Unlock()

	if f.err != nil {
		s.failFile(file, f.err)
		return nil
	}
	if announce {
		e := file.entry(s.has(flagAtime))
		if s.tell && file.kind == kindFile && !file.stream && !slice.divided() {
			e.Origin = file.path
		}
		s.out.putEntry(e)
	}
	if direct {
		s.enqueue(file)
	}
	if id%totalsEvery == 0 {
		s.out.put(recTotals, s.totals(id).encode())
	}
	return nil
}

func (f *sfile) entry(atime bool) *entry {
	e := &entry{
		ID: f.id, Kind: f.kind, Small: f.small, Name: f.name, Size: f.info.Size, Mode: uint32(f.info.Mode.Perm()),
		Mtime: f.info.Mtime, BlockSize: f.block, Target: f.link, Stream: f.stream,
		Sparse: f.sparse(),
	}
	if f.stream {
		e.Size = streamSize
	}
	if f.slice.divided() {
		e.Sliced, e.Size = true, f.slice.Whole
	}
	if atime {
		e.Atime = f.info.Atime
	}
	return e
}

// sparse says whether f may have holes that are not sent.
func (f *sfile) sparse() bool { return f.kind == kindFile && !f.small && !f.stream && f.info.Sparse }

func (s *sender) enqueue(f *sfile) {
	if f.small {
		s.small.push(f)
	} else {
		s.big.push(f)
	}
}

// room waits until the windows admit one more file.
func (s *sender) room(ctx context.Context, f *sfile) error {
	small := f.small
	for {
		s.mu.Lock()
		limit, n := streamAheadBig, s.aheadB
		switch {
		case small && s.mode == modeAsk:
			limit, n = askAheadSmall, s.aheadS
		case small:
			limit, n = streamAhead, s.aheadS
		case s.mode == modeAsk:
			limit = askAheadBig
		}
		if n < limit && len(s.files) < maxUnresolved && s.names+len(f.name) <= maxNameBytes && s.resolved.fits(s.lastID+1, idPage) {
			s.mu.Unlock()
			return nil
		}
		if err := s.awaitChange(ctx); err != nil {
			return err
		}
	}
}

// awaitChange lets go of s.mu, which is held, and waits until something of what it guards has changed.
func (s *sender) awaitChange(ctx context.Context) error {
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	ch := s.changed
	s.mu.Unlock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// moved wakes room. s.mu is held.
func (s *sender) moved() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// unqueue takes f out of the windows for files not yet sent. s.mu is held.
func (s *sender) unqueue(f *sfile) {
	if f.kind != kindFile || f.err != nil {
		return
	}
	if f.small {
		s.aheadS--
	} else {
		s.aheadB--
	}
	s.moved()
}

// markSent notes that all of f was handed over. It returns false if f was settled before.
func (s *sender) markSent(f *sfile) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.stopped {
		return false
	}
	if !f.sent {
		f.sent = true
		s.unqueue(f)
	}
	return true
}

// settle takes f out of the books; false if it was not in them.
func (s *sender) settle(f *sfile) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.stopped {
		return false
	}
	f.stopped = true
	if !f.sent {
		s.unqueue(f)
	}
	delete(s.files, f.id)
	s.names -= len(f.name)
	s.resolved.add(f.id)
	s.moved()
	return true
}

// failFile tells the receiver that f will not come, and reports it.
func (s *sender) failFile(f *sfile, err *Error) {
	if !s.settle(f) {
		return
	}
	text := err.Error()
	if err.Err != nil {
		text = err.Err.Error()
	}
	s.out.put(recFail, (&failure{ID: f.id, Code: err.Code, Name: f.name, Text: text}).encode())
	s.report(EventFileFailed, f, err.Code, text)
}

func (s *sender) report(k EventKind, f *sfile, code Code, text string) {
	if f.again && k != EventFileFailed {
		return
	}
	s.mu.Lock()
	bytes, resumed, digest, missing := f.bytes, f.resumed, f.digest, f.missing
	s.mu.Unlock()
	r := FileRecord{
		Name: f.name, Size: f.size(), BytesSent: bytes, BytesResumed: resumed, Mtime: f.info.Mtime,
		Folder: f.kind == kindDir, Link: f.kind == kindLink, Code: code, Error: text, Offset: f.slice.Off, Whole: f.slice.Whole, Missing: missing,
	}
	if len(digest) > 0 && k == EventFileDone {
		r.Checksum, r.Digest = s.req.Checksum, digest
	}
	if k != EventFileFailed && f.kind == kindFile {
		s.rep.bytesDone.Add(r.Size)
	}
	s.mem.add(f.name)
	s.rep.file(k, r)
}

// receive handles the receiver's records. It never waits for anything but the next message.
func (s *sender) receive(ctx context.Context, first func(uint64, []byte) (bool, error)) error {
	for {
		typ, body, err := s.in.next(ctx)
		if err != nil {
			var pe *fasp.PeerError
			if errors.As(err, &pe) && pe.Code == fasp.CodeDone && s.allSettled() {
				return errFinished // its close overtook its last record
			}
			return err
		}
		if first != nil {
			if taken, err := first(typ, body); taken || err != nil {
				if err != nil {
					return err
				}
				continue
			}
		}
		if err := s.handle(typ, body); err != nil {
			if !errors.Is(err, errFinished) {
				err = protocolError(err)
			}
			return err
		}
	}
}

// answered takes the receiver's word on its destination. Files announced before keep their way: a receiver
// that is asked answers for them.
func (s *sender) answered(a *answer) {
	fresh, rule := a.Flags&flagFresh != 0, a.Parts
	s.squeezer.agreed(a.Compression)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rule = &rule
	s.mode = modeAsk
	if fresh && !s.tell {
		s.mode = modeStream
	}
	s.moved()
}

func (s *sender) handle(typ uint64, body []byte) error {
	switch typ {
	case recWant:
		return s.eachID(body, s.wanted)
	case recSkip:
		return s.eachID(body, func(f *sfile) error {
			if s.settle(f) {
				s.report(EventFileSkipped, f, 0, "")
			}
			return nil
		})
	case recConfirm:
		return s.eachID(body, func(f *sfile) error {
			s.mu.Lock()
			sent := f.sent
			s.mu.Unlock()
			if !sent && !s.tell {
				return fmt.Errorf("file %d confirmed before it was sent", f.id)
			}
			if s.settle(f) {
				s.report(EventFileDone, f, 0, "")
			}
			return nil
		})
	case recHave:
		h, err := decodeHave(body)
		if err != nil {
			return err
		}
		return s.holds(h)
	case recCompare:
		c, err := decodeCompare(body)
		if err != nil {
			return err
		}
		return s.withFile(c.ID, func(f *sfile) error {
			s.mu.Lock()
			f.cmp = c
			s.mu.Unlock()
			return s.wanted(f)
		})
	case recWaits:
		w, err := decodeWaits(body)
		if err != nil {
			return err
		}
		return s.withFile(w.ID, func(f *sfile) error {
			if w.Missing < 1 || w.Missing >= f.slice.Count {
				return fmt.Errorf("file %d waits for %d slices, and has %d", w.ID, w.Missing, f.slice.Count)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			f.missing = w.Missing
			return nil
		})
	case recFileError:
		e, err := decodeFailure(body)
		if err != nil {
			return err
		}
		return s.withFile(e.ID, func(f *sfile) error {
			if s.settle(f) {
				s.report(EventFileFailed, f, e.Code, printable(e.Text))
			}
			return nil
		})
	case recDone:
		if _, err := decodeDone(body); err != nil {
			return err
		}
		if !s.allSettled() {
			return errors.New("done was said with files open")
		}
		return errFinished
	}
	return nil // unknown records are skipped (section 21.2)
}

// allSettled says whether everything was announced and has its final state.
func (s *sender) allSettled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended && len(s.files) == 0
}

// withFile calls fn for a file in the books. Ids that were settled before are skipped: the two sides may
// settle a file at the same time. Ids that never were are an error.
func (s *sender) withFile(id uint64, fn func(*sfile) error) error {
	s.mu.Lock()
	f, last := s.files[id], s.lastID
	s.mu.Unlock()
	if id == 0 || id > last {
		return fmt.Errorf("unknown file id %d", id)
	}
	if f == nil {
		return nil
	}
	return fn(f)
}

func (s *sender) eachID(body []byte, fn func(*sfile) error) error {
	spans, err := decodeIDs(body)
	if err != nil {
		return err
	}
	for _, r := range spans {
		s.mu.Lock()
		last := s.lastID
		s.mu.Unlock()
		if r.First == 0 || r.First+r.Count-1 > last {
			return fmt.Errorf("unknown file id %d", r.First+r.Count-1)
		}
		for id := r.First; id < r.First+r.Count; id++ {
			if err := s.withFile(id, fn); err != nil {
				return err
			}
		}
	}
	return nil
}

// wanted queues a file that waited for an answer.
func (s *sender) wanted(f *sfile) error {
	s.mu.Lock()
	ready := f.asked && !f.queued && !f.stopped
	if ready {
		f.queued = true
	}
	s.mu.Unlock()
	if ready {
		s.enqueue(f)
	}
	return nil
}

// holds notes blocks that the receiver has.
func (s *sender) holds(h *have) error {
	return s.withFile(h.ID, func(f *sfile) error {
		n := blockCount(f.info.Size, f.block)
		s.mu.Lock()
		for _, r := range h.Spans {
			end := uint64(0)
			if k := len(f.have); k > 0 {
				end = f.have[k-1].First + f.have[k-1].Count
			}
			if f.haveDone || f.stream || r.First < end || r.First+r.Count > uint64(n) {
				s.mu.Unlock()
				return fmt.Errorf("file %d: impossible block range", h.ID)
			}
			f.have = append(f.have, r)
		}
		f.haveDone = !h.More
		f.part = h.Part
		done := f.haveDone
		s.mu.Unlock()
		if done {
			return s.wanted(f)
		}
		return nil
	})
}

// streamBlock is the least size of the blocks of a stream, whose number is not known when it begins.
const streamBlock = 512 << 10

// size is what is known of the file's size: that of a stream counts what was sent.
func (f *sfile) size() int64 {
	if f.stream {
		return f.length
	}
	return f.info.Size
}

// blockCount returns how many blocks a file of size bytes has.
func blockCount(size int64, block int) int64 {
	return (size + int64(block) - 1) / int64(block)
}

// blockSizeFor raises the block size for very large files, so that hashes and checkpoints of one file stay
// within a few megabytes: at most 2^17 blocks up to the size where blocks are as large as they can be.
func blockSizeFor(size int64, base int) int {
	for size/int64(base) >= 1<<17 && base < maxBlockSize {
		base = min(2*base, maxBlockSize)
	}
	return base
}

// printable makes text from a peer safe to print.
func printable(s string) string {
	b := []rune(s)
	for i, r := range b {
		if r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 {
			b[i] = '.'
		}
	}
	return string(b)
}
