package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/tradewind-io/tradewind/objstore"
)

// bucketTarget is an object on its way into a store. Its blocks gather in parts; a part that is whole is uploaded while
// others still arrive. An object of one part is put when it is published.
//
//	gathering --all bytes of a part--> uploading --the store has it--> gone from memory
type bucketTarget struct {
	s     *BucketStore
	name  string
	key   string
	attr  Attr
	plan  objstore.Plan // changed before the first WriteAt only
	own   objstore.Plan // by the rule; plan is another one's where an upload is gone on with
	watch func(int, int64, error)

	ctx    context.Context // of uploads, which outlive the call that began them
	cancel context.CancelFunc
	begin  chan struct{} // whoever begins the upload holds the one token
	saved  []byte        // the checkpoint that an earlier target left
	had    int64         // bytes of parts that it left

	mu      sync.Mutex // protects the rest
	w       *objstore.Writer
	parts   map[int]*gathering
	size    int64 // -1 while it is not known
	top     int   // highest part that bytes came for
	next    int   // parts that were uploaded: the number of the next where they go in order
	running int
	moved   chan struct{} // closed and replaced when an upload ends
	err     error         // the first failure of a part
	closed  bool
}

// gathering is a part in memory. It is read by uploads only when it is whole, and not written any more then.
type gathering struct {
	off   int64
	block int64
	segs  []*[]byte // by block; nil where nothing came yet
	have  int64
	begun bool
}

// ReadAt implements io.ReaderAt for the bodies of uploads.
func (g *gathering) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) && off < g.have {
		i := off / g.block
		k := copy(p[n:], (*g.segs[i])[off-i*g.block:])
		n += k
		off += int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Create implements Store.
func (s *BucketStore) Create(ctx context.Context, name string, a Attr) (Target, error) {
	if a.Block <= 0 {
		return nil, errors.New("BUG: transfer: an object needs the size of its blocks")
	}
	rule := ruleOf(s)
	size := a.Size
	if size < 0 {
		size = streamSize
	}
	plan, err := rule.plan(size, a.Block)
	if err != nil {
		return nil, err
	}
	if err := s.claim(name); err != nil {
		return nil, err
	}
	t := &bucketTarget{
		s: s, name: name, key: s.tree.Key(name), attr: a, plan: plan, own: plan, begin: make(chan struct{}, 1), size: a.Size,
		parts: make(map[int]*gathering), moved: make(chan struct{}),
	}
	t.ctx, t.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if !t.single() && a.Size >= 0 && s.b.Caps().Resume {
		if err := t.resume(ctx); err != nil {
			t.cancel()
			s.unclaim(name)
			return nil, err
		}
	}
	return t, nil
}

// single says whether the object is put in one request. t.mu is held, or t is not shared yet.
func (t *bucketTarget) single() bool {
	c := t.s.b.Caps()
	return t.size >= 0 && t.size <= t.plan.PartSize(0) && (c.MaxPut == 0 || t.size <= c.MaxPut)
}

// Plan implements PartTarget.
func (t *bucketTarget) Plan() objstore.Plan { return t.plan }

// Watch implements PartTarget.
func (t *bucketTarget) Watch(fn func(int, int64, error)) { t.watch = fn }

// Partial implements Target.
func (t *bucketTarget) Partial() int64 { return t.had }

// Holds implements PartTarget.
func (t *bucketTarget) Holds(off, n int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.w != nil && n > 0 && t.w.Has(t.plan.At(off)) && t.plan.At(off+n-1) == t.plan.At(off)
}

// partSize is how large part n is, as far as is known. t.mu is held.
func (t *bucketTarget) partSize(n int) int64 {
	size := t.plan.PartSize(n)
	if t.size >= 0 {
		size = min(size, t.size-t.plan.Offset(n))
	}
	return size
}

// WriteAt implements io.WriterAt: p is one block.
func (t *bucketTarget) WriteAt(p []byte, off int64) (int, error) {
	n := t.plan.At(off)
	seg := t.s.buffer(t.attr.Block)
	*seg = (*seg)[:copy((*seg)[:cap(*seg)], p)]
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil || t.closed {
		t.s.recycle(seg)
		if t.err != nil {
			return 0, t.err
		}
		return 0, objstore.ErrClosed
	}
	g := t.parts[n]
	if g == nil {
		g = &gathering{off: t.plan.Offset(n), block: int64(t.attr.Block)}
		t.parts[n] = g
	}
	i := int((off - g.off) / g.block)
	for len(g.segs) <= i {
		g.segs = append(g.segs, nil)
	}
	if g.segs[i] != nil || len(*seg) != len(p) {
		t.s.recycle(seg)
		return 0, fmt.Errorf("BUG: transfer: block at %d of %d bytes does not fit", off, len(p))
	}
	g.segs[i] = seg
	g.have += int64(len(p))
	t.top = max(t.top, n)
	t.launch()
	return len(p), nil
}

// launch begins to upload parts that are whole. Of an object whose size is not known, the newest part waits: it may turn
// out to be the last, which some stores must be told. t.mu is held.
func (t *bucketTarget) launch() {
	if t.single() {
		return
	}
	for n, g := range t.parts {
		if g.begun || g.have < t.partSize(n) || t.size < 0 && n == t.top {
			continue
		}
		if t.s.b.Caps().Ordered && (n != t.next || t.running > 0) {
			continue
		}
		g.begun = true
		t.running++
		last := t.size >= 0 && g.off+g.have == t.size
		go t.upload(n, g, last)
	}
}

// upload gives a part to the store and takes it out of memory.
func (t *bucketTarget) upload(n int, g *gathering, last bool) {
	w, err := t.writer(t.ctx)
	if err == nil {
		err = w.PutPart(t.ctx, n, last, g, g.have)
	}
	t.mu.Lock()
	delete(t.parts, n)
	if err != nil && t.err == nil {
		t.err = err
	}
	t.mu.Unlock()
	t.free(g)
	t.watch(n, g.have, err)
	t.mu.Lock()
	t.running--
	t.next++
	if t.err == nil && !t.closed {
		t.launch()
	}
	close(t.moved)
	t.moved = make(chan struct{})
	t.mu.Unlock()
}

// free recycles the memory of a part that nobody reads or writes any more.
func (t *bucketTarget) free(g *gathering) {
	for _, seg := range g.segs {
		if seg != nil {
			t.s.recycle(seg)
		}
	}
	g.segs = nil
}

// writer returns the upload, which the first call begins.
func (t *bucketTarget) writer(ctx context.Context) (*objstore.Writer, error) {
	select {
	case t.begin <- struct{}{}:
		defer func() { <-t.begin }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	t.mu.Lock()
	w, attr := t.w, t.attr // which Seal may change meanwhile
	t.mu.Unlock()
	if w != nil {
		return w, nil
	}
	limits := t.s.Parts()
	w, err := t.s.b.Create(ctx, t.key, objstore.CreateOptions{
		PutOptions: objstore.PutOptions{Attr: objectAttr(attr)}, Size: attr.Size, PartSize: t.s.b.PartSize(), Align: int64(attr.Block),
		MaxPart: limits.maxPart(),
	})
	if err != nil {
		return nil, err
	}
	if w.Upload().Plan != t.plan {
		return nil, errors.Join(errors.New("BUG: transfer: the upload is cut otherwise than was said"), t.undo(ctx, w))
	}
	// First the note that lets others find the upload, then its parts.
	if err := t.saveControl(ctx, w, nil); err != nil {
		return nil, errors.Join(err, t.undo(ctx, w))
	}
	t.mu.Lock()
	t.w = w
	t.mu.Unlock()
	return w, nil
}

// undo removes an upload that was begun and goes no further, and its note, of which the store may have taken something. That ctx has ended may be why:
// the file was given up meanwhile, and nobody else knows of the upload.
func (t *bucketTarget) undo(ctx context.Context, w *objstore.Writer) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTime)
	defer cancel()
	return errors.Join(w.Abort(ctx), t.dropControl(ctx))
}

// wait returns when no part is being uploaded any more.
func (t *bucketTarget) wait(ctx context.Context) error {
	for {
		t.mu.Lock()
		running, moved, err := t.running, t.moved, t.err
		t.mu.Unlock()
		if running == 0 || err != nil {
			return err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ReadAt implements Target; what a store has of an open upload cannot be read.
func (t *bucketTarget) ReadAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }

// Sync implements Target; the store's own list says which parts are durable.
func (t *bucketTarget) Sync(context.Context) error { return nil }

// Seal implements Target.
func (t *bucketTarget) Seal(_ context.Context, a Attr, _ Sync) (Sealed, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.attr.Mtime = a.Mtime
	t.size = a.Size
	t.launch()
	return &bucketSealed{t}, t.err
}

// closeGrace is how long whole parts may go on being uploaded after the session that brought them has been lost.
const closeGrace = 5 * time.Second

// Close implements Target. The upload stays for a later Create; parts that are whole are still given to the store.
func (t *bucketTarget) Close() error {
	ctx, cancel := context.WithTimeout(t.ctx, closeGrace)
	defer cancel()
	_ = t.wait(ctx) // a part that does not get there comes again
	t.end()
	return nil
}

// end cancels what is under way, waits for its end and forgets what is in memory.
func (t *bucketTarget) end() {
	t.mu.Lock()
	closed := t.closed
	t.closed = true
	t.mu.Unlock()
	if closed {
		return
	}
	t.cancel()
	for {
		t.mu.Lock()
		running, moved := t.running, t.moved
		t.mu.Unlock()
		if running == 0 {
			break
		}
		<-moved // cancelled: it comes soon
	}
	t.mu.Lock()
	left := t.parts
	t.parts = make(map[int]*gathering)
	t.mu.Unlock()
	for n, g := range left {
		have := g.have
		t.free(g)
		t.watch(n, have, nil)
	}
	t.s.unclaim(t.name)
}

// Reset implements Target.
func (t *bucketTarget) Reset(ctx context.Context) error {
	t.mu.Lock()
	w := t.w
	t.w, t.saved, t.had, t.plan = nil, nil, 0, t.own
	t.mu.Unlock()
	if w == nil {
		return nil
	}
	return errors.Join(w.Abort(ctx), t.dropControl(ctx))
}

// Discard implements Target.
func (t *bucketTarget) Discard(ctx context.Context) error {
	t.end()
	return t.Reset(ctx)
}

// bucketSealed is an object of which all bytes are here or in the store.
type bucketSealed struct{ t *bucketTarget }

// Publish implements Sealed.
func (p *bucketSealed) Publish(ctx context.Context, _ Sync, replace bool) error {
	t := p.t
	opts := objstore.PutOptions{Attr: objectAttr(t.attr), IfAbsent: !replace}
	t.mu.Lock()
	single, g := t.single(), t.parts[0]
	t.mu.Unlock()
	if single {
		if g == nil {
			g = &gathering{block: 1}
		}
		if _, err := t.s.b.Put(ctx, t.key, g, t.size, opts); err != nil {
			return err
		}
		t.end()
		return nil
	}
	if err := t.wait(ctx); err != nil {
		return err
	}
	w, err := t.writer(ctx)
	if err != nil {
		return err
	}
	w.SetIfAbsent(!replace)
	if _, err := w.Complete(ctx, t.size); err != nil {
		return err
	}
	t.end()
	// The object is there. A note that stays is found stale by whoever looks at it next.
	return t.dropControl(ctx)
}

// Discard implements Sealed.
func (p *bucketSealed) Discard(ctx context.Context) error { return p.t.Discard(ctx) }

// Keep leaves the upload for a later Create.
func (p *bucketSealed) Keep(context.Context) error { return p.t.Close() }
