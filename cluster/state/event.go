package state

import (
	"context"
	"encoding/json"
	"time"
)

// Event is something that happened and that others may want to hear of.
type Event struct {
	Seq         int64     // set by the store: greater than that of every event before
	Time        time.Time // zero stands for now
	Tenant, Key string
	Type        string // such as "transfer.ended"
	Doc         json.RawMessage
	KeyMade     time.Time // when its key was made, which tells it from others that have had the same id; zero if unknown
}

// EventFilter chooses events; empty fields choose all.
type EventFilter struct {
	Tenant, Key string
	Types       []string  // any of these, at most 100
	Since       int64     // only those with a greater Seq
	From, To    time.Time // From inclusive, To exclusive, by the clock of when they were added
	KeyMade     time.Time // only those of a key that was made then, and those that do not say and are not older
	Newest      bool      // the last comes first
}

var events = kind[Event]{
	name: "event", table: "events", keys: 1,
	cols: []string{"seq", "time", "tenant", "access_key", "type", "doc", "key_made"},
	fields: func(e *Event) []field {
		return []field{number{&e.Seq}, instant{&e.Time}, text{p: &e.Tenant}, text{p: &e.Key}, text{p: &e.Type, must: true}, document{&e.Doc}, instant{&e.KeyMade}}
	},
}

// AddEvents appends events, at most 10,000 in a call, all or none, and returns the Seq of the last. It numbers them in their order and leaves
// es as it is. Errors: ErrInvalid.
func (o ops) AddEvents(ctx context.Context, es []Event) (last int64, err error) {
	if len(es) == 0 {
		return 0, nil
	}
	if err = checkBatch(len(es)); err == nil {
		err = o.write(ctx, func(q queries) error {
			var err error
			if last, err = q.next(ctx, "event", int64(len(es))); err != nil {
				return err
			}
			rows := make([]Event, len(es))
			now := o.now()
			for i, e := range es {
				e.Seq = last - int64(len(es)-1-i)
				if e.Time.IsZero() {
					e.Time = now
				}
				rows[i] = e
				if err := events.check(&rows[i]); err != nil {
					return err
				}
			}
			return events.insert(ctx, q, rows)
		})
	}
	if err != nil {
		return 0, &Error{Op: "add", Kind: "events", Err: err}
	}
	return last, nil
}

// Events returns a page of events in their order, and the cursor of the next page.
func (o ops) Events(ctx context.Context, f EventFilter, p Page) ([]Event, string, error) {
	if len(f.Types) > 100 {
		return nil, "", &Error{Op: "list", Kind: "event", Err: invalidf("%d types are more than 100", len(f.Types))}
	}
	var w where
	w.is("tenant", f.Tenant)
	w.is("access_key", f.Key)
	in(&w, "type", f.Types)
	w.between("time", f.From, f.To)
	if !f.KeyMade.IsZero() {
		w.add("(key_made = ? OR key_made = 0 AND time >= ?)", micros(f.KeyMade), micros(f.KeyMade))
	}
	if f.Since > 0 {
		w.add("seq > ?", f.Since)
	}
	return list(ctx, o, &events, w, newest(f.Newest, "seq"), p)
}
