package jobs

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// recorder writes what happens in sessions into the state store, in the background. Events only change what stands in memory: the newest state of each session, and files that are to be added.
// A writer goroutine takes both, as often as it can.
type recorder struct {
	store *state.Store
	bad   *complaints
	paces *paces
	wake  chan struct{} // holds a token when there is something to write

	files atomic.Int64 // that wait in all sessions

	// What waits in memory to be written down at most, while there is no room for it: beyond that files are only counted, and sessions that are over are forgotten.
	mostFiles    int64
	mostSessions int

	mu    sync.Mutex // guards what follows
	dirty map[*track]struct{}
	turn  chan struct{} // closed and replaced when the writer has done a round
}

func newRecorder(s *state.Store, bad *complaints, p *paces) *recorder {
	return &recorder{store: s, bad: bad, paces: p, mostFiles: 200_000, mostSessions: 10_000, wake: make(chan struct{}, 1), dirty: make(map[*track]struct{}), turn: make(chan struct{})}
}

// track is one session of a transfer.
type track struct {
	rec      *recorder
	job      string // id of the transfer
	row      string // id of the session's row, which is our own: the one that the other side gave the session may be anybody's
	tenant   string
	key      string
	keyMade  int64  // see jobDoc.KeyMade
	usageID  string // see jobDoc
	out      bool   // the node sends
	maxFiles int
	served   *jobDoc                // of a session that a client has begun, which is a transfer of its own
	before   transfer.SessionRecord // what sessions of the same try came to before this one, which its own record has in it

	mu      sync.Mutex // guards what follows
	session api.TransferSession
	record  transfer.SessionRecord
	files   []state.File // to be added
	count   int          // of files that were taken
	paced   int64        // bytes that were noted of how fast it is
	seen    time.Time    // when progress was last handed on
	made    bool         // the row is there
	counted bool         // its end is in the sums of usage
	rev     int64
	jobRev  int64 // of the transfer's row
}

// every is how often the progress of a session is written.
const every = 2 * time.Second

// event takes an event in; it does not wait for anything but other events.
func (t *track) event(e transfer.Event) {
	now := e.Time
	t.mu.Lock()
	s := e.Session
	t.record = s
	x := &t.session
	if x.ID == "" {
		x.ID = s.ID
	}
	x.Status = "running"
	x.Start, x.Elapsed = usec(s.Started), now.Sub(s.Started).Microseconds()
	x.BytesTransferred, x.BytesWritten = s.BytesSent-t.before.BytesSent, s.BytesDone-t.before.BytesDone
	x.FilesCompleted, x.Directories = s.FilesDone-t.before.FilesDone, s.Folders-t.before.Folders
	if x.Elapsed > 0 {
		x.AvgRateKbps = x.BytesTransferred * 8000 / x.Elapsed
	}
	if e.Kind == transfer.EventProgress || e.Kind == transfer.EventSessionEnded {
		st := e.Session.Transport
		x.NetworkDelay = st.RTT.Microseconds()
		x.BytesLost = int64(st.Lost) * int64(st.Datagram)
		if t.maxFiles > 0 { // see write
			t.rec.paces.note(paceID{t.job, t.out}, t.key, t.keyMade, x.BytesTransferred-t.paced, e.Kind == transfer.EventSessionEnded)
			t.paced = x.BytesTransferred
		}
	}
	write := false
	switch e.Kind {
	case transfer.EventSessionStarted:
		write = true
	case transfer.EventProgress:
		write = now.Sub(t.seen) >= every
	case transfer.EventSessionEnded:
		x.Status, x.End = "completed", usec(now)
		if s.Error != "" {
			x.Status, x.ErrorCode, x.ErrorDesc = "failed", int(s.Code), s.Error
		}
		write = true
	case transfer.EventFileDone, transfer.EventFileSkipped, transfer.EventFileFailed:
		write = t.file(e.Kind, e.File)
	}
	if write {
		t.seen = now
	}
	t.mu.Unlock()
	if write {
		t.rec.put(t)
	}
}

// fileBatch is how many files of a session gather before they are written, unless its progress is written anyway.
const fileBatch = 500

// file takes a file in and says whether it is time to write. t.mu is held.
func (t *track) file(k transfer.EventKind, f transfer.FileRecord) bool {
	if t.count >= t.maxFiles || t.rec.files.Load() >= t.rec.mostFiles {
		return false
	}
	t.rec.files.Add(1)
	t.count++
	d := fileDoc{Kind: "file", Start: f.Offset + f.BytesResumed, Error: f.Error}
	switch {
	case f.Folder:
		d.Kind = "directory"
	case f.Link:
		d.Kind = "link"
	}
	if len(f.Digest) > 0 {
		d.Checksum, d.Digest = f.Checksum.String(), hex.EncodeToString(f.Digest)
	}
	status := map[transfer.EventKind]string{transfer.EventFileDone: "completed", transfer.EventFileSkipped: "skipped", transfer.EventFileFailed: "failed"}[k]
	doc, err := json.Marshal(d)
	if err != nil {
		return false // BUG: fileDoc always encodes
	}
	t.files = append(t.files, state.File{Session: t.row, Path: f.Name, Size: f.Size, Bytes: f.BytesSent, Status: status, Code: int64(f.Code), Doc: doc})
	return len(t.files) >= fileBatch
}

// fileDoc is the rest of a file.
type fileDoc struct {
	Kind     string `json:"kind"`
	Start    int64  `json:"start,omitempty"`
	Checksum string `json:"checksum,omitempty"`
	Digest   string `json:"digest,omitempty"`
	Error    string `json:"error,omitempty"`
}

// put marks a session to be written, soon.
func (r *recorder) put(t *track) {
	r.mark(t)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run writes until ctx ends, and then what is left.
func (r *recorder) run(ctx context.Context) {
	again := time.NewTicker(5 * time.Second) // for what could not be written
	defer again.Stop()
	ok := true
	for {
		wake := r.wake
		if !ok {
			wake = nil // whatever happens in sessions: nothing is gained by trying more often
		}
		select {
		case <-wake:
			ok = r.round(context.WithoutCancel(ctx))
		case <-again.C:
			ok = r.round(context.WithoutCancel(ctx))
		case <-ctx.Done():
			r.round(context.WithoutCancel(ctx))
			return
		}
	}
}

// round writes all sessions that are marked. What cannot be written is marked again and tried with the next round; ok says whether there is none of that.
func (r *recorder) round(ctx context.Context) (ok bool) {
	r.mu.Lock()
	list := r.dirty
	r.dirty = make(map[*track]struct{})
	done := r.turn
	r.turn = make(chan struct{})
	r.mu.Unlock()
	defer close(done)
	var failed error
	for t := range list {
		if errors.Is(failed, state.ErrFull) { // which others will find, too
			r.mark(t)
		} else if err := t.write(ctx, r.store); errors.Is(err, state.ErrInvalid) { // as it will be in each later round
			t.giveUp()
			r.bad.failed(badLost, err, "lost", 1)
		} else if err != nil {
			failed = err
			r.mark(t)
		}
	}
	if failed != nil {
		r.bad.failed(badRecord, failed)
		r.shed()
	} else if len(list) > 0 {
		r.bad.fine(badRecord)
	}
	return failed == nil
}

// shed forgets sessions that are over, if too many wait.
func (r *recorder) shed() {
	r.mu.Lock()
	over := len(r.dirty) - r.mostSessions
	var gone []*track
	for t := range r.dirty {
		if len(gone) >= over {
			break
		}
		if t.over() {
			gone = append(gone, t)
			delete(r.dirty, t)
		}
	}
	r.mu.Unlock()
	for _, t := range gone {
		t.giveUp()
	}
	if len(gone) > 0 {
		r.bad.failed(badLost, errors.New("more sessions than can wait in memory"), "lost", len(gone))
	}
}

// over says whether a session has ended.
func (t *track) over() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.session.End != 0
}

// giveUp forgets what is to be written of a session.
func (t *track) giveUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.maxFiles = 0
	t.rec.files.Add(int64(-len(t.files)))
	t.files = nil
}

// mark makes a round write a session.
func (r *recorder) mark(t *track) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dirty[t] = struct{}{}
}

// flush returns when all that was put before has been written, or could not be.
func (r *recorder) flush(ctx context.Context) error {
	for range 2 { // the round under way may have begun before
		r.mu.Lock()
		done := r.turn
		r.mu.Unlock()
		select {
		case r.wake <- struct{}{}:
		default:
		}
		select {
		case <-done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// write brings the row of a session up to date and adds its files.
func (t *track) write(ctx context.Context, store *state.Store) error {
	t.mu.Lock()
	x, record, made, rev := t.session, t.record, t.made, t.rev
	count := x.End != 0 && !t.counted
	var files []state.File
	if x.ID != "" { // a file may have failed before the session was agreed
		files, t.files = t.files, nil
	}
	t.mu.Unlock()
	if x.ID == "" {
		return nil
	}
	doc, err := json.Marshal(x)
	if err != nil {
		return err
	}
	row := state.Session{
		ID: t.row, Job: t.job, Tenant: t.tenant, Key: t.key, Status: x.Status, Started: time.UnixMicro(x.Start), Bytes: x.BytesTransferred, Doc: doc, Rev: rev,
	}
	if x.End != 0 {
		row.Ended = time.UnixMicro(x.End)
	}
	var job state.Job
	if t.served != nil {
		if job, err = t.transferRow(x, record); err != nil {
			return err
		}
	}
	err = store.Update(ctx, func(tx *state.Tx) (err error) {
		switch {
		case t.served == nil:
		case made:
			job, err = tx.UpdateJob(ctx, job)
		default:
			job, err = tx.CreateJob(ctx, job)
		}
		if err != nil {
			return err
		}
		if t.served != nil {
			if err := t.tellServed(ctx, tx, job, !made, count); err != nil {
				return err
			}
		}
		if made {
			row, err = tx.UpdateSession(ctx, row)
		} else {
			row, err = tx.CreateSession(ctx, row)
		}
		if err == nil && len(files) > 0 {
			err = tx.AddFiles(ctx, files)
		}
		if err == nil && count {
			err = tx.AddUsage(ctx, []state.Usage{usageOf(t.key, t.tenant, t.usageID, t.out, x)})
		}
		return err
	})
	if errors.Is(err, state.ErrNotFound) || errors.Is(err, state.ErrConflict) || errors.Is(err, state.ErrExists) {
		t.rec.files.Add(int64(-len(files)))
		t.giveUp()
		t.rec.paces.drop(t.job)
		return nil // its history was forgotten while it went on; what comes of it belongs to nobody
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.files = append(files, t.files...)
		return err
	}
	t.rec.files.Add(int64(-len(files)))
	t.made, t.rev, t.jobRev, t.counted = true, row.Rev, job.Rev, t.counted || count
	return nil
}

// usageOf is what a session that has ended moved.
func usageOf(key, tenant, id string, out bool, x api.TransferSession) state.Usage {
	u := state.Usage{Key: key, Tenant: tenant, ID: id, Hour: time.UnixMicro(x.End), Sessions: 1}
	if out {
		u.BytesOut, u.FilesOut = x.BytesTransferred, x.FilesCompleted
	} else {
		u.BytesIn, u.FilesIn = x.BytesTransferred, x.FilesCompleted
	}
	return u
}
