package objstore

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// clockSlack is how far the store's clock may be behind ours. Stores refuse requests from clocks that differ by more.
const clockSlack = 15 * time.Minute

// Complete makes the object, of size bytes, out of the parts, when all PutPart calls have returned. BadPart names the
// first part that is missing or has another size than the plan says; put it again and complete again. When the answer of
// a try was lost and the next finds no upload any more, the object counts as made if what is at the key now has its size
// and attributes and is not older than the upload. After it has succeeded, Complete returns the same object again.
func (w *Writer) Complete(ctx context.Context, size int64) (Object, error) {
	const op = "complete upload"
	key := w.u.Key
	w.mu.Lock()
	state, object, busy, relist := w.state, w.object, len(w.active), w.relist
	var err error
	switch {
	case state == writerMade:
		w.mu.Unlock()
		return object, nil
	case state == writerAborting || state == writerAborted:
		err = &Error{Op: op, Key: key, Kind: Closed}
	case state == writerMaking:
		err = &Error{Op: op, Key: key, Kind: Invalid, Err: errors.New("it is being completed already")}
	case busy > 0:
		err = &Error{Op: op, Key: key, Kind: Invalid, Err: fmt.Errorf("%d parts are still being put", busy)}
	case size < 0 || w.u.Size >= 0 && size != w.u.Size:
		err = &Error{Op: op, Key: key, Kind: Invalid, Err: fmt.Errorf("it was begun for %d bytes and cannot have %d", w.u.Size, size)}
	default:
		w.state = writerMaking
	}
	w.mu.Unlock()
	if err != nil {
		return Object{}, err
	}
	object, err = w.complete(ctx, op, size, relist)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil:
		w.state, w.object = writerMade, object
	case w.state == writerMaking:
		w.state = writerOpen
	}
	return object, err
}

// complete is Complete without the question whether it may be.
func (w *Writer) complete(ctx context.Context, op string, size int64, relist bool) (Object, error) {
	if err := w.b.lookFirst(ctx, op, w.u.Key, w.o); err != nil {
		return Object{}, err
	}
	if relist {
		if err := w.list(ctx, op); err != nil {
			return Object{}, err
		}
	}
	parts, err := w.whole(op, size)
	if err != nil {
		return Object{}, err
	}
	object, err := w.make(ctx, op, size, parts)
	if KindOf(err) == BadPart {
		// Another process, or a request given up, may have put a part behind our back.
		if err := w.list(ctx, op); err != nil {
			return Object{}, err
		}
		if parts, err = w.whole(op, size); err != nil {
			return Object{}, err
		}
		object, err = w.make(ctx, op, size, parts)
	}
	if err != nil {
		return Object{}, err
	}
	object.Key = w.u.Key
	return object, nil
}

// whole returns the parts of an object of size bytes, or BadPart for the first that is not there.
func (w *Writer) whole(op string, size int64) ([]Part, error) {
	u := w.u
	u.Size = size
	w.mu.Lock()
	defer w.mu.Unlock()
	parts := make([]Part, 0, len(w.parts))
	for n := range u.Plan.Count(size) {
		_, want := u.Spec(n)
		p, ok := w.parts[n]
		if !ok {
			return nil, &Error{Op: op, Key: u.Key, Kind: BadPart, Err: fmt.Errorf("part %d is missing", n)}
		}
		if p.Size != want {
			delete(w.parts, n)
			return nil, &Error{Op: op, Key: u.Key, Kind: BadPart, Err: fmt.Errorf("part %d has %d bytes; it must have %d", n, p.Size, want)}
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// make asks the store for the object.
func (w *Writer) make(ctx context.Context, op string, size int64, parts []Part) (o Object, err error) {
	lost := false // a try may have succeeded without our knowing
	err = w.b.retry(ctx, op, w.u.Key, func(ctx context.Context) error {
		o, err = w.b.drv.Complete(ctx, w.u, parts, w.o)
		switch KindOf(err) {
		case NoUpload, NotFound, Exists:
			if !lost {
				return err
			}
			found, serr := w.b.drv.Stat(ctx, w.u.Key)
			if KindOf(serr) == NotFound {
				return err
			}
			if serr != nil {
				return serr
			}
			if w.made(&found, size) {
				o = found
				return nil
			}
		}
		lost = lost || KindOf(err).Temporary()
		return err
	})
	if err != nil {
		return Object{}, err
	}
	if o.Size != size {
		// Not tried again: the store has thrown the parts away.
		return Object{}, &Error{Op: op, Key: w.u.Key, Kind: Other, Err: fmt.Errorf("the store made an object of %d bytes instead of %d", o.Size, size)}
	}
	return o, nil
}

// made says whether an object that was found is the one of this upload. Stores date an object by the beginning or by the
// end of its upload.
func (w *Writer) made(o *Object, size int64) bool {
	if o.Size != size || !w.b.sameAttr(o, w.o.Attr) {
		return false
	}
	return w.begun.IsZero() || o.Modified.IsZero() || !o.Modified.Before(w.begun.Add(-clockSlack))
}
