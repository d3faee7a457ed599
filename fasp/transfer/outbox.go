package transfer

import (
	"context"
	"sync"

	"github.com/tradewind-io/tradewind/fasp"
)

// outbox queues records and sends them in as few messages as the moment allows: while one message is on
// its way into the transport, the next one fills. put never waits; whoever could be made to put without
// end by the peer calls wait first.
type outbox struct {
	mu     sync.Mutex // protects the rest
	chunks [][]byte   // messages, each within fasp.MaxMessage
	size   int
	prev   string        // name of the last entry, see entry.encode
	idle   bool          // nothing is queued or being sent
	wake   chan struct{} // a record came; capacity 1
	moved  chan struct{} // closed and replaced whenever size falls
}

// outboxHigh is the size from which wait waits.
const outboxHigh = 1 << 20

func newOutbox() *outbox {
	return &outbox{idle: true, wake: make(chan struct{}, 1), moved: make(chan struct{})}
}

func (o *outbox) put(typ uint64, body []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.putLocked(typ, body)
}

func (o *outbox) putEntry(e *entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.putLocked(recEntry, e.encode(o.prev))
	o.prev = e.Name
}

func (o *outbox) putLocked(typ uint64, body []byte) {
	n := len(o.chunks)
	if n == 0 || len(o.chunks[n-1])+len(body)+16 > fasp.MaxMessage {
		o.chunks = append(o.chunks, nil)
		n++
	}
	before := len(o.chunks[n-1])
	o.chunks[n-1] = appendRecord(o.chunks[n-1], typ, body)
	o.size += len(o.chunks[n-1]) - before
	o.idle = false
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// wait returns when less than outboxHigh is queued.
func (o *outbox) wait(ctx context.Context) error {
	return o.until(ctx, func() bool { return o.size < outboxHigh })
}

// flushed returns when everything put before the call was given to the transport.
func (o *outbox) flushed(ctx context.Context) error {
	return o.until(ctx, func() bool { return o.idle })
}

func (o *outbox) until(ctx context.Context, cond func() bool) error {
	for {
		o.mu.Lock()
		ok, moved := cond(), o.moved
		o.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// send sends what is queued. It is for what comes before run.
func (o *outbox) send(ctx context.Context, sess fasp.Session) error {
	for {
		msg := o.take()
		if msg == nil {
			return nil
		}
		if err := sess.SendMessage(ctx, msg); err != nil {
			return err
		}
	}
}

// take returns the next message, nil if nothing is queued.
func (o *outbox) take() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	var msg []byte
	if len(o.chunks) > 0 {
		msg = o.chunks[0]
		o.chunks = o.chunks[1:]
		o.size -= len(msg)
	} else {
		o.idle = true
	}
	close(o.moved)
	o.moved = make(chan struct{})
	return msg
}

// run sends until ctx ends or the session fails.
func (o *outbox) run(ctx context.Context, sess fasp.Session) error {
	for {
		msg := o.take()
		if msg == nil {
			select {
			case <-o.wake:
				continue
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if err := sess.SendMessage(ctx, msg); err != nil {
			return err
		}
	}
}

// inbox takes messages apart.
type inbox struct {
	sess fasp.Session
	rest []byte
}

// next returns the next record; body is valid until the next call.
func (in *inbox) next(ctx context.Context) (typ uint64, body []byte, err error) {
	for len(in.rest) == 0 {
		if in.rest, err = in.sess.ReceiveMessage(ctx); err != nil {
			return 0, nil, err
		}
	}
	typ, body, in.rest, err = nextRecord(in.rest)
	if err != nil {
		return 0, nil, protocolError(err)
	}
	return typ, body, nil
}

// protocolError is what the peer did wrong at this layer.
func protocolError(err error) error {
	return &Error{Code: CodeFaspProto, Op: "peer broke the transfer protocol", Err: err}
}
