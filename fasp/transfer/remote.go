package transfer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tradewind-io/tradewind/fasp"
)

// Remote looks at files at a server and arranges them, within the rights of the session's credentials. Methods may be
// called by several goroutines at once, and are done one after the other; in the body of a loop over List or Clean none may
// be called, as it would wait for the loop. Their errors are *Error. When a context ends, the operation is stopped at the
// server as well; what it has done by then stays done. Names are the server's, and may hold whatever a file system lets
// them: who shows them takes care of control characters.
type Remote struct {
	sess fasp.Session
	turn chan struct{} // whoever has an operation under way holds the one token
	out  *outbox

	// Who has the turn has these.
	in      *inbox
	last    uint64
	pending uint64 // the operation whose end was not seen yet, 0 if none

	cancel context.CancelCauseFunc
	group  *errgroup.Group
	close  sync.Once
}

// Manage begins a session whose credentials have been sent. Close ends it.
func Manage(ctx context.Context, sess fasp.Session) (*Remote, error) {
	r := &Remote{sess: sess, turn: make(chan struct{}, 1), out: newOutbox(), in: &inbox{sess: sess}}
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	r.cancel = cancel
	r.group = new(errgroup.Group)
	r.group.Go(func() error { return r.out.run(life, sess) })
	req := &request{Version: wireVersion, Direction: manage, BlockSize: defaultBlockSize}
	r.out.put(recRequest, req.encode())
	typ, body, err := r.in.next(ctx)
	if err == nil && typ != recAnswer {
		err = protocolError(fmt.Errorf("record %d where an answer is due", typ))
	}
	if err == nil {
		err = checkAnswer(body)
	}
	if err != nil {
		_ = r.Close() // err is what matters
		var pe *fasp.PeerError
		if errors.As(err, &pe) && pe.Code == fasp.CodeProtocol {
			// One that does not know the direction cannot say so in other words.
			return nil, &Error{Code: CodeUsage, Err: fmt.Errorf("the node can only be transferred to and from; it may be of an older version: %w", err)}
		}
		return nil, sessionError(err)
	}
	return r, nil
}

func checkAnswer(body []byte) error {
	a, err := decodeAnswer(body)
	if err != nil {
		return protocolError(err)
	}
	if a.Version != wireVersion {
		return protocolError(fmt.Errorf("the server answers in version %d", a.Version))
	}
	return nil
}

// Close ends the session.
func (r *Remote) Close() error {
	var err error
	r.close.Do(func() {
		r.cancel(fasp.ErrClosed)
		_ = r.group.Wait() // ends with what the next line says, or because we ended it
		err = r.sess.Close(fasp.CodeDone, "")
	})
	return err
}

// do sends an operation and gives fn what it finds; fn's first false stops the operation, which is no error then.
func (r *Remote) do(ctx context.Context, o *op, fn func(*opItem) bool) (*opEnded, error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, sessionError(context.Cause(ctx))
	}
	if ctx.Err() != nil { // or a removal might still be sent
		return nil, sessionError(context.Cause(ctx))
	}
	if r.pending != 0 { // its caller did not wait for the end
		if _, err := r.read(ctx, nil); err != nil {
			return nil, r.failed(ctx, err)
		}
	}
	r.last++
	o.ID = r.last
	r.pending = o.ID
	r.out.put(recOp, o.encode())
	stopped := false
	e, err := r.read(ctx, func(i *opItem) {
		if fn != nil && !stopped && !fn(i) {
			stopped = true
			r.out.put(recOpStop, encodeStop(o.ID))
		}
	})
	if err != nil {
		return nil, r.failed(ctx, err)
	}
	if !stopped && (e.Code != 0 || e.Text != "") {
		return e, &Error{Code: e.Code, Path: o.Name, Err: errors.New(printable(e.Text))}
	}
	return e, nil
}

// failed is the end of an operation whose end the server did not tell.
func (r *Remote) failed(ctx context.Context, err error) error {
	var e *Error
	switch {
	case ctx.Err() != nil:
		r.out.put(recOpStop, encodeStop(r.pending))
	case errors.As(err, &e) && e.Code == CodeFaspProto:
		// Nothing that comes now can be trusted to mean anything.
		_ = r.sess.Close(fasp.CodeProtocol, clip(e.Error(), 1024))
	}
	return sessionError(err)
}

// read takes records until the end of the operation that is pending.
func (r *Remote) read(ctx context.Context, fn func(*opItem)) (*opEnded, error) {
	for {
		typ, body, err := r.in.next(ctx)
		if err != nil {
			return nil, err
		}
		switch typ {
		case recOpItem:
			i, err := decodeOpItem(body)
			if err == nil && i.ID != r.pending {
				err = errNotPending
			}
			if err != nil {
				return nil, protocolError(err)
			}
			if fn != nil {
				fn(i)
			}
		case recOpEnded:
			e, err := decodeOpEnded(body)
			if err == nil && e.ID != r.pending {
				err = errNotPending
			}
			if err != nil {
				return nil, protocolError(err)
			}
			r.pending = 0
			return e, nil
		}
	}
}

var errNotPending = errors.New("the server speaks of an operation that is not under way")

// Stat describes the file or folder at name.
func (r *Remote) Stat(ctx context.Context, name string) (in Info, err error) {
	_, err = r.do(ctx, &op{Kind: opStat, Name: name}, func(i *opItem) bool { in = i.info(); return true })
	return in, err
}

// List returns what is in the folder at name, or the file at name alone, in the order of the place. An error comes last.
func (r *Remote) List(ctx context.Context, name string, o WalkOptions) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		more := true
		_, err := r.do(ctx, &op{Kind: opList, Name: name, To: o.Match, Flag: o.Deep}, func(i *opItem) bool {
			more = yield(i.info(), nil)
			return more
		})
		if err != nil && more {
			yield(Info{}, err)
		}
	}
}

// Mkdir makes the folder at name with its parents. One that exists is no error.
func (r *Remote) Mkdir(ctx context.Context, name string) error {
	_, err := r.do(ctx, &op{Kind: opMkdir, Name: name}, nil)
	return err
}

// Remove removes a file, an empty folder, or with all a folder and what is in it; it returns how many things it removed.
func (r *Remote) Remove(ctx context.Context, name string, all bool) (int64, error) {
	return count(r.do(ctx, &op{Kind: opRemove, Name: name, Flag: all}, nil))
}

// Rename is Manager.Rename.
func (r *Remote) Rename(ctx context.Context, old, name string, replace bool) (int64, error) {
	return count(r.do(ctx, &op{Kind: opRename, Name: old, To: name, Flag: replace}, nil))
}

func count(e *opEnded, err error) (int64, error) {
	if e == nil {
		return 0, err
	}
	return e.Count, err
}

// Usage counts the files below name and their bytes.
func (r *Remote) Usage(ctx context.Context, name string) (files, bytes int64, err error) {
	e, err := r.do(ctx, &op{Kind: opUsage, Name: name}, nil)
	if err != nil {
		return 0, 0, err
	}
	return e.Count, e.Bytes, nil
}

// Clean is Manager.Clean. An error comes last.
func (r *Remote) Clean(ctx context.Context, name string, age time.Duration, dry bool) iter.Seq2[Leftover, error] {
	return func(yield func(Leftover, error) bool) {
		more := true
		_, err := r.do(ctx, &op{Kind: opClean, Name: name, Age: int64(max(age, 0)), Flag: dry}, func(i *opItem) bool {
			more = yield(i.leftover(), nil)
			return more
		})
		if err != nil && more {
			yield(Leftover{}, err)
		}
	}
}
