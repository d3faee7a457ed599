package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// live is a job while it is tried: the only place that changes its row meanwhile.
type live struct {
	m *Manager

	mu   sync.Mutex // guards what follows; held while the row is written
	s    stored
	base report // what earlier tries came to
}

// saveEvery is how often the row of a running job is written.
const saveEvery = 5 * time.Second

// try runs a job once, and writes down what came of it.
func (m *Manager) try(ctx context.Context, r *run) {
	l := r.live
	l.mu.Lock()
	log := m.log.With("job", r.id, "key", l.s.row.Key)
	l.mu.Unlock()
	failure := m.transfer(ctx, r)
	// The row must say what happened, whatever else ends now: while there is no room for it, it is tried again. If the node ends first, the job is found running by the next one.
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		status, err := l.finish(context.WithoutCancel(ctx), ctx, failure)
		if err == nil {
			text := ""
			if failure != nil {
				text = failure.Error()
			}
			m.bad.fine(badEnd)
			log.Info("job tried", "status", string(status), "error", text)
			return
		}
		if errors.Is(err, state.ErrNotFound) {
			log.Info("a job ended whose history is forgotten")
			return
		}
		m.bad.failed(badEnd, err, "job", r.id)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-m.stopping:
			t.Stop()
			return
		}
	}
}

// interrupted says whether a try was ended for what is not the job's doing, so that it begins again.
func interrupted(cause error) bool {
	return errors.Is(cause, errStopped) || errors.Is(cause, errChanged)
}

// outcome says what becomes of a job after a try in ctx that ended with err.
func (m *Manager) outcome(ctx context.Context, s *stored, err error) (_ api.TransferStatus, next time.Time) {
	cause := context.Cause(ctx)
	var te *transfer.Error
	switch {
	case err == nil:
		return api.Completed, next // it was faster than who wanted it to end
	case errors.Is(cause, errDisabled):
		return api.Failed, next
	case errors.Is(cause, errCanceled):
		return api.Canceled, next
	case errors.Is(cause, errPaused):
		return api.Paused, next
	case interrupted(cause):
		return api.Waiting, m.now()
	case errors.As(err, &te) && te.Code == transfer.CodeSomeFileErrors && s.report.some():
		return api.PartiallyCompleted, next
	case errors.As(err, &te) && te.Code.Retryable() && s.report.Tries < max(s.doc.MaxTries, 1):
		return api.Waiting, m.now().Add(m.backoff(s.report.Tries))
	}
	return api.Failed, next
}

// transfer is one try.
func (m *Manager) transfer(ctx context.Context, r *run) error {
	l, id := r.live, r.id
	l.mu.Lock()
	s := l.s
	l.mu.Unlock()
	spec, extra, err := m.spec(ctx, id)
	if err != nil {
		return err
	}
	g, err := m.grant(ctx, &s)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.grant = &g
	r.mu.Unlock()
	if err := allowed(g, &spec); err != nil {
		var e *api.Error
		if errors.As(err, &e) { // the key is not what it was when the job was taken
			err = &transfer.Error{Code: transfer.CodeNoPerms, Err: errors.New(e.UserMessage)}
		}
		return err
	}
	opener, err := accesskey.ParseOpener(spec.Token)
	if err != nil {
		return err
	}
	place, release, err := m.cfg.Open(ctx, g)
	if err != nil {
		return &transfer.Error{Code: transfer.CodeBadPath, Op: "open the access key's place", Err: err}
	}
	defer release()
	r.mu.Lock()
	r.spec = &spec
	r.mu.Unlock()
	l.mu.Lock()
	changed := l.s.doc.Rates // after r.spec is there, so that no change comes between
	l.mu.Unlock()
	if changed != nil {
		if err := r.repace(changed); err != nil {
			return err
		}
	}

	saving, stop := context.WithCancel(ctx)
	var saver sync.WaitGroup
	saver.Go(func() { l.saveRegularly(saving) })
	defer saver.Wait()
	defer stop()

	var current *track
	var before, last transfer.SessionRecord // what all sessions of this try came to, and those before the current one
	attempt := 0
	cfg := transfer.Config{
		Dial: func(ctx context.Context, s *transfer.Spec) (fasp.Session, error) {
			return m.cfg.Dial(ctx, g, Remote{Host: s.Host, Port: s.Port, Opener: opener, Fingerprint: extra.Fingerprint, Spec: s})
		},
		Open: func(_ context.Context, paths []string) (transfer.Store, []string, error) {
			return place, paths, nil
		},
		KeepOpen: true, Control: &r.rates, Logger: m.log, StateDir: m.cfg.StateDir, Origin: "job " + id, RetryTimeout: m.cfg.RetryTimeout, Sessions: extra.Sessions,
		Events: func(e transfer.Event) {
			if e.Session.Attempt != attempt {
				attempt, before = e.Session.Attempt, last
				current = &track{
					rec: m.rec, job: id, tenant: s.row.Tenant, key: s.row.Key, keyMade: s.doc.KeyMade, usageID: s.doc.UsageID, maxFiles: m.cfg.MaxFiles,
					out: spec.Direction == transfer.Send, row: newID(), before: before,
				}
			}
			last = e.Session
			if e.Kind != transfer.EventRetry {
				current.event(e)
			}
			l.take(e.Session)
		},
	}
	_, err = transfer.Run(ctx, cfg, spec)
	return err
}

// grant is what the job's key allows now.
func (m *Manager) grant(ctx context.Context, s *stored) (accesskey.Grant, error) {
	if s.row.Key == "" {
		return accesskey.Grant{Master: true, Rights: accesskey.AllRights()}, nil
	}
	k, err := m.cfg.Keys.Key(ctx, s.row.Key)
	switch {
	case errors.Is(err, accesskey.ErrNotFound):
		return accesskey.Grant{}, &transfer.Error{Code: transfer.CodeAuth, Op: "access key", Err: errors.New("it does not exist any more")}
	case err != nil:
		return accesskey.Grant{}, err
	case !s.ofKey(k.Created): // another key, which has the id of the one that the job was made with
		return accesskey.Grant{}, &transfer.Error{Code: transfer.CodeAuth, Op: "access key", Err: errors.New("the one of the job does not exist any more")}
	case k.Disabled:
		return accesskey.Grant{}, &transfer.Error{Code: transfer.CodeAuth, Op: "access key", Err: accesskey.ErrDisabled}
	}
	return k.Grant(), nil
}

// take notes what a session has come to.
func (l *live) take(s transfer.SessionRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.s.report.take(l.base, s)
}

// saveRegularly writes the row while the job runs.
func (l *live) saveRegularly(ctx context.Context) {
	t := time.NewTicker(saveEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			switch err := l.change(ctx, func(*stored) {}); {
			case err == nil:
				l.m.bad.fine(badSave)
			case ctx.Err() == nil:
				l.m.bad.failed(badSave, err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// change edits the row of a running job and writes it.
func (l *live) change(ctx context.Context, edit func(*stored)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.s
	edit(&next)
	row, err := next.encode()
	if err == nil {
		row, err = l.m.cfg.State.UpdateJob(ctx, row)
	}
	if err != nil {
		return err
	}
	next.row = row
	l.s = next
	return nil
}

// finish writes what a try in life came to, and tells who wants to hear of it.
func (l *live) finish(ctx, life context.Context, failure error) (api.TransferStatus, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.s
	status, next := l.m.outcome(life, &s, failure)
	switch {
	case interrupted(context.Cause(life)) && status == api.Waiting:
		s.report.Tries-- // it is none of the job's faults
	case status == api.Failed || status == api.PartiallyCompleted || status == api.Waiting:
		if errors.Is(context.Cause(life), errDisabled) {
			failure = &transfer.Error{Code: transfer.CodeAuth, Op: "access key", Err: errDisabled}
		}
		s.report.ErrorCode, s.report.ErrorDesc = int(transfer.CodeInternal), failure.Error()
		var te *transfer.Error
		if errors.As(failure, &te) {
			s.report.ErrorCode = int(te.Code)
		}
	}
	if status.Over() {
		s.report.End = usec(l.m.cfg.Now())
	}
	s.row.Status, s.row.NextTry = string(status), next
	row, err := s.encode()
	if err != nil {
		return status, err
	}
	err = l.m.cfg.State.Update(ctx, func(tx *state.Tx) (err error) {
		if s.row, err = tx.UpdateJob(ctx, row); err != nil {
			return err
		}
		if !status.Over() {
			return nil
		}
		if err := tx.SetJobSpec(ctx, row.ID, nil); err != nil { // nobody needs it any more
			return err
		}
		return tell(ctx, tx, &s, "transfer.ended")
	})
	if err == nil {
		l.s = s
	}
	return status, err
}

// encode returns the row as it is to be kept.
func (s *stored) encode() (state.Job, error) {
	row := s.row
	var err error
	if row.Doc, err = json.Marshal(s.doc); err == nil {
		row.Report, err = s.report.encode()
	}
	return row, err
}

// tell adds an event about a transfer.
func tell(ctx context.Context, tx *state.Tx, s *stored, kind string) error {
	said := map[string]any{
		"transfer_id": s.row.ID, "status": s.row.Status, "direction": s.doc.Spec.Direction, "initiator": s.doc.Spec.Initiator, "cookie": s.doc.Spec.Cookie, "tags": s.doc.Spec.Tags,
		"bytes_transferred": s.report.Transferred, "files_completed": s.report.Files, "error_code": s.report.ErrorCode, "error_desc": s.report.ErrorDesc,
	}
	if s.doc.Spec.ClientUser != "" {
		said["user_id"] = s.doc.Spec.ClientUser
	}
	doc, err := json.Marshal(said)
	if err != nil {
		return err
	}
	e := state.Event{Tenant: s.row.Tenant, Key: s.row.Key, Type: kind, Doc: doc}
	if s.doc.KeyMade != 0 {
		e.KeyMade = time.UnixMicro(s.doc.KeyMade)
	}
	_, err = tx.AddEvents(ctx, []state.Event{e})
	return err
}

// snapshots returns the running jobs as they are in memory, by id.
func (m *Manager) snapshots() map[string]stored {
	m.mu.Lock()
	running := maps.Clone(m.running)
	m.mu.Unlock()
	out := make(map[string]stored, len(running))
	for id, r := range running {
		out[id] = r.live.snapshot()
	}
	return out
}

// snapshot returns the job as it is in memory.
func (l *live) snapshot() stored {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.s
}

// latest chooses between what was read of a job and what was in memory of it. What is in memory knows more of a row, but it may be of an earlier one: another request may have changed the job just before it
// began, or it may have ended in between.
func latest(read, inMemory stored) stored {
	if inMemory.row.Rev < read.row.Rev {
		return read
	}
	return inMemory
}
