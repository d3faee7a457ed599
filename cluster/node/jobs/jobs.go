package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// Config sets up a Manager. All but the bounds, Log and the clocks is required.
type Config struct {
	State  *state.Store
	Master accesskey.Master // seals specifications, which hold tokens
	Keys   accesskey.Store
	// Open opens the place that a grant is bound to; release is called when it is not used any more.
	Open func(ctx context.Context, g accesskey.Grant) (_ transfer.Manager, release func(), err error)
	// Dial opens an authenticated session with another node for a job of the key that g is of.
	Dial func(ctx context.Context, g accesskey.Grant, to Remote) (fasp.Session, error)
	// StateDir is a folder for markers of unfinished transfers; see transfer.Config.StateDir.
	StateDir string

	MaxRunning   int           // jobs at a time, 0 means 20
	MaxTries     int           // how often a job is tried at most, 0 means 4; a specification may ask for less
	RetryTimeout time.Duration // how long one try goes on while nothing moves; 0 means a minute
	RetryWait    time.Duration // before the second try, and twice as long before each further one; 0 means 10 s
	MaxFiles     int           // files remembered of one session, 0 means 1,000, as many as are shown at once
	MaxWaiting   int           // jobs that wait or run, of one key; 0 means 10,000

	Log     *slog.Logger         // nil is silent
	Now     func() time.Time     // nil is the system's clock; it may be set while jobs run
	Running func() time.Duration // since any moment; nil is the system's running time
}

// Remote is the other node of a job.
type Remote struct {
	Host        string
	Port        int              // UDP
	Opener      accesskey.Opener // what it is shown
	Fingerprint string           // of its key, "sha256:...", "" if the job does not say
	Spec        *transfer.Spec   // its rates and sizes
}

// Manager runs jobs; see the package. Methods may be called by several goroutines at once.
type Manager struct {
	cfg   Config
	log   *slog.Logger
	rec   *recorder
	clock clock
	bad   *complaints
	paces *paces

	wake     chan struct{} // holds a token when there may be something to start
	stopping chan struct{} // closed when Run ends its jobs

	mu      sync.Mutex // guards what follows
	running map[string]*run
	ended   sync.WaitGroup // of runs
}

// run is a job that is being tried.
type run struct {
	id     string
	key    string
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when what came of it is written
	live   *live
	rates  transfer.Control

	mu    sync.Mutex       // guards what follows
	spec  *transfer.Spec   // nil before the try has begun
	grant *accesskey.Grant // by which it goes; nil before that
}

// Why a run is ended from outside.
var (
	errCanceled = wanted("canceled")
	errPaused   = wanted("paused")
	errStopped  = wanted("the node stops")
	errChanged  = wanted("the access key was changed")
	errDisabled = errors.New("it was disabled while the transfer ran")
)

// wanted is why a run ends that somebody wanted to end: to transfers it is a cancellation.
type wanted string

func (w wanted) Error() string { return string(w) }

// Is says that it is context.Canceled, too.
func (wanted) Is(target error) bool { return target == context.Canceled }

// New makes a Manager. Run starts it.
func New(cfg Config) (*Manager, error) {
	if cfg.State == nil || cfg.Keys == nil || cfg.Open == nil || cfg.Dial == nil {
		return nil, errors.New("jobs: State, Keys, Open and Dial are required")
	}
	def := func(v *int, n int) {
		if *v == 0 {
			*v = n
		}
	}
	def(&cfg.MaxRunning, 20)
	def(&cfg.MaxTries, 4)
	def(&cfg.MaxFiles, 1000)
	def(&cfg.MaxWaiting, 10_000)
	if cfg.RetryTimeout == 0 {
		cfg.RetryTimeout = time.Minute
	}
	if cfg.RetryWait == 0 {
		cfg.RetryWait = 10 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Running == nil {
		began := time.Now()
		cfg.Running = func() time.Duration { return time.Since(began) }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	m := &Manager{cfg: cfg, log: cfg.Log, wake: make(chan struct{}, 1), stopping: make(chan struct{}), running: make(map[string]*run)}
	m.bad = &complaints{log: cfg.Log, running: cfg.Running}
	m.paces = &paces{now: m.now, b: newBandwidth()}
	m.rec = newRecorder(cfg.State, m.bad, m.paces)
	return m, nil
}

// now is the time that waiting goes by. What is told to people is the time of Config.Now.
func (m *Manager) now() time.Time { return m.clock.now(m.cfg.Now(), m.cfg.Running()) }

// lookEvery is how often jobs are looked for that wait for a time.
const lookEvery = time.Second

// Run runs jobs until ctx ends; those that are running then wait for the next Run. It returns when all has been written down. What the node
// was doing when it died last is sorted out first. Errors are those of the state store at the start.
func (m *Manager) Run(ctx context.Context) error {
	if err := m.recover(ctx); ctx.Err() != nil {
		return nil
	} else if err != nil {
		return fmt.Errorf("go on with jobs: %w", err)
	}
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var recording sync.WaitGroup
	recording.Go(func() { m.rec.run(writing) })
	defer recording.Wait()
	defer stop() // what stands in the queue is still written
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		switch err := m.start(ctx); {
		case err == nil:
			m.bad.fine(badStart)
		case ctx.Err() == nil:
			m.bad.failed(badStart, err)
		}
		select {
		case <-m.wake:
		case <-t.C:
		case <-ctx.Done():
			close(m.stopping)
			m.mu.Lock()
			for _, r := range m.running {
				r.cancel(errStopped)
			}
			m.mu.Unlock()
			m.ended.Wait()
			return nil
		}
	}
}

// What goes wrong while there is no room for the state, as the log says it.
const (
	badStart  = "jobs cannot be begun"
	badSave   = "the progress of a job was not written down"
	badEnd    = "the end of a job was not written down"
	badRecord = "sessions were not written down"
	badLost   = "sessions will not be written down"
	badState  = "requests were refused, since the state cannot be written"
)

// look makes Run look for jobs at once.
func (m *Manager) look() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// recover sorts out what was running when the node ended without a word: jobs are tried again, and sessions of clients are over.
func (m *Manager) recover(ctx context.Context) error {
	if err := m.orphans(ctx); err != nil {
		return err
	}
	if err := m.due(ctx); err != nil {
		return err
	}
	for {
		list, _, err := m.cfg.State.Jobs(ctx, state.JobFilter{Status: string(api.Running)}, state.Page{Limit: 100})
		if err != nil || len(list) == 0 {
			return err
		}
		for _, j := range list {
			t, err := decodeJob(j)
			if err != nil {
				return err
			}
			over := false
			if t.doc.Initiator == initiatorNode && t.report.Tries < max(t.doc.MaxTries, 1) {
				t.row.Status, t.row.NextTry = string(api.Waiting), m.now()
			} else {
				t.row.Status, over = string(api.Failed), true
				t.report.ErrorCode, t.report.ErrorDesc, t.report.End = int(transfer.CodeConnectionLost), "the node stopped", usec(m.cfg.Now())
			}
			row, err := t.encode()
			if err == nil {
				err = m.cfg.State.Update(ctx, func(tx *state.Tx) error {
					if _, err := tx.UpdateJob(ctx, row); err != nil || !over {
						return err
					}
					if err := tx.SetJobSpec(ctx, row.ID, nil); err != nil {
						return err
					}
					return tell(ctx, tx, &t, "transfer.ended")
				})
			}
			if err != nil {
				return err
			}
		}
	}
}

// due lets no job wait longer than it would have to from now on: the clock may have been set back since it was told to.
func (m *Manager) due(ctx context.Context) error {
	now, after := m.now(), ""
	for {
		list, next, err := m.cfg.State.Jobs(ctx, state.JobFilter{Status: string(api.Waiting)}, state.Page{After: after, Limit: 1000})
		if err != nil {
			return err
		}
		for _, j := range list {
			s, err := decodeJob(j)
			if err != nil {
				return err
			}
			longest := time.Duration(0)
			if s.report.Tries > 0 {
				longest = m.backoff(s.report.Tries)
			}
			if !j.NextTry.After(now.Add(longest)) {
				continue
			}
			j.NextTry = now.Add(longest)
			if _, err := m.cfg.State.UpdateJob(ctx, j); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		after = next
	}
}

// orphans ends the sessions that a node which was killed left running. What they moved counts as far as it was written down.
func (m *Manager) orphans(ctx context.Context) error {
	for {
		list, _, err := m.cfg.State.Sessions(ctx, state.SessionFilter{Status: "running"}, state.Page{Limit: 100})
		if err != nil || len(list) == 0 {
			return err
		}
		for _, row := range list {
			x, err := viewSession(row)
			if err != nil {
				return err
			}
			x.Status, x.End, x.ErrorCode, x.ErrorDesc = "failed", usec(m.cfg.Now()), int(transfer.CodeConnectionLost), "the node stopped"
			if row.Doc, err = json.Marshal(x); err != nil {
				return err
			}
			row.Status, row.Ended = x.Status, time.UnixMicro(x.End)
			if err := m.endOrphan(ctx, row, x); err != nil {
				return err
			}
		}
	}
}

// endOrphan writes the end of a session, and counts what it moved.
func (m *Manager) endOrphan(ctx context.Context, row state.Session, x api.TransferSession) error {
	return m.cfg.State.Update(ctx, func(tx *state.Tx) error {
		if _, err := tx.UpdateSession(ctx, row); err != nil {
			return err
		}
		j, err := tx.Job(ctx, row.Job)
		if errors.Is(err, state.ErrNotFound) {
			return nil // its history is forgotten
		}
		if err != nil {
			return err
		}
		s, err := decodeJob(j)
		if err != nil {
			return err
		}
		x.End = x.Start + x.Elapsed // as far as it is known to have come
		return tx.AddUsage(ctx, []state.Usage{usageOf(row.Key, row.Tenant, s.doc.UsageID, s.doc.out(), x)})
	})
}

// start begins jobs that are due while there are slots.
func (m *Manager) start(ctx context.Context) error {
	m.mu.Lock()
	free := m.cfg.MaxRunning - len(m.running)
	m.mu.Unlock()
	if free <= 0 {
		return nil
	}
	due, err := m.cfg.State.DueJobs(ctx, m.now(), free, m.busy()...)
	if err != nil {
		return err
	}
	for _, j := range due {
		if slices.Contains(m.busy(), j.Key) {
			m.look() // others may have their turn
			continue
		}
		if err := m.begin(ctx, j); err != nil {
			return err
		}
	}
	return nil
}

// busy returns the keys that have as many jobs running as one may: a quarter of the slots, so that others get theirs.
func (m *Manager) busy() (keys []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := map[string]int{}
	for _, r := range m.running {
		if n[r.key]++; n[r.key] == max(m.cfg.MaxRunning/4, 2) {
			keys = append(keys, r.key)
		}
	}
	return keys
}

// begin makes a job a running one, unless somebody has changed it meanwhile.
func (m *Manager) begin(ctx context.Context, j state.Job) error {
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	r := &run{id: j.ID, key: j.Key, cancel: cancel, done: make(chan struct{}), live: &live{m: m}}
	// Whoever finds the row running finds the run, too, and waits until it has the row.
	r.live.mu.Lock()
	m.mu.Lock()
	m.running[j.ID] = r
	m.mu.Unlock()
	s, err := decodeJob(j)
	r.live.s = s // what others see of it unless the row becomes a running one
	if err == nil {
		s, err = m.started(ctx, s)
	}
	if err == nil {
		r.live.s, r.live.base = s, s.report
	}
	r.live.mu.Unlock()
	if err != nil {
		m.forget(r)
		cancel(nil)
		if errors.Is(err, state.ErrConflict) || errors.Is(err, state.ErrNotFound) {
			return nil
		}
		return err
	}
	m.ended.Go(func() {
		defer cancel(nil)
		m.try(life, r)
		m.forget(r)
		m.look()
	})
	return nil
}

// started writes that a job runs, and returns it as it was written.
func (m *Manager) started(ctx context.Context, s stored) (stored, error) {
	s.row.Status, s.row.NextTry = string(api.Running), time.Time{}
	first := s.report.Tries == 0
	s.report.Tries++ // now, so that a job which the node does not survive is not tried for ever
	if s.report.Start == 0 {
		s.report.Start = usec(m.cfg.Now())
	}
	s.report.End, s.report.ErrorCode, s.report.ErrorDesc = 0, 0, ""
	row, err := s.encode()
	if err != nil {
		return s, err
	}
	err = m.cfg.State.Update(ctx, func(tx *state.Tx) (err error) {
		if s.row, err = tx.UpdateJob(ctx, row); err == nil && first {
			err = tell(ctx, tx, &s, "transfer.started")
		}
		return err
	})
	return s, err
}

// forget takes a run out of the books.
func (m *Manager) forget(r *run) {
	m.mu.Lock()
	delete(m.running, r.id)
	m.mu.Unlock()
	close(r.done)
}

// runOf returns the run of a job, nil if it is not running.
func (m *Manager) runOf(id string) *run {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.running[id]
}

func usec(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
