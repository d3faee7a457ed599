package transfer

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/zeebo/blake3"

	"github.com/tradewind-io/tradewind/fasp"
)

// Run does the job that spec describes, as the client. It resumes by itself after a lost link, until
// Config.RetryTimeout has passed without progress, and never asks again for a file that was confirmed.
//
// The Result says what was done, also when the error is not nil. The error is an *Error; with
// CodeSomeFileErrors the job was done but for the files that Result.Errors lists. When ctx ends, Run keeps
// what is durable for a later Run and returns with CodeUserCancel.
func Run(ctx context.Context, cfg Config, spec Spec) (*Result, error) {
	return run(ctx, cfg, spec, false)
}

func run(ctx context.Context, cfg Config, spec Spec, measure bool) (*Result, error) {
	started := time.Now()
	res := &Result{}
	rep := &reporter{fn: cfg.Events, result: res, limit: orDefault(cfg.MaxErrors, defaultMaxErrors)}
	rep.base = SessionRecord{Role: RoleClient, Direction: spec.Direction, Host: spec.Host, User: spec.User}
	c := &client{
		cfg: cfg, spec: spec, measure: measure, rep: rep, log: logger(cfg.Logger),
		mem: &memory{limit: orDefault(cfg.MaxRemembered, defaultMaxRemembered)},
	}
	err := c.run(ctx)
	rep.finish()
	res.Elapsed = time.Since(started)
	res.Durable = spec.Durability != DurabilityNone && c.begun
	if err != nil {
		return res, sessionError(err)
	}
	if res.FilesFailed == 1 {
		return res, failf(CodeSomeFileErrors, "", "1 file failed")
	}
	if res.FilesFailed > 0 {
		return res, failf(CodeSomeFileErrors, "", "%d files failed", res.FilesFailed)
	}
	return res, nil
}

// client is one Run.
type client struct {
	cfg  Config
	spec Spec

	measure bool // the server's side is memory, too

	rep *reporter
	log *slog.Logger
	mem *memory

	store   Store
	sources []source
	names   []string // below the destination, for each source
	folder  string   // id of the one at the server
	dest    string   // in the store, for a download
	job     id16
	runID   uint64

	interrupted bool // an earlier run of the job did not end well, as far as is known
	journal     *journal
	met         bool // a server answered
	begun       bool // a server took up the job, or may have
}

func (c *client) run(ctx context.Context) error {
	if err := c.spec.Check(); err != nil {
		return err
	}
	c.folder, _ = c.spec.FolderID() // which Check has tried
	if c.cfg.Dial == nil {
		return failf(CodeUsage, "", "no way to reach the server: Config.Dial is nil")
	}
	if err := c.open(ctx); err != nil {
		return err
	}
	defer c.closeStore()
	c.job = c.jobID()
	if c.measure {
		_, _ = rand.Read(c.job[:]) // nobody's work that another one would go on with
	}
	var b [8]byte
	_, _ = rand.Read(b[:])
	c.runID = binary.BigEndian.Uint64(b[:])
	c.rep.update(func(s *SessionRecord) { s.Job = hexOf(c.job[:]) })

	var err error
	if c.journal, err = openJournal(c.cfg.StateDir, c.job); err != nil {
		return err
	}
	c.interrupted = c.journal.interrupted
	if err := c.attempts(ctx); err != nil {
		if !c.begun && (refused(err) || !c.met) {
			return errors.Join(err, c.journal.forget()) // nothing of the job is at the server
		}
		return err
	}
	if c.rep.filesFailed.Load() > 0 {
		return nil // parts of failed files may have stayed: the next run is to ask for them
	}
	return c.journal.done()
}

// attempts runs sessions until one ends well.
func (c *client) attempts(ctx context.Context) error {
	wait := orDefault(c.cfg.RetryWait, defaultRetryWait)
	limit := orDefault(c.cfg.RetryTimeout, defaultRetryTimeout)
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(wait), backoff.WithMultiplier(2),
		backoff.WithMaxInterval(60*wait), backoff.WithMaxElapsedTime(0))
	moved := c.rep.progress.Load()
	since := time.Now()
	for n := 1; ; n++ {
		err := c.attempt(ctx, n)
		if err == nil || ctx.Err() != nil || limit < 0 || !retryable(err) || !c.met && !polite(err) {
			return cause(ctx, err)
		}
		if now := c.rep.progress.Load(); now != moved {
			moved, since = now, time.Now()
			pause.Reset()
		}
		d := pause.NextBackOff()
		if time.Since(since)+d > limit {
			return err
		}
		c.log.Info("link lost; trying again", "attempt", n, "wait", d, "err", err)
		c.rep.emit(EventRetry, nil, err)
		t := time.NewTimer(d)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		}
	}
}

// polite says whether err is a server's own wish that we come later; a server that was never reached is
// not tried again for any other reason, so that a wrong name or port shows at once.
func polite(err error) bool {
	var pe *fasp.PeerError
	return errors.As(err, &pe) && (pe.Code == fasp.CodeBusy || pe.Code == fasp.CodeShutdown)
}

// refused says that err is a server's word that it does not take the session: it has touched nothing for it.
func refused(err error) bool {
	var pe *fasp.PeerError
	return polite(err) || errors.As(err, &pe) && pe.Code == fasp.CodeAuth
}

// attempt is one session.
func (c *client) attempt(ctx context.Context, n int) error {
	c.rep.result.Attempts = n
	if c.cfg.Control != nil {
		if r, ok := c.cfg.Control.Rates(); ok {
			c.spec.Rates = r // which Dial sees
		}
	}
	c.rep.update(func(s *SessionRecord) { s.Attempt, s.Started, s.ID = n, time.Now(), "" })
	sess, err := c.cfg.Dial(ctx, &c.spec)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if err := c.journal.begin(); err != nil {
		closeSession(sess, ctx, err, fasp.CodeCancelled)
		return err
	}
	bond := fasp.NewBond(sess)
	sess = bond
	stop := c.rep.watch(ctx, sess)
	err = c.session(ctx, bond, n)
	if met(sess) {
		c.met = true
		c.begun = c.begun || !refused(err)
	}
	stop()
	closeSession(sess, ctx, err, fasp.CodeCancelled)
	st := sess.Stats()
	c.rep.emit(EventSessionEnded, &st, err)
	return err
}

// met says whether the server of a session has answered, which may have begun before.
func met(sess fasp.Session) bool {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return sess.Confirmed(ctx) == nil
}

// session does what is left of the job over sess.
func (c *client) session(ctx context.Context, sess *fasp.Bond, n int) error {
	req := c.request(n)
	ctx, cancel := context.WithCancel(ctx)
	more := &joiner{c: c, bond: sess}
	defer more.wait()
	defer cancel() // ends its work
	j := job{sess: sess, store: c.store, req: req, out: newOutbox(), in: &inbox{sess: sess}, rep: c.rep, log: c.log, mem: c.mem}
	workers := orDefault(c.cfg.Workers, defaultWorkers)
	if c.spec.Direction == Send {
		sess.SetRates(c.spec.Rates)
		// What earlier sessions settled is not walked into the totals again.
		c.rep.filesTotal.Store(c.rep.filesDone.Load() + c.rep.filesSkipped.Load())
		c.rep.bytesTotal.Store(c.rep.bytesDone.Load())
		mode := modeOptimistic
		if n > 1 || c.cfg.TellSources || c.interrupted && (req.Resume > 0 || req.Overwrite != OverwriteAlways) {
			mode = modeAsk
			req.Flags |= flagAsk
		}
		defer c.cfg.Control.begin(sess.SetRates)()
		s := newSender(j, c.sources, c.srcBase(), mode, workers)
		s.tell = c.cfg.TellSources
		j.out.put(recRequest, req.encode())
		return s.run(ctx, c.expectAnswer(func(a *answer) {
			s.answered(a)
			more.begin(ctx, a.Session)
		}))
	}
	dest, err := findDestination(ctx, c.store, c.dest, req.Flags&flagSingle != 0, req.Flags&flagCreateDir != 0, roots(c.names))
	if err == nil {
		err = dest.prepare(ctx, c.store)
	}
	if err != nil {
		return err
	}
	if dest.fresh && n == 1 {
		req.Flags |= flagFresh
	}
	req.Parts = ruleOf(c.store)
	j.out.put(recRequest, req.encode())
	putSources(j.out, c.sources)
	defer c.cfg.Control.begin(func(r fasp.Rates) { j.out.put(recRates, encodeRates(r)) })()
	r := newReceiver(j, dest, workers)
	r.fresh = dest.fresh && n == 1
	return r.run(ctx, c.expectAnswer(func(a *answer) {
		r.compressed.Store(a.Compression != CompressionOff)
		more.begin(ctx, a.Session)
	}))
}

// expectAnswer handles the server's first record and lets everything else pass.
func (c *client) expectAnswer(fn func(*answer)) func(uint64, []byte) (bool, error) {
	answered := false
	return func(typ uint64, body []byte) (bool, error) {
		if answered {
			return false, nil
		}
		if typ != recAnswer {
			return false, protocolError(fmt.Errorf("record %d where an answer is due", typ))
		}
		a, err := decodeAnswer(body)
		if err != nil {
			return false, protocolError(err)
		}
		if a.Version != wireVersion {
			return false, protocolError(fmt.Errorf("the server answers in version %d", a.Version))
		}
		if a.Compression != CompressionOff && a.Compression != c.spec.Compression {
			return false, protocolError(fmt.Errorf("the server answers %s compression to an offer of %s", a.Compression, c.spec.Compression))
		}
		answered, c.begun = true, true
		c.rep.update(func(s *SessionRecord) { s.ID, s.RateCap = hexOf(a.Session[:]), fasp.Rate(a.MaxRate) })
		c.rep.emit(EventSessionStarted, nil, nil)
		fn(a)
		return true, nil
	}
}

func (c *client) request(n int) *request {
	s := &c.spec
	q := &request{
		Version: wireVersion, Direction: s.Direction, Job: c.job, Run: c.runID, Resume: uint64(s.Resume.Level()),
		Overwrite: s.Overwrite, Symlinks: s.Symlinks, Checksum: s.Checksum, Durable: s.Durability, BlockSize: uint64(s.blockSize()), Compression: s.Compression,
		ReadSize: uint64(s.ReadSize), WriteSize: uint64(s.WriteSize),
	}
	set := func(on bool, f uint64) {
		if on {
			q.Flags |= f
		}
	}
	set(n > 1, flagRetry)
	set(c.measure, flagMeasure)
	set(s.CreateDir, flagCreateDir)
	set(len(s.Paths) == 1 && !s.FromList && s.Paths[0].Destination == "", flagSingle)
	set(s.PreserveTimes || s.PreserveMtime, flagMtime)
	set(s.PreserveTimes || s.PreserveAtime, flagAtime)
	set(s.PreserveMode, flagMode)
	set(s.SkipSpecial, flagSkipSpecial)
	q.Filters = s.Filters
	q.Folder, q.Cookie, q.Title, q.Tags = c.folder, s.Cookie, s.Title, s.Tags
	q.Part, q.Split = s.Part, uint64(s.Split)
	q.Policy, q.Target, q.Min = uint64(s.Rates.Policy), uint64(s.Rates.Target), uint64(s.Rates.Min)
	if s.Direction == Send {
		q.Dest = s.Destination
		q.Roots = roots(c.names)
		return q
	}
	q.SrcBase = s.SrcBase
	q.Sources = uint64(len(c.sources))
	return q
}

// putSources sends the list of sources in as many records as it takes.
func putSources(o *outbox, list []source) {
	for len(list) > 0 {
		n, size := 0, 0
		for n < len(list) && size+len(list[n].Source)+len(list[n].Dest)+8 < maxRecord/2 {
			size += len(list[n].Source) + len(list[n].Dest) + 8
			n++
		}
		o.put(recSources, encodeSources(list[:n]))
		list = list[n:]
	}
}

// roots returns the top-level names of a job, or none if they are too many to ask for.
func roots(names []string) []string {
	seen := make(map[string]bool)
	var out []string
	size := 0
	for _, n := range names {
		top, _, _ := strings.Cut(n, "/")
		if top == "" {
			return nil
		}
		if seen[top] {
			continue
		}
		seen[top] = true
		out = append(out, top)
		if size += len(top) + 2; len(out) > maxRoots || size > maxRecord/4 {
			return nil
		}
	}
	return out
}

// jobID names the work: the same for every attempt and every Run at it.
func (c *client) jobID() id16 {
	h := blake3.New()
	put := func(parts ...string) {
		for _, p := range parts {
			var b [8]byte
			binary.BigEndian.PutUint64(b[:], uint64(len(p)))
			_, _ = h.Write(b[:])
			_, _ = h.WriteString(p)
		}
	}
	s := &c.spec
	put("tradewind job 1", s.Direction.String(), c.cfg.Origin, s.Host, fmt.Sprint(s.Port), s.User, s.Destination, s.SrcBase)
	if s.Direction == Receive {
		put(c.dest)
	}
	for i, p := range c.sources {
		put(p.Source, p.Dest)
		if c.cfg.Open != nil { // places that differ
			put(s.Paths[i].Source)
		}
	}
	if c.cfg.Open != nil && s.Direction == Receive {
		put(s.Destination)
	}
	if c.folder != "" {
		put("folder", c.folder)
	}
	if s.Part != (Part{}) {
		put(fmt.Sprint("part ", s.Part.Index, " of ", s.Part.Count))
	}
	var id id16
	var sum [rootSize]byte
	h.Sum(sum[:0])
	copy(id[:], sum[:])
	return id
}

// open opens the local side.
func (c *client) open(ctx context.Context) error {
	var err error
	if c.spec.Direction == Send {
		err = c.openSources(ctx)
	} else {
		err = c.openDestination(ctx)
	}
	if err == nil {
		c.names, err = destNames(c.sources, c.srcBase())
	}
	if err != nil && c.store != nil {
		c.closeStore()
	}
	return err
}

// closeStore lets go of the place of the local paths.
func (c *client) closeStore() {
	if !c.cfg.KeepOpen {
		_ = c.store.Close()
	}
}

// srcBase is the source base as the sources are written.
func (c *client) srcBase() string {
	if c.spec.Direction == Send && c.cfg.Open == nil && c.spec.SrcBase != "" {
		if rel, err := localName(c.spec.SrcBase); err == nil {
			return rel
		}
	}
	return c.spec.SrcBase
}

func (c *client) openSources(ctx context.Context) error {
	var names []string
	var err error
	if c.cfg.Open != nil {
		paths := make([]string, len(c.spec.Paths))
		for i, p := range c.spec.Paths {
			paths[i] = p.Source
		}
		names, err = c.openPlace(ctx, paths)
	} else {
		c.store, err = openDirStore(localRoot(c.spec.Paths[0].Source))
	}
	if err != nil {
		return err
	}
	for i, p := range c.spec.Paths {
		var name string
		if names != nil {
			name, err = cleanPath(names[i])
		} else {
			name, err = localName(p.Source)
		}
		if err != nil {
			return fail(CodeBadPath, "open", p.Source, err)
		}
		c.sources = append(c.sources, source{name, p.Destination})
	}
	return nil
}

// openPlace opens the place of local paths by Config.Open.
func (c *client) openPlace(ctx context.Context, paths []string) (names []string, err error) {
	c.store, names, err = c.cfg.Open(ctx, paths)
	if err != nil {
		c.store = nil
		return nil, storeError(CodeBadPath, "open", "", err)
	}
	if len(names) != len(paths) {
		return nil, failf(CodeInternal, "", "BUG: Config.Open returned %d names for %d paths", len(names), len(paths))
	}
	return names, nil
}

func (c *client) openDestination(ctx context.Context) error {
	for _, p := range c.spec.Paths {
		name, err := cleanPath(p.Source)
		if err != nil {
			return err
		}
		c.sources = append(c.sources, source{name, p.Destination})
	}
	var err error
	if c.cfg.Open != nil {
		names, err := c.openPlace(ctx, []string{c.spec.Destination})
		if err == nil {
			c.dest = names[0]
		}
		return err
	}
	// The store's root is the destination itself, so that no link that the server sends leads out of it.
	dest := c.spec.Destination
	folder := c.spec.CreateDir || len(c.spec.Paths) > 1 || c.spec.FromList || c.spec.Paths[0].Destination != "" ||
		strings.HasSuffix(dest, "/")
	fi, serr := os.Stat(dest)
	switch {
	case serr == nil && fi.IsDir():
	case serr == nil && folder:
		return failf(CodeNotDir, dest, "the destination is a file and must be a folder")
	case serr != nil && !errors.Is(serr, fs.ErrNotExist):
		return storeError(CodeNoPerms, "open destination", dest, serr)
	case folder:
		if err := os.MkdirAll(dest, 0o777); err != nil {
			return storeError(CodeNoPerms, "make destination", dest, err)
		}
	default: // a file name, or a folder that is made when it is needed
		parent, base := filepath.Split(filepath.Clean(dest))
		parent = orDefault(parent, ".")
		if err := os.MkdirAll(parent, 0o777); err != nil {
			return storeError(CodeNoPerms, "make destination", dest, err)
		}
		c.dest = base
		c.store, err = openDirStore(parent)
		return err
	}
	c.dest = "."
	c.store, err = openDirStore(dest)
	return err
}

// openDirStore is OpenDir whose result is nil on error, not a nil *Dir in an interface.
func openDirStore(dir string) (Store, error) {
	d, err := OpenDir(dir)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// localRoot is the root of the file system that p lies on.
func localRoot(p string) string {
	abs, err := filepath.Abs(p)
	if err != nil {
		abs = p
	}
	return filepath.VolumeName(abs) + string(filepath.Separator)
}

// localName is the name of a local path below localRoot.
func localName(p string) (string, error) {
	abs, err := filepath.Abs(p)
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(localRoot(p), abs)
	return filepath.ToSlash(rel), err
}
