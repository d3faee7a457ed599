package transfer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/objstore"
)

// hold enters the extent of a block that is about to be written to tgt into the books.
func (f *rfile) hold(tgt Target, h *blockHead) error {
	pt, ok := tgt.(PartTarget)
	if !ok {
		return nil
	}
	plan := pt.Plan()
	n := plan.At(h.Offset)
	from, size := plan.Offset(n), plan.PartSize(n)
	if !f.ent.Stream {
		size = min(size, f.ent.Size-from)
	}
	switch int64(h.Extent.pages) {
	case pagesOf(size): // of the whole part
	case pagesOf(int64(h.Raw)): // of this block alone
		from = h.Offset
	default:
		return protocolError(fmt.Errorf("file %d: a block of part %d takes %d extents", h.File, n, h.Extent.pages))
	}
	open, err := f.r.extents.take(h.File, from, h.Extent)
	if err != nil {
		return protocolError(err)
	}
	f.r.drain.came(int64(h.Raw))
	if !open {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.parts == nil {
		f.parts = make(map[int][]uint64)
	}
	list := f.parts[n]
	for _, last := range list {
		if last == h.Extent.last {
			return nil
		}
	}
	f.parts[n] = append(list, h.Extent.last)
	return nil
}

// partDone is told when a part does not stand in memory any more.
func (f *rfile) partDone(n int, size int64, err error) {
	f.mu.Lock()
	list := f.parts[n]
	delete(f.parts, n)
	open := f.stage == stageOpen
	f.mu.Unlock()
	f.r.extents.close(list...)
	f.r.drain.went(time.Now(), size)
	if err != nil && open {
		// The place will not take this file; the sender need not send the rest. In other stages Publish tells.
		f.r.refuse.push(refusal{f, err})
	}
}

// forgetParts closes what is left when the target is gone.
func (f *rfile) forgetParts() {
	f.mu.Lock()
	var list []uint64
	for _, l := range f.parts {
		list = append(list, l...)
	}
	f.parts = nil
	f.mu.Unlock()
	f.r.extents.close(list...)
}

// refusal is a file that the place has refused for good, in the middle.
type refusal struct {
	f   *rfile
	err error
}

// refusals fails files that the place has refused.
func (r *receiver) refusals(ctx context.Context) error {
	for {
		x, err := r.refuse.pop(ctx)
		if err != nil {
			return err
		}
		if err := r.reject(ctx, x.f, storeError(CodeDiskWrite, "write", x.f.ent.Name, x.err)); err != nil {
			return err
		}
	}
}

// byRule says whether plan is how the sender cuts f unless it is told otherwise.
func (r *receiver) byRule(f *rfile, plan objstore.Plan) bool {
	rule := ruleOf(r.store)
	p, err := rule.plan(f.ent.Size, f.ent.BlockSize)
	return err == nil && p == plan
}

// drainMeter measures what a store takes away while it is behind. The zero drainMeter is ready; a nil one does nothing.
type drainMeter struct {
	mu    sync.Mutex // protects the rest
	held  int64      // bytes of parts in memory
	since time.Time  // of what is counted
	bytes int64
	rate  float64 // bytes a second, 0 = not known
}

func (d *drainMeter) came(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held += n
}

func (d *drainMeter) went(now time.Time, n int64) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held -= n
	d.bytes += n
}

// drainSpan is how long at least the meter counts for one measurement: parts come in lumps.
const drainSpan = time.Second

// steerLevel is the fill of the memory for parts from which the store may be the bottleneck: below it, parts are being
// gathered and not waiting.
const steerLevel = 0.6

// limit returns what the sender is to be told, in content bits per second, 0 for nothing, where room is the memory for
// parts. It aims at a memory that is three quarters full (docs/protocol-transfer.md section 29.3).
func (d *drainMeter) limit(now time.Time, room int64) fasp.Rate {
	d.mu.Lock()
	defer d.mu.Unlock()
	fill := float64(d.held) / float64(max(room, 1))
	if fill < steerLevel || d.since.IsZero() {
		d.since, d.bytes = now, 0
		return 0
	}
	if span := now.Sub(d.since); span >= drainSpan && d.bytes > 0 || span >= 8*drainSpan {
		r := float64(d.bytes) / span.Seconds()
		if d.rate == 0 {
			d.rate = r
		}
		d.rate += (r - d.rate) / 2
		d.since, d.bytes = now, 0
	}
	if d.rate == 0 {
		return 0
	}
	return fasp.Rate(8 * max(d.rate*max(1+2*(0.75-fill), 0.25), float64(room)/drainFloor))
}

// drainFloor bounds the limit from below: the memory in so many seconds. A store that is slower holds the sender back by
// what it is not granted, and a moment in which nothing was stored must not bring the sender to a stop.
const drainFloor = 60

const steerEvery = 250 * time.Millisecond

// steer tells the sender how fast the store takes data away, while that is the limit.
func (r *receiver) steer(ctx context.Context) error {
	t := time.NewTicker(steerEvery)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			r.sess.SetDrain(r.drain.limit(now, r.extents.room()))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
