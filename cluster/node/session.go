package node

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// A session goes through these states:
//
//	admitted --proof right--> serving --> ended
//	    \--proof wrong, too slow, too many, draining--> refused
//
// waiter is a session in the first of them.
type waiter struct {
	conn   *fasp.Conn
	giveUp context.CancelCauseFunc
}

var (
	errCrowded = errors.New("too many sessions wait to be authenticated")
	errFull    = errors.New("too many sessions")
	errSlow    = errors.New("no authentication in time")
)

// admit enters a new session into the books; its proof must arrive while ctx lasts. When there are too many without proof, the oldest has to go: an honest client's proof
// arrives with the session itself, so that waiting is the mark of others.
func (n *Node) admit(life context.Context, conn *fasp.Conn) (context.Context, *waiter) {
	ctx, giveUp := context.WithCancelCause(life)
	w := &waiter{conn: conn, giveUp: giveUp}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.draining {
		giveUp(errShutdown)
	}
	if len(n.waiting) >= n.cfg.MaxUnauthenticated {
		n.waiting[0].giveUp(errCrowded)
		n.waiting = n.waiting[1:]
	}
	n.waiting = append(n.waiting, w)
	return ctx, w
}

// promote moves a session from waiting to serving; it says why not.
func (n *Node) promote(w *waiter) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if i := slices.Index(n.waiting, w); i >= 0 {
		n.waiting = slices.Delete(n.waiting, i, i+1)
	}
	switch {
	case n.draining:
		return errShutdown
	case n.serving >= n.tuning.Load().maxSessions:
		return errFull
	}
	n.serving++
	return nil
}

// demote takes a session out of serving.
func (n *Node) demote() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.serving--
	if n.draining && n.serving == 0 {
		close(n.idle)
	}
}

func (n *Node) forget(w *waiter) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if i := slices.Index(n.waiting, w); i >= 0 {
		n.waiting = slices.Delete(n.waiting, i, i+1)
	}
}

// serve takes one session from its first message to its end.
func (n *Node) serve(life, ctx context.Context, w *waiter) {
	log := n.cfg.Logger.With("peer", w.conn.RemoteAddr().String())
	epoch := n.guests.epoch.Load()
	grant, err := n.authenticate(ctx, w.conn)
	if err == nil {
		err = n.promote(w)
	} else {
		n.forget(w)
	}
	w.giveUp(nil)
	if err != nil {
		code, reason := refusal(err)
		log.Warn("session refused", "key", shortID(grant.KeyID), "reason", reason, "error", err)
		w.conn.Close(code, reason)
		return
	}
	defer n.demote()
	log = log.With("key", grant.KeyID)
	if grant.User != "" {
		log = log.With("user", grant.User)
	}
	life, end := context.WithCancelCause(life)
	defer end(nil)
	guest := &guest{end: end, grant: grant}
	defer n.guests.enter(guest, epoch)()
	n.transfer(life, w.conn, guest, log)
}

// shortID is what the log shows of a key id that was not proved; package accesskey takes printable ASCII only.
func shortID(id string) string { return id[:min(len(id), 64)] }

// authenticate reads the client's first message and checks its proof (docs/protocol-auth.md section 40).
func (n *Node) authenticate(ctx context.Context, conn *fasp.Conn) (accesskey.Grant, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, n.cfg.AuthTimeout, errSlow)
	defer cancel()
	msg, err := conn.ReceiveMessage(ctx)
	if err != nil {
		return accesskey.Grant{}, err
	}
	return n.checker.Session(ctx, conn, msg)
}

// refusal says what the client is told. What is not the client's business stays in the log.
func refusal(err error) (fasp.Code, string) {
	switch {
	case errors.Is(err, accesskey.ErrAuth), errors.Is(err, accesskey.ErrDisabled), errors.Is(err, accesskey.ErrExpired):
		return fasp.CodeAuth, err.Error()
	case errors.Is(err, errSlow):
		return fasp.CodeTimeout, err.Error()
	case errors.Is(err, errCrowded), errors.Is(err, errFull):
		return fasp.CodeBusy, "too many sessions"
	case errors.Is(err, errShutdown):
		return fasp.CodeShutdown, "shutting down"
	}
	return fasp.CodeInternal, "internal error"
}

// lower returns the smaller of two bounds of which 0 is none.
func lower(a, b fasp.Rate) fasp.Rate {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// transfer serves an authenticated session.
func (n *Node) transfer(life context.Context, conn *fasp.Conn, guest *guest, log *slog.Logger) {
	grant := guest.grant
	// An unknown link is no reason to go without a cap.
	sess, err := n.links.Join(conn, memberOf(grant))
	if err != nil {
		log.Warn("session refused", "reason", "the key's vlink is not configured; create it, or change the key", "error", err)
		conn.Close(fasp.CodeAuth, "the access key belongs to a vlink that this server does not have: "+grant.VLink)
		return
	}
	defer sess.Leave()
	if n.places.absent(grant) {
		// The folder is made, which a recording of a session must not do.
		if err := conn.Confirmed(life); err != nil {
			log.Warn("session not confirmed", "error", err)
			conn.Close(fasp.CodeTimeout, "the handshake was not completed")
			return
		}
	}
	// What it sends while its place is being opened is no stranger's any more.
	conn.SetWindow(n.cfg.InitialWindow, n.cfg.Window)
	store, release, err := n.places.open(life, grant)
	if err != nil {
		log.Error("the key's root cannot be opened", "root", grant.Root, "error", err)
		conn.Close(fasp.CodeApplication+fasp.Code(transfer.CodeBadPath), "the access key's folder cannot be opened on the server")
		return
	}
	defer release()
	var last transfer.SessionRecord
	tuned := n.tuning.Load()
	count, record := n.totals.counted(), func(transfer.Event) {}
	if n.desk != nil {
		record = n.desk.jobs.Serve(grant, conn.RemoteAddr().String()).Event
	}
	limits := transfer.Limits{
		Read: grant.Rights.Read, Write: grant.Rights.Write, List: grant.Rights.List, Delete: grant.Rights.Delete,
		MaxRate: lower(fasp.Rate(grant.RateCap), tuned.maxRate), MinFree: tuned.minFree, Within: grant.Within,
		ManageOnly: grant.Direction == accesskey.Manage,
	}
	err = transfer.Serve(life, sess, transfer.ServeConfig{
		Place: n.placeOf(guest, store, transfer.Place{Store: store, Limits: limits}),
		Owner: ownerOf(grant), Sessions: &n.live, Logger: log, NoCompression: tuned.noCompression,
		Events: func(e transfer.Event) {
			last = e.Session
			logEvent(log, e)
			record(e)
			count(e)
			if n.cfg.Events != nil {
				n.cfg.Events(e)
			}
		},
	})
	logSession(log, conn, last, err)
}

// ownerOf is whose a session's work is: sessions of one owner end each other, join each other, and go on with each other's files. The users of an application have nothing to do with each other's,
// nor with that of who has the key. No id of a key has a slash.
func ownerOf(g accesskey.Grant) string {
	if byPermissions(g) {
		return g.KeyID + "/" + g.User
	}
	return g.KeyID
}

// logEvent writes what happened to a file.
func logEvent(log *slog.Logger, e transfer.Event) {
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	switch e.Kind {
	case transfer.EventFileDone, transfer.EventFileSkipped, transfer.EventFileFailed:
		log.Debug("file", "event", e.Kind.String(), "session", e.Session.ID, "name", e.File.Name, "size", e.File.Size, "code", int(e.File.Code), "error", e.File.Error)
	case transfer.EventSessionStarted:
		log.Debug("session started", "session", e.Session.ID, "direction", e.Session.Direction.String())
	}
}

// logSession writes the one line that every authenticated session gets.
func logSession(log *slog.Logger, conn *fasp.Conn, s transfer.SessionRecord, err error) {
	st := conn.Stats()
	attrs := []any{
		"session", s.ID, "job", s.Job, "direction", s.Direction.String(), "files", s.FilesDone, "skipped", s.FilesSkipped, "failed", s.FilesFailed,
		"folders", s.Folders, "bytes", s.BytesSent, "wire", s.BytesOnWire, "resumed", s.BytesResumed, "elapsed", st.Since.Round(time.Millisecond), "rtt", st.RTT, "loss", st.Loss,
	}
	if st.Level > 0 {
		attrs = append(attrs, "overloaded", st.Level.String())
	}
	if err != nil {
		var te *transfer.Error
		if errors.As(err, &te) {
			attrs = append(attrs, "code", int(te.Code))
		}
		log.Warn("session failed", append(attrs, "error", err)...)
		return
	}
	if s.ID == "" {
		log.Info("session done that joined another one", "bytes", st.BlockBytesSent+st.BlockBytesReceived, "elapsed", st.Since.Round(time.Millisecond), "rtt", st.RTT, "loss", st.Loss)
		return
	}
	log.Info("session done", attrs...)
}
