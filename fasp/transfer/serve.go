package transfer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tradewind-io/tradewind/fasp"
)

// Sessions keeps track of the sessions that a node serves; see ServeConfig. The zero value is ready for
// use, by several goroutines at once.
type Sessions struct {
	mu    sync.Mutex // protects the rest
	live  map[sessionKey]*liveSession
	bonds map[bondKey]*fasp.Bond // transfers that sessions may join
}

type sessionKey struct {
	owner string
	job   id16
}

type liveSession struct {
	cancel context.CancelCauseFunc
	ended  chan struct{}
}

var errReplaced = errors.New("a new session of the same job took over")

// enter registers a session and ends the one before it, if there is one once the session is confirmed. The returned function must be
// called at its end.
func (s *Sessions) enter(ctx context.Context, sess fasp.Session, key sessionKey, cancel context.CancelCauseFunc) (leave func(), err error) {
	if s == nil {
		return func() {}, nil
	}
	me := &liveSession{cancel: cancel, ended: make(chan struct{})}
	old, ok := s.swap(key, me, false)
	if !ok { // a recording of a session must not end that session
		if err := sess.Confirmed(ctx); err != nil {
			return nil, err
		}
		old, _ = s.swap(key, me, true)
	}
	gone := func() {
		s.mu.Lock()
		if s.live[key] == me {
			delete(s.live, key)
		}
		s.mu.Unlock()
		close(me.ended)
	}
	if old != nil {
		old.cancel(errReplaced)
		select {
		case <-old.ended:
		case <-ctx.Done():
			// Whoever waits for us has to wait for the one before, too.
			go func() {
				<-old.ended
				gone()
			}()
			return nil, context.Cause(ctx)
		}
	}
	return gone, nil
}

// swap registers me in place of another one, which it returns. If there is one and it may not be replaced nothing changes, and ok is false.
func (s *Sessions) swap(key sessionKey, me *liveSession, replace bool) (old *liveSession, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old = s.live[key]
	if old != nil && !replace {
		return nil, false
	}
	if s.live == nil {
		s.live = make(map[sessionKey]*liveSession)
	}
	s.live[key] = me
	return old, true
}

// Serve is the node's side of one session whose credentials were consumed and accepted. It answers as
// sender or receiver, as the client asks, closes the session, and returns what the session came to: nil
// when everything was settled, even if files failed (events say which). When ctx ends, the client is told
// that the node shuts down, and resumes elsewhere or later; what was received is kept for that. If the cause of
// that is an *Error, the client is told of it instead, and comes again only if its code is one of those that may pass.
func Serve(ctx context.Context, sess fasp.Session, cfg ServeConfig) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	rep := &reporter{fn: cfg.Events, result: &Result{}, limit: orDefault(cfg.MaxErrors, defaultMaxErrors)}
	rep.base = SessionRecord{Role: RoleServer, User: cfg.Owner, Attempt: 1, Started: time.Now()}
	srv := &server{cfg: cfg, sess: sess, rep: rep, log: logger(cfg.Logger), cancel: cancel}
	err := srv.run(ctx)
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = context.Cause(ctx) // who noticed the end first may know only that there is one
	}
	var peer *fasp.PeerError
	if errors.As(err, &peer) && peer.Code == fasp.CodeCancelled {
		err = &Error{Code: CodeUserCancel, Err: errors.New("the client cancelled the transfer")}
	}
	if err == nil {
		srv.linger(ctx)
	}
	closeSession(srv.sess, ctx, err, fasp.CodeShutdown)
	if srv.started {
		st := srv.sess.Stats()
		rep.emit(EventSessionEnded, &st, err)
	}
	if srv.leave != nil {
		srv.leave()
	}
	if srv.release != nil {
		srv.release()
	}
	if err != nil {
		return sessionError(err)
	}
	return nil
}

type server struct {
	cfg     ServeConfig
	sess    fasp.Session
	rep     *reporter
	log     *slog.Logger
	cancel  context.CancelCauseFunc
	leave   func()
	at      string // see Place.Path
	release func() // see Place.Release; may be nil
	started bool
}

// lingerTime bounds the wait for a client to close a session that has done its work.
const lingerTime = 10 * time.Second

// linger lets the client close the session, so that our close cannot overtake the last records.
func (v *server) linger(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lingerTime)
	defer cancel()
	for {
		if _, err := v.sess.ReceiveMessage(ctx); err != nil {
			return
		}
	}
}

func (v *server) run(ctx context.Context) error {
	in := &inbox{sess: v.sess}
	typ, body, err := in.next(ctx)
	if err != nil {
		return err
	}
	if typ == recJoin {
		return v.join(ctx, in, body)
	}
	req, err := parseRequest(typ, body)
	if err != nil {
		return err
	}
	if err := v.find(ctx, req); err != nil {
		return err
	}
	if err := v.allow(ctx, req); err != nil {
		return err
	}
	key := sessionKey{v.cfg.Owner, req.Job}
	if req.Direction == manage {
		_, _ = rand.Read(key.job[:]) // no work that another session would go on with
	}
	if v.leave, err = v.cfg.Sessions.enter(ctx, v.sess, key, v.cancel); err != nil {
		return err
	}
	if v.cfg.NoCompression {
		req.Compression = CompressionOff
	}
	ans := &answer{Version: wireVersion, MaxRate: uint64(v.cfg.Limits.MaxRate), Compression: req.Compression}
	_, _ = rand.Read(ans.Session[:])
	v.rep.update(func(s *SessionRecord) {
		s.ID, s.Job, s.Direction = hexOf(ans.Session[:]), hexOf(req.Job[:]), req.Direction
		s.Cookie, s.Title, s.Tags = req.Cookie, req.Title, req.Tags
		s.Rates, s.Resume, s.Overwrite, s.CreateDir = req.rates(), req.resume(), req.Overwrite, req.Flags&flagCreateDir != 0
	})
	if req.Direction != manage {
		b := fasp.NewBond(v.sess)
		v.sess = b
		defer v.cfg.Sessions.publish(bondKey{v.cfg.Owner, ans.Session}, b)()
	}
	in.sess = v.sess
	j := job{sess: v.sess, store: v.cfg.Store, req: req, owner: v.cfg.Owner, out: newOutbox(), in: in, rep: v.rep, log: v.log}
	if j.has(flagMeasure) {
		j.store = &measureStore{}
	}
	stop := v.rep.watch(ctx, v.sess)
	defer stop()
	switch req.Direction {
	case Send:
		return v.receive(ctx, j, ans)
	case manage:
		return v.manage(ctx, j, ans)
	}
	return v.send(ctx, j, ans)
}

// parseRequest takes the client's first record.
func parseRequest(typ uint64, body []byte) (*request, error) {
	if typ != recRequest {
		return nil, protocolError(fmt.Errorf("record %d where a request is due", typ))
	}
	req, err := decodeRequest(body)
	if err != nil {
		return nil, protocolError(err)
	}
	if req.Version != wireVersion {
		return nil, errVersion(req.Version)
	}
	return req, nil
}

func errVersion(v uint64) error {
	return &Error{Code: CodeFaspProto, Err: fmt.Errorf("transfer protocol version %d is not spoken here; this node speaks %d", v, wireVersion)}
}

// find puts what a client's paths are in, and what it may do there, in place of Store and Limits.
func (v *server) find(ctx context.Context, req *request) error {
	if v.cfg.Place == nil {
		if req.Folder != "" {
			return failf(CodeNoSuchFile, "", "there are no folders by ids here; name the folder by its path")
		}
		return nil
	}
	p, err := v.cfg.Place(ctx, Asked{Manage: req.Direction == manage, Direction: req.Direction, Folder: req.Folder, Tags: req.Tags})
	if err != nil {
		return err
	}
	v.cfg.Store, v.cfg.Limits, v.at, v.release = p.Store, p.Limits, p.Path, p.Release
	return nil
}

// allow refuses what the limits do not grant.
func (v *server) allow(ctx context.Context, req *request) error {
	l := v.cfg.Limits
	switch {
	case req.Direction != manage && l.ManageOnly:
		return errManageOnly
	case req.Direction == Send && !l.Write:
		return failf(CodeNoPerms, "", "upload is not allowed")
	case req.Direction == Receive && !l.Read:
		return failf(CodeNoPerms, "", "download is not allowed")
	}
	if req.Direction == manage && l.Within != nil {
		return failf(CodeNoPerms, "", "these credentials are for one transfer only")
	}
	if req.Direction == Send && !req.measures() {
		if err := l.within(req.Dest); err != nil {
			return err
		}
	}
	if req.Direction == Send {
		return checkFree(ctx, v.cfg.Store, l.MinFree)
	}
	return nil
}

var errManageOnly = &Error{Code: CodeNoPerms, Err: errors.New("these credentials are for looking at files and arranging them only")}

// within refuses a path that the limits do not name.
func (l *Limits) within(name string) error {
	if l.Within == nil {
		return nil
	}
	at, err := cleanPath(name)
	if err != nil {
		return err
	}
	for _, w := range l.Within {
		if w, err = cleanPath(w); err == nil && (w == "." || at == w || strings.HasPrefix(at, w+"/")) {
			return nil
		}
	}
	return failf(CodeNoPerms, name, "these credentials are for other paths")
}

// measures says that nothing is touched, whatever the paths.
func (q *request) measures() bool { return q.Flags&flagMeasure != 0 }

func checkFree(ctx context.Context, store Store, minFree int64) error {
	if minFree <= 0 {
		return nil
	}
	free, err := store.Free(ctx)
	if err == nil && free >= 0 && free < minFree {
		return failf(CodeNoSpace, "", "the destination is full")
	}
	return nil
}

// receive serves an upload.
func (v *server) receive(ctx context.Context, j job, ans *answer) error {
	req := j.req
	dest, err := findDestination(ctx, j.store, req.Dest, req.Flags&flagSingle != 0, req.Flags&flagCreateDir != 0, req.Roots)
	if err != nil {
		return err
	}
	if v.cfg.Limits.MaxRate > 0 {
		v.sess.SetGrant(v.cfg.Limits.MaxRate)
	}
	if dest.fresh {
		ans.Flags |= flagFresh
	}
	ans.Parts = ruleOf(j.store)
	// The answer does not wait, since it changes nothing and nobody but the client can read it.
	if err := v.answer(ctx, j.out, ans); err != nil {
		return err
	}
	if err := dest.prepare(ctx, j.store); err != nil {
		return err
	}
	r := newReceiver(j, dest, orDefault(v.cfg.Workers, defaultWorkers))
	r.fresh = dest.fresh && !j.has(flagAsk)
	r.minFree = v.cfg.Limits.MinFree
	r.mayRead, r.mayReplace = v.cfg.Limits.Read, v.cfg.Limits.Delete
	r.inside = sameStore(v.cfg.Sources, j.store)
	v.asked(req.Dest, req.Roots)
	v.start()
	return r.run(ctx, nil)
}

// answer sends the answer and returns when the session is confirmed: what comes then may change things (docs/protocol-transfer.md section 20.2).
func (v *server) answer(ctx context.Context, out *outbox, ans *answer) error {
	out.put(recAnswer, ans.encode())
	if err := out.send(ctx, v.sess); err != nil {
		return err
	}
	return v.sess.Confirmed(ctx)
}

// asked notes what the client wants.
func (v *server) asked(dest string, paths []string) {
	shown := slices.Clone(paths[:min(len(paths), MaxRecordPaths)])
	if v.at != "" && dest == "" { // of an upload they are below dest
		for i, p := range shown {
			shown[i] = path.Join("/", v.at, p)
		}
	}
	if v.at != "" && dest != "" {
		dest = path.Join("/", v.at, dest)
	}
	v.rep.update(func(s *SessionRecord) { s.Dest, s.Paths = dest, shown })
}

func (v *server) start() {
	v.started = true
	v.rep.emit(EventSessionStarted, nil, nil)
}

// send serves a download.
func (v *server) send(ctx context.Context, j job, ans *answer) error {
	req := j.req
	var sources []source
	size := 0
	for uint64(len(sources)) < req.Sources {
		typ, body, err := j.in.next(ctx)
		if err != nil {
			return err
		}
		if typ != recSources {
			continue
		}
		list, err := decodeSources(body)
		if err != nil || len(list) == 0 {
			return protocolError(errors.Join(errWire, err))
		}
		for _, s := range list {
			if s.Source, err = cleanPath(s.Source); err != nil {
				return err
			}
			if err := v.cfg.Limits.within(s.Source); err != nil && !req.measures() {
				return err
			}
			size += len(s.Source) + len(s.Dest) + 64
			sources = append(sources, s)
		}
		if size > maxSourceBytes {
			return protocolError(errors.New("the list of sources is too long"))
		}
	}
	var names []string
	for _, s := range sources[:min(len(sources), MaxRecordPaths)] {
		names = append(names, s.Source)
	}
	if len(sources) == 0 {
		return failf(CodeNothing, "", "nothing to transfer: no source was named")
	}
	if !v.cfg.Limits.List {
		// Without the right to list, only files that are named can be had.
		for _, s := range sources {
			if in, err := j.store.Stat(ctx, s.Source, true); err == nil && in.Mode.IsDir() {
				return failf(CodeNoPerms, s.Source, "listing folders is not allowed")
			}
		}
	}
	rates := limited(req.rates(), v.cfg.Limits.MaxRate)
	if err := checkRates(rates); err != nil {
		return err
	}
	v.sess.SetRates(rates)
	mode := modeAsk
	if j.has(flagFresh) && !j.has(flagRetry) {
		mode = modeStream
	}
	s := newSender(j, sources, req.SrcBase, mode, orDefault(v.cfg.Workers, defaultWorkers))
	s.rule = &req.Parts
	v.asked("", names)
	s.squeezer.agreed(req.Compression)
	s.noList = !v.cfg.Limits.List // the walk looks again: what was no folder a moment ago may be one now
	j.out.put(recAnswer, ans.encode())
	v.start()
	return s.run(ctx, v.repace)
}

// repace takes the client's word about how fast to send from now on.
func (v *server) repace(typ uint64, body []byte) (bool, error) {
	if typ != recRates {
		return false, nil
	}
	r, err := decodeRates(body)
	if err != nil {
		return true, protocolError(err)
	}
	v.sess.SetRates(limited(r, v.cfg.Limits.MaxRate))
	return true, nil
}

// maxSourceBytes bounds the memory that the list of a download's sources takes.
const maxSourceBytes = 64 << 20

// closeSession ends the session with the code that fits err; cancelled is used when ctx was cancelled.
func closeSession(sess fasp.Session, ctx context.Context, err error, cancelled fasp.Code) {
	code, reason := fasp.CodeDone, ""
	var e *Error
	switch {
	case err == nil:
	case ctx.Err() != nil:
		code, reason = cancelled, cancelled.String()
		switch cause := context.Cause(ctx); {
		case errors.Is(cause, errReplaced):
			code, reason = fasp.CodeCancelled, errReplaced.Error()
		case errors.As(cause, &e):
			code, reason = fasp.CodeApplication+fasp.Code(e.Code), e.text()
		}
	case errors.As(err, &e) && e.Code == CodeFaspProto:
		code, reason = fasp.CodeProtocol, e.Error()
	case errors.As(err, &e):
		code, reason = fasp.CodeApplication+fasp.Code(e.Code), e.text()
	default:
		code, reason = fasp.CodeInternal, "internal error"
	}
	_ = sess.Close(code, clip(reason, 1024))
}

// watch emits progress while a session lasts; the returned function ends that.
func (r *reporter) watch(ctx context.Context, sess fasp.Session) (stop func()) {
	if r.fn == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(progressEvery)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				st := sess.Stats()
				r.emit(EventProgress, &st, nil)
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-ended }
}
