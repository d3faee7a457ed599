package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// CreateOptions is how an upload is made.
type CreateOptions struct {
	PutOptions
	// Size of the object in bytes; below 0 = not known yet. Zero is an empty object.
	Size int64
	// PartSize is how large parts should be, in bytes; 0 = Config.PartSize.
	PartSize int64
	// Align, in bytes, divides the size of every part but the last; 0 = 1.
	Align int64
	// MaxPart bounds the size of parts in bytes, beside what the platform takes; 0 = no other bound. An object that would
	// need larger ones is refused.
	MaxPart int64
}

// Writer is an upload under way. It puts parts in any order, unless the platform is Ordered, and makes the object of them.
// An upload that is neither completed nor aborted stays at the store and can be resumed. Methods may be called by several
// goroutines at once; they keep nothing of what they are given.
type Writer struct {
	b       *Bucket
	u       Upload
	o       PutOptions
	begun   time.Time    // by our clock; zero for a resumed upload
	waiting atomic.Int32 // parts that wait for the limiter

	mu     sync.Mutex // protects the rest
	parts  map[int]Part
	active map[*activePart]struct{} // PutPart calls
	idle   chan struct{}            // made by who waits for active to be empty; closed then
	// relist says that ETags may not be what the store has, because two requests for one part overlapped or may have.
	relist bool
	state  writerState
	object Object // in writerMade
}

// writerState says what is becoming of an upload:
//
//	open <-> making -> made
//	  |         |
//	  v         v
//	aborting -> aborted
//
// Parts are put in open only. An abort that failed can be asked for again.
type writerState uint8

const (
	writerOpen writerState = iota
	writerMaking
	writerMade
	writerAborting
	writerAborted
)

type activePart struct {
	n      int
	cancel context.CancelCauseFunc
}

// Create plans an upload and begins it. The error says so if the platform cannot take an object of that size.
func (b *Bucket) Create(ctx context.Context, key string, o CreateOptions) (*Writer, error) {
	const op = "begin upload"
	plan, err := b.plan(op, key, o)
	if err != nil {
		return nil, err
	}
	return b.create(ctx, key, o, plan)
}

// plan cuts an object into parts.
func (b *Bucket) plan(op, key string, o CreateOptions) (Plan, error) {
	if err := b.checkKey(op, key); err != nil {
		return Plan{}, err
	}
	want := o.PartSize
	if want <= 0 {
		want = b.cfg.PartSize
	}
	caps := b.caps
	if o.MaxPart > 0 && (caps.MaxPart <= 0 || o.MaxPart < caps.MaxPart) {
		caps.MaxPart = o.MaxPart
	}
	plan, err := caps.Plan(max(o.Size, -1), want, o.Align)
	var e *Error
	if errors.As(err, &e) {
		named := *e
		named.Key = key
		err = &named
	}
	return plan, err
}

func (b *Bucket) create(ctx context.Context, key string, o CreateOptions, plan Plan) (*Writer, error) {
	const op = "begin upload"
	if err := b.lookFirst(ctx, op, key, o.PutOptions); err != nil {
		return nil, err
	}
	begun := time.Now()
	u := Upload{Key: key, Size: max(o.Size, -1), Plan: plan}
	err := b.retry(ctx, op, key, func(ctx context.Context) error {
		got, err := b.drv.Begin(ctx, u, o.PutOptions)
		if err == nil {
			u.ID = got.ID
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	w := b.writer(u, o.PutOptions)
	w.begun = begun
	return w, nil
}

func (b *Bucket) writer(u Upload, o PutOptions) *Writer {
	return &Writer{b: b, u: u, o: o, parts: make(map[int]Part), active: make(map[*activePart]struct{})}
}

// Resume goes on with an upload that this or another process began; o is as it was then. The store's list of parts says
// what is there. A part of a size that the plan does not give it counts as missing. NoUpload if the upload is not there.
func (b *Bucket) Resume(ctx context.Context, u Upload, o PutOptions) (*Writer, error) {
	const op = "resume upload"
	switch {
	case !b.caps.Resume:
		return nil, &Error{Op: op, Key: u.Key, Kind: Unsupported}
	case u.Key == "" || u.ID == "" || u.Size < -1 || !u.Plan.Valid():
		return nil, &Error{Op: op, Key: u.Key, Kind: Invalid, Err: errors.New("what was kept of the upload is damaged")}
	}
	w := b.writer(u, o)
	if err := w.list(ctx, op); err != nil {
		return nil, err
	}
	return w, nil
}

// list makes w.parts what the store has.
func (w *Writer) list(ctx context.Context, op string) error {
	var list []Part
	err := w.b.retry(ctx, op, w.u.Key, func(ctx context.Context) (err error) {
		list, err = w.b.drv.Parts(ctx, w.u)
		return err
	})
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.parts)
	for _, p := range list {
		if w.fits(p) {
			w.parts[p.N] = p
		}
	}
	return nil
}

// fits says whether a part has the size that the plan gives it. The last one of an object of unknown size may be shorter.
func (w *Writer) fits(p Part) bool {
	if p.N < 0 || p.N >= w.maxParts() {
		return false
	}
	_, size := w.u.Spec(p.N)
	return p.Size == size || w.u.Size < 0 && p.Size < size
}

// maxParts is how many parts the upload can have at most.
func (w *Writer) maxParts() int {
	switch limit := w.b.caps.MaxParts; {
	case w.u.Size >= 0:
		return w.u.Plan.Count(w.u.Size)
	case limit > 0 && !w.ordered():
		return limit
	}
	return 1 << 31
}

// Upload returns what names the upload, to keep or to send elsewhere.
func (w *Writer) Upload() Upload { return w.u }

// Has says whether the store has part n, as far as this Writer knows.
func (w *Writer) Has(n int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.parts[n]
	return ok
}

// Parts returns the parts that the store has, as far as this Writer knows, ascending by N.
func (w *Writer) Parts() []Part {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.SortedFunc(maps.Values(w.parts), func(a, b Part) int { return a.N - b.N })
}

// PutPart stores part n, from 0, of size bytes. size must be what the upload's plan says; last says that the object ends
// in this part, which may then be shorter, and need not be said where Upload.Size is known. It is tried again and hedged,
// under the limit of the Bucket, and may be called for a part that is there already. body is not read after PutPart has
// returned, and a body that is too short or cannot be read is an error that is not tried again. On an Ordered platform
// part n must be put when parts 0 to n-1 have been.
func (w *Writer) PutPart(ctx context.Context, n int, last bool, body io.ReaderAt, size int64) error {
	op := fmt.Sprintf("put part %d", n)
	spec, err := w.check(op, n, last, size)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a := &activePart{n: n, cancel: cancel}
	if err := w.begin(op, a); err != nil {
		return err
	}
	defer w.end(a)

	r := newRetrier(w.b.cfg.RetryTimeout)
	for {
		w.waiting.Add(1)
		turn, err := w.b.limiter.acquire(ctx)
		w.waiting.Add(-1)
		if err == nil {
			var p Part
			p, err = w.tryPart(ctx, op, spec, body, size, turn)
			if err == nil {
				w.mu.Lock()
				w.parts[n] = p
				w.mu.Unlock()
				return nil
			}
		}
		if err := w.b.again(ctx, r, op, w.u.Key, err); err != nil {
			return err
		}
		// The failed request may still be at work at the store, and end after the next.
		w.mu.Lock()
		w.relist = true
		w.mu.Unlock()
	}
}

// check says what part n is, and whether it can have that size.
func (w *Writer) check(op string, n int, last bool, size int64) (spec PartSpec, err error) {
	invalid := func(format string, args ...any) (PartSpec, error) {
		return PartSpec{}, &Error{Op: op, Key: w.u.Key, Kind: Invalid, Err: fmt.Errorf(format, args...)}
	}
	if n < 0 || n >= w.maxParts() {
		return invalid("the upload has at most %d parts", w.maxParts())
	}
	spec, want := w.u.Spec(n)
	switch {
	case w.u.Size >= 0 && last && !spec.Last:
		return invalid("it cannot be the last of an object of %d bytes", w.u.Size)
	case w.u.Size < 0 && last:
		if size < 0 || size > want || size == 0 && n > 0 {
			return invalid("it has %d bytes; the last part may have at most %d and none only in an empty object", size, want)
		}
		spec.Last = true
	case size != want:
		return invalid("it has %d bytes; the plan says %d", size, want)
	}
	if limit := w.b.caps.MaxObject; limit > 0 && spec.Off+size > limit {
		return invalid("the object becomes larger than the %d bytes that this storage takes", limit)
	}
	return spec, nil
}

// ordered says whether parts go one after the other.
func (w *Writer) ordered() bool { return w.b.caps.Ordered }

// begin notes that a part is being put.
func (w *Writer) begin(op string, a *activePart) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch w.state {
	case writerOpen:
	case writerMaking:
		return &Error{Op: op, Key: w.u.Key, Kind: Invalid, Err: errors.New("the upload is being completed")}
	default:
		return &Error{Op: op, Key: w.u.Key, Kind: Closed}
	}
	if w.ordered() {
		if next := len(w.parts); a.n != next || len(w.active) > 0 {
			return &Error{Op: op, Key: w.u.Key, Kind: Invalid, Err: fmt.Errorf("this storage takes parts one after the other, and part %d comes next", next)}
		}
	}
	for other := range w.active {
		w.relist = w.relist || other.n == a.n
	}
	w.active[a] = struct{}{}
	return nil
}

func (w *Writer) end(a *activePart) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.active, a)
	if len(w.active) == 0 && w.idle != nil {
		close(w.idle)
		w.idle = nil
	}
}

// Abort removes the upload and its parts. PutPart calls under way end with an error that matches ErrClosed, before
// anything is removed. After Complete has succeeded, or Abort, it does nothing.
func (w *Writer) Abort(ctx context.Context) error {
	w.mu.Lock()
	if w.state == writerMade || w.state == writerAborted {
		w.mu.Unlock()
		return nil
	}
	w.state = writerAborting
	for a := range w.active {
		a.cancel(&Error{Kind: Closed})
	}
	var idle chan struct{}
	if len(w.active) > 0 {
		if w.idle == nil {
			w.idle = make(chan struct{})
		}
		idle = w.idle
	}
	w.mu.Unlock()
	if idle != nil {
		// A part that is stored after the abort would stay there for ever. The calls were cancelled and end soon.
		<-idle
	}
	err := w.b.Abort(ctx, w.u)
	if err == nil {
		w.mu.Lock()
		w.state = writerAborted
		w.mu.Unlock()
	}
	return err
}
