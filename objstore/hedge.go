package objstore

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// When a part counts as slow: hedgeFactor times what recent ones took, and never before hedgeLeast. No hedge begins before
// hedgeSamples parts are known. Where that is what is missing, or other parts wait for their turn, hedgeAgain is the time
// after which it is looked again.
const (
	hedgeFactor  = 3
	hedgeLeast   = 2 * time.Second
	hedgeSamples = 3
	hedgeAgain   = time.Second
)

// partTimes knows how fast recent parts of a Bucket went. Methods may be called by several goroutines.
type partTimes struct {
	mu     sync.Mutex  // protects the rest
	recent [16]float64 // seconds per byte
	n      int         // parts seen
}

func (t *partTimes) add(size int64, took time.Duration) {
	if size <= 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recent[t.n%len(t.recent)] = took.Seconds() / float64(size)
	t.n++
}

// slow returns after what time a part of size bytes is slow; ok is false as long as too little is known.
func (t *partTimes) slow(size int64) (after time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(t.n, len(t.recent))
	if n < hedgeSamples {
		return 0, false
	}
	recent := t.recent
	slices.Sort(recent[:n])
	return max(hedgeLeast, time.Duration(hedgeFactor*recent[n/2]*float64(size)*float64(time.Second))), true
}

// tryPart makes one request for a part, whose turn it has and ends, and a second one beside it if the first is slow. The
// first to succeed wins; tryPart returns when both have ended.
func (w *Writer) tryPart(ctx context.Context, op string, spec PartSpec, body io.ReaderAt, size int64, turn uint64) (Part, error) {
	if w.b.cfg.NoHedge || w.ordered() {
		return w.send(ctx, op, spec, body, size, turn)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		p     Part
		err   error
		first bool
	}
	answers := make(chan answer, 2)
	go func() {
		p, err := w.send(ctx, op, spec, body, size, turn)
		answers <- answer{p, err, true}
	}()
	begun := time.Now()
	slow := time.NewTimer(hedgeLeast)
	defer slow.Stop()
	var won *Part
	var err error // of the first; the hedge's does not count, which a store may refuse just because the first is at work
	for running := 1; running > 0; {
		select {
		case a := <-answers:
			running--
			switch {
			case a.err == nil:
				if won == nil {
					won = &a.p
				}
				cancel()
			case a.first:
				err = a.err
				if !temporary(ctx, err) {
					cancel()
				}
			}
			slow.Stop() // there is no third
		case <-slow.C:
			after, known := w.b.times.slow(size)
			took := time.Since(begun)
			if !known || w.waiting.Load() > 0 {
				slow.Reset(hedgeAgain)
				break
			}
			if took < after {
				slow.Reset(after - took)
				break
			}
			w.mu.Lock()
			w.relist = true
			w.mu.Unlock()
			w.b.cfg.Logger.LogAttrs(ctx, slog.LevelDebug, "slow part is sent a second time", slog.Int("part", spec.N), slog.Duration("after", after))
			running++
			go func() {
				turn, err := w.b.limiter.acquire(ctx)
				var p Part
				if err == nil {
					p, err = w.send(ctx, op, spec, body, size, turn)
				}
				answers <- answer{p, err, false}
			}()
		}
	}
	if won != nil {
		return *won, nil
	}
	return Part{}, err
}

// send makes one request for a part, whose turn it ends.
func (w *Writer) send(ctx context.Context, op string, spec PartSpec, body io.ReaderAt, size int64, turn uint64) (p Part, err error) {
	begun := time.Now()
	err = lend(op, w.u.Key, body, size, func(body *io.SectionReader) (err error) {
		p, err = w.b.drv.PutPart(ctx, w.u, spec, body)
		return err
	})
	if err == nil && p.Size != size {
		err = &Error{Op: op, Key: w.u.Key, Kind: Corrupt, Err: fmt.Errorf("the store has %d bytes of %d", p.Size, size)}
	}
	w.b.limiter.release(turn, err)
	if err != nil {
		return Part{}, err
	}
	w.b.times.add(size, time.Since(begun))
	p.N = spec.N
	return p, nil
}
