package transfer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/tradewind-io/tradewind/fasp"
)

// manage serves a session that looks at files and arranges them, one operation after the other, until the client closes.
// While one goroutine works another one reads, so that a client that stops an operation, or goes away, is heard at once.
func (v *server) manage(ctx context.Context, j job, ans *answer) error {
	m, ok := v.cfg.Store.(Manager)
	if !ok {
		return failf(CodeUsage, "", "this place can only be transferred to and from")
	}
	if err := v.answer(ctx, j.out, ans); err != nil {
		return err
	}
	v.start()
	g, ctx := errgroup.WithContext(ctx)
	o := &operator{v: v, m: m, out: j.out, next: make(chan func() *opEnded, 1)}
	g.Go(func() error { return j.out.run(ctx, j.sess) })
	g.Go(func() error { return o.listen(ctx, j.in) })
	g.Go(func() error { return o.work(ctx) })
	err := g.Wait()
	if closedWell(err) {
		return nil
	}
	return err
}

// closedWell says whether err is the peer's end of a session that had done its work.
func closedWell(err error) bool {
	var pe *fasp.PeerError
	return errors.As(err, &pe) && pe.Code == fasp.CodeDone
}

// operator does the operations of one session.
type operator struct {
	v    *server
	m    Manager
	out  *outbox
	next chan func() *opEnded // does the current operation

	mu      sync.Mutex // protects current and stop
	current uint64     // id of the operation under way, 0 if none
	stop    context.CancelCauseFunc
}

var errStopped = &Error{Code: CodeUserCancel, Err: errors.New("stopped by the client")}

// listen takes the client's records.
func (w *operator) listen(ctx context.Context, in *inbox) error {
	for {
		typ, body, err := in.next(ctx)
		if err != nil {
			return err
		}
		switch typ { // others are skipped, section 21.2
		case recOp:
			o, err := decodeOp(body)
			if err == nil {
				err = w.begin(ctx, o)
			}
			if err != nil {
				return protocolError(err)
			}
		case recOpStop:
			id, err := decodeStop(body)
			if err != nil {
				return protocolError(err)
			}
			w.halt(id)
		}
	}
}

// begin makes o the operation under way.
func (w *operator) begin(ctx context.Context, o *op) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current != 0 || o.ID == 0 {
		return fmt.Errorf("operation %d while %d is under way", o.ID, w.current)
	}
	w.current = o.ID
	ctx, w.stop = context.WithCancelCause(ctx)
	w.next <- func() *opEnded { return w.operate(ctx, o) } // has room, as no other was under way
	return nil
}

// halt stops the operation of that id, if it has not ended yet.
func (w *operator) halt(id uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id == w.current && id != 0 {
		w.stop(errStopped)
	}
}

// ended lets the client begin another one.
func (w *operator) ended() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stop(nil)
	w.current = 0
}

// work does what the client asks for. Its error ends the session.
func (w *operator) work(ctx context.Context) error {
	for {
		select {
		case do := <-w.next:
			end := do()
			// A client that does not read what it asked for is not served; without the wait its unread ends would heap up.
			if err := w.out.wait(ctx); err != nil {
				return err
			}
			w.ended()
			w.out.put(recOpEnded, end.encode())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
