package state

import (
	"context"
	"encoding/json"
	"time"
)

// Session is one connection that carried files, for a job or for someone who called.
type Session struct {
	ID          string
	Job         string // empty if there is none
	Tenant, Key string
	Status      string
	Started     time.Time
	Ended       time.Time // zero while it runs; only ended sessions are pruned
	Bytes       int64
	Doc         json.RawMessage
	Rev         int64 // set by the store
	Iter        int64 // set by the store at each change: greater than that of every change of a job or session before
}

// SessionFilter chooses sessions; empty fields choose all.
type SessionFilter struct {
	Tenant, Key, Job, Status string
	Since                    int64 // only those with a greater Iter
	Newest                   bool  // those that were changed last come first; otherwise those that were changed first
}

var sessions = kind[Session]{
	name: "session", table: "sessions", keys: 1,
	cols: []string{"id", "job", "tenant", "access_key", "status", "started", "ended", "bytes", "doc", "rev", "iter"},
	fields: func(s *Session) []field {
		return []field{
			text{p: &s.ID, must: true},
			text{p: &s.Job},
			text{p: &s.Tenant},
			text{p: &s.Key},
			text{p: &s.Status},
			instant{&s.Started},
			instant{&s.Ended},
			number{&s.Bytes},
			document{&s.Doc},
			number{&s.Rev},
			number{&s.Iter},
		}
	},
	stamps: func(s *Session) stamps { return stamps{rev: &s.Rev, iter: &s.Iter} },
}

// CreateSession adds a session and returns it as it is kept. Errors: ErrExists, ErrInvalid.
func (o ops) CreateSession(ctx context.Context, s Session) (Session, error) {
	return create(ctx, o, &sessions, s)
}

// Session returns the session of this id. Errors: ErrNotFound.
func (o ops) Session(ctx context.Context, id string) (Session, error) {
	return get(ctx, o, &sessions, Session{ID: id})
}

// UpdateSession replaces the session if it is still at s.Rev, and returns it as it is kept. Errors: ErrNotFound, ErrConflict, ErrInvalid.
func (o ops) UpdateSession(ctx context.Context, s Session) (Session, error) {
	return update(ctx, o, &sessions, s)
}

// DeleteSession deletes the session if it is still at rev; 0 stands for any. Errors: ErrNotFound, ErrConflict, and ErrReference while
// it has files; see [Store.DeleteFiles].
func (o ops) DeleteSession(ctx context.Context, id string, rev int64) error {
	return remove(ctx, o, &sessions, Session{ID: id}, rev)
}

// Sessions returns a page of sessions by their last change, and the cursor of the next page. What changes while pages are read moves to the end
// of the newest; deleted sessions are not told of.
func (o ops) Sessions(ctx context.Context, f SessionFilter, p Page) ([]Session, string, error) {
	var w where
	w.is("tenant", f.Tenant)
	w.is("access_key", f.Key)
	w.is("job", f.Job)
	w.is("status", f.Status)
	if f.Since > 0 {
		w.add("iter > ?", f.Since)
	}
	return list(ctx, o, &sessions, w, newest(f.Newest, "iter"), p)
}
