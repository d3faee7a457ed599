package jobs

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// errUnknown is what is said of transfers that do not exist and of those of others.
func errUnknown() *api.Error {
	return api.Errorf(http.StatusNotFound, "there is no transfer of this id")
}

// mayTouch says whether a transfer is the grant's to see. That of another key, which had the same id, is not.
func mayTouch(g accesskey.Grant, s *stored) bool {
	return g.Master || s.row.Key == g.KeyID && s.ofKey(g.Created)
}

// ofKey says whether a job is of the key of its id that was made then. When jobs and keys were made is not compared if it can be helped, since clocks are set.
func (s *stored) ofKey(made time.Time) bool {
	if s.doc.KeyMade == 0 || made.IsZero() {
		return !s.row.Created.Before(made)
	}
	return s.doc.KeyMade == usec(made)
}

// get reads a transfer that the grant may see.
func (m *Manager) get(ctx context.Context, g accesskey.Grant, id string) (stored, error) {
	j, err := m.cfg.State.Job(ctx, id)
	if errors.Is(err, state.ErrNotFound) || errors.Is(err, state.ErrInvalid) {
		return stored{}, errUnknown()
	}
	if err != nil {
		return stored{}, err
	}
	s, err := decodeJob(j)
	if err == nil && !mayTouch(g, &s) {
		err = errUnknown()
	}
	return s, err
}

// Get returns a transfer with its sessions, the newest 100 of them, and up to files files of the newest session. Errors: *api.Error with 404 for transfers that do not exist and those of other keys.
func (m *Manager) Get(ctx context.Context, g accesskey.Grant, id string, files int) (api.Transfer, error) {
	s, err := m.get(ctx, g, id)
	if err != nil {
		return api.Transfer{}, err
	}
	if r := m.runOf(id); r != nil {
		s = latest(s, r.live.snapshot())
	}
	t := m.view(&s)
	list, _, err := m.cfg.State.Sessions(ctx, state.SessionFilter{Job: id, Newest: true}, state.Page{Limit: 100})
	if err != nil {
		return t, err
	}
	for _, row := range list {
		x, err := viewSession(row)
		if err != nil {
			return t, err
		}
		t.Sessions = append(t.Sessions, x)
		if files <= len(t.Files) {
			continue
		}
		fs, _, err := m.cfg.State.Files(ctx, state.FileFilter{Session: row.ID}, state.Page{Limit: min(files-len(t.Files), 1000)})
		if err != nil {
			return t, err
		}
		for _, f := range fs {
			v, err := viewFile(f)
			if err != nil {
				return t, err
			}
			v.Session = x.ID
			t.Files = append(t.Files, v)
		}
	}
	return t, nil
}

// Filter chooses transfers.
type Filter struct {
	Key    string // "" = all that the grant may see
	Active bool   // only those that are not over
	Since  int64  // a point that List has returned: only what has changed since, in the order in which it did
	Count  int    // at most, 0 means 100; 1,000 are the most
	// Match, unless it is nil, says whether a transfer is wanted, which has neither sessions nor files. It is asked of maxLooked transfers at most.
	Match func(api.Transfer) bool
}

// maxLooked bounds the transfers that one List looks at.
const maxLooked = 10_000

// List returns transfers, newest first or, with Since, oldest first, and the point up to which they were told.
func (m *Manager) List(ctx context.Context, g accesskey.Grant, f Filter) (list []api.Transfer, point int64, err error) {
	if !g.Master {
		if f.Key != "" && f.Key != g.KeyID {
			return nil, f.Since, nil
		}
		f.Key = g.KeyID
	}
	if f.Count <= 0 {
		f.Count = 100
	}
	f.Count = min(f.Count, 1000)
	running := m.snapshots()
	point = f.Since
	after := ""
	looked := 0
	for len(list) < f.Count && looked < maxLooked {
		rows, next, err := m.cfg.State.Jobs(ctx, state.JobFilter{Key: f.Key, Since: f.Since, Newest: f.Since == 0}, state.Page{After: after, Limit: f.Count})
		if err != nil {
			return nil, 0, err
		}
		for _, j := range rows {
			if len(list) == f.Count {
				return list, point, nil
			}
			point = max(point, j.Iter)
			s, err := decodeJob(j)
			if err != nil {
				return nil, 0, err
			}
			if !mayTouch(g, &s) {
				continue
			}
			if now, ok := running[j.ID]; ok {
				s = latest(s, now)
			}
			if f.Active && api.TransferStatus(s.row.Status).Over() {
				continue
			}
			if v := m.view(&s); f.Match == nil || f.Match(v) {
				list = append(list, v)
			}
		}
		looked += len(rows)
		if next == "" {
			break
		}
		after = next
	}
	return list, point, nil
}

// apply changes rates.
func apply(c *api.ChangeTransfer, r *fasp.Rates) error {
	const most = int64(transfer.MaxRate / fasp.Kbps)
	bad := func(what string) error { return api.Errorf(http.StatusBadRequest, "%s", what) }
	if c.TargetRate != nil {
		if *c.TargetRate < 0 || *c.TargetRate > most {
			return bad("target_rate_kbps is out of range")
		}
		r.Target = fasp.Rate(*c.TargetRate) * fasp.Kbps
	}
	if c.MinRate != nil {
		if *c.MinRate < 0 || *c.MinRate > most {
			return bad("min_rate_kbps is out of range")
		}
		r.Min = fasp.Rate(*c.MinRate) * fasp.Kbps
	}
	if c.RatePolicy != nil {
		p, err := fasp.ParsePolicy(*c.RatePolicy)
		if err != nil {
			return bad("rate_policy: " + err.Error())
		}
		r.Policy = p
	}
	if r.Policy == fasp.Fixed && r.Target == 0 {
		return bad("policy fixed needs a target rate")
	}
	return nil
}

// merged puts what c changes over what was changed before.
func merged(old, c *api.ChangeTransfer) *api.ChangeTransfer {
	if c.TargetRate == nil && c.MinRate == nil && c.RatePolicy == nil {
		return old
	}
	next := api.ChangeTransfer{}
	if old != nil {
		next = *old
	}
	if c.TargetRate != nil {
		next.TargetRate = c.TargetRate
	}
	if c.MinRate != nil {
		next.MinRate = c.MinRate
	}
	if c.RatePolicy != nil {
		next.RatePolicy = c.RatePolicy
	}
	return &next
}

// wish is what a change wants to happen.
type wish int

const (
	wishNothing wish = iota
	wishCancel
	wishPause
	wishRun
)

func parseWish(status *string) (wish, error) {
	if status == nil {
		return wishNothing, nil
	}
	switch *status {
	case "canceled", "cancelled", "stopped":
		return wishCancel, nil
	case "paused":
		return wishPause, nil
	case "running", "resume":
		return wishRun, nil
	}
	return 0, api.Errorf(http.StatusBadRequest, "status %q: want canceled, paused or running", *status)
}

// Change cancels, pauses or resumes a job, or changes its rates, which hold at once if it is running, and for all later tries. What is over stays as it is. It returns when the change is
// durable; a running job may take a moment longer to end. Errors: *api.Error with 404 as for Get, 409 for what is over, and for sessions of clients, which only they can change.
func (m *Manager) Change(ctx context.Context, g accesskey.Grant, id string, c api.ChangeTransfer) error {
	w, err := parseWish(c.Status)
	if err != nil {
		return err
	}
	for { // somebody else may change it at the same time
		s, err := m.get(ctx, g, id)
		if err != nil {
			return err
		}
		switch {
		case w == wishCancel && s.row.Status == string(api.Canceled), w == wishPause && s.row.Status == string(api.Paused) && merged(nil, &c) == nil:
			return nil
		case api.TransferStatus(s.row.Status).Over():
			return api.Errorf(http.StatusConflict, "the transfer is over: %s", s.row.Status)
		case s.doc.Initiator != initiatorNode:
			return api.Errorf(http.StatusConflict, "a client runs this transfer; only it can change it")
		}
		if err = m.checkRates(ctx, &s, &c); err == nil {
			err = m.changeTo(ctx, s, &c, w)
		}
		if errors.Is(err, state.ErrConflict) {
			continue
		}
		return err
	}
}

// checkRates refuses rates that do not fit together.
func (m *Manager) checkRates(ctx context.Context, s *stored, c *api.ChangeTransfer) error {
	next := merged(s.doc.Rates, c)
	if next == s.doc.Rates {
		return nil
	}
	spec, _, err := m.spec(ctx, s.row.ID)
	if errors.Is(err, state.ErrNotFound) {
		return state.ErrConflict // it has ended meanwhile
	}
	if err != nil {
		return err
	}
	return apply(next, &spec.Rates)
}

func (m *Manager) changeTo(ctx context.Context, s stored, c *api.ChangeTransfer, w wish) error {
	if r := m.runOf(s.row.ID); r != nil {
		return m.changeRunning(ctx, r, c, w)
	}
	if s.row.Status == string(api.Running) {
		// It has ended since it was read, or this node does not run jobs at the moment.
		j, err := m.cfg.State.Job(ctx, s.row.ID)
		if err != nil {
			return err
		}
		if j.Rev != s.row.Rev {
			return state.ErrConflict
		}
		return api.Errorf(http.StatusServiceUnavailable, "the node does not run transfers at the moment; try again")
	}
	s.doc.Rates = merged(s.doc.Rates, c)
	switch w {
	case wishCancel:
		s.row.Status, s.row.NextTry, s.report.End = string(api.Canceled), time.Time{}, usec(m.cfg.Now())
	case wishPause:
		s.row.Status, s.row.NextTry = string(api.Paused), time.Time{}
	case wishRun:
		s.row.Status, s.row.NextTry = string(api.Waiting), m.now()
	}
	row, err := s.encode()
	if err != nil {
		return err
	}
	err = m.cfg.State.Update(ctx, func(tx *state.Tx) error {
		if _, err := tx.UpdateJob(ctx, row); err != nil || w != wishCancel {
			return err
		}
		if err := tx.SetJobSpec(ctx, row.ID, nil); err != nil {
			return err
		}
		return tell(ctx, tx, &s, "transfer.ended")
	})
	m.look()
	return err
}

// repace changes the rates of a try, at once.
func (r *run) repace(c *api.ChangeTransfer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.spec == nil {
		return nil // it will look into the row
	}
	rates, ok := r.rates.Rates()
	if !ok {
		rates = r.spec.Rates
	}
	if err := apply(c, &rates); err != nil {
		return err
	}
	return r.rates.SetRates(rates)
}

// changeRunning changes a job that is being tried. What it becomes by being ended is written by the one who tries it.
func (m *Manager) changeRunning(ctx context.Context, r *run, c *api.ChangeTransfer, w wish) error {
	if merged(nil, c) != nil {
		if err := r.live.change(ctx, func(s *stored) { s.doc.Rates = merged(s.doc.Rates, c) }); err != nil {
			return err
		}
		if err := r.repace(c); err != nil {
			return err
		}
	}
	switch w {
	case wishCancel:
		r.cancel(errCanceled)
	case wishPause:
		r.cancel(errPaused)
	case wishNothing, wishRun:
		return nil
	}
	select {
	case <-r.done:
		return state.ErrConflict // to see what it has become
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
