package transfer

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"runtime"
	"sync"
	"time"

	"github.com/tradewind-io/tradewind/fasp"
)

// A transfer has one session, which the client opens and asks by; further ones join it (docs/protocol-transfer.md section 31) and carry blocks.

// recJoin is the first record of a session that joins another, recJoined the server's answer, and the client's to that: only then does the server
// count on the session, so that one that is lost on the way takes nothing with it.
const (
	recJoin   = 9
	recJoined = 23
)

// join names the session that it is about, by what only its two ends know.
type join struct {
	Version uint64
	Session id16
}

func (j *join) encode() []byte {
	w := wr{}
	w.num(j.Version)
	w.raw(j.Session[:])
	return w.b
}

func decodeJoin(b []byte) (*join, error) {
	r := rd{b: b}
	j := &join{Version: r.num(1 << 32)}
	if !r.bad && j.Version != wireVersion {
		return j, nil // the caller refuses by version
	}
	r.fill(j.Session[:])
	return j, r.err("join")
}

// bondKey names a bond that sessions may join: one of the same owner, by who knows its session's id.
type bondKey struct {
	owner   string
	session id16
}

// publish lets sessions join b until the returned function is called.
func (s *Sessions) publish(key bondKey, b *fasp.Bond) (withdraw func()) {
	if s == nil {
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bonds == nil {
		s.bonds = make(map[bondKey]*fasp.Bond)
	}
	s.bonds[key] = b
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.bonds, key)
	}
}

func (s *Sessions) bond(key bondKey) *fasp.Bond {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bonds[key]
}

// join makes the session of v one of those of a transfer that is under way, and returns when that has ended.
func (v *server) join(ctx context.Context, in *inbox, body []byte) error {
	j, err := decodeJoin(body)
	if err != nil {
		return protocolError(err)
	}
	if j.Version != wireVersion {
		return errVersion(j.Version)
	}
	if v.cfg.Limits.ManageOnly {
		return errManageOnly
	}
	if err := v.sess.Confirmed(ctx); err != nil { // a recording of a session must not bring blocks into another
		return err
	}
	b := v.cfg.Sessions.bond(bondKey{v.cfg.Owner, j.Session})
	if b == nil {
		return failf(CodeConnectionError, "", "there is no such transfer to join; it has ended, or was begun with other credentials")
	}
	if err := v.sess.SendMessage(ctx, appendRecord(nil, recJoined, nil)); err != nil {
		return err
	}
	if err := joined(ctx, in); err != nil {
		return err
	}
	if err := b.Add(v.sess); err != nil {
		return failf(CodeConnectionError, "", "%w", err)
	}
	select {
	case <-b.Done():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// joiner adds sessions to a transfer of the client.
type joiner struct {
	c       *client
	bond    *fasp.Bond
	session id16 // set by begin
	wg      sync.WaitGroup
}

// begin opens the sessions that Config.Sessions wants, or watches whether more are of use. wait returns when that has ended, which ctx does.
func (j *joiner) begin(ctx context.Context, session id16) {
	j.session = session
	if n := j.c.cfg.Sessions; n > 0 {
		j.wg.Go(func() {
			for j.bond.Sessions() < min(n, fasp.MaxBond) && j.add(ctx) {
			}
		})
		return
	}
	if most := runtime.GOMAXPROCS(0) / 2; most > 1 {
		j.wg.Go(func() { j.watch(ctx, most) })
	}
}

func (j *joiner) wait() { j.wg.Wait() }

// add opens a session and joins it. Without it the transfer goes on as it is.
func (j *joiner) add(ctx context.Context) bool {
	err := j.open(ctx)
	if err != nil {
		if ctx.Err() == nil {
			j.c.log.Warn("no further session for the transfer", "err", err)
		}
		return false
	}
	n := j.bond.Sessions()
	j.c.log.Info("another session carries blocks", "sessions", n)
	j.c.rep.update(func(s *SessionRecord) { s.Sessions = n })
	return true
}

func (j *joiner) open(ctx context.Context) error {
	sess, err := j.c.cfg.Dial(ctx, &j.c.spec)
	if err != nil {
		return err
	}
	err = sess.SendMessage(ctx, appendRecord(nil, recJoin, (&join{wireVersion, j.session}).encode()))
	if err == nil {
		err = joined(ctx, &inbox{sess: sess})
	}
	if err == nil {
		err = j.bond.Add(sess)
	}
	if err != nil {
		return errors.Join(err, sess.Close(fasp.CodeCancelled, "not joined"))
	}
	return sess.SendMessage(ctx, appendRecord(nil, recJoined, nil)) // blocks may be there before it
}

// joined waits for the other side's word.
func joined(ctx context.Context, in *inbox) error {
	typ, _, err := in.next(ctx)
	if err == nil && typ != recJoined {
		err = protocolError(fmt.Errorf("record %d where a join is to go on", typ))
	}
	return err
}

const (
	watchEvery = 2 * time.Second
	busyShare  = 0.9 // of the time from which on a session's goroutine is what limits it
)

// watch adds sessions while the ones there are take a processor each.
func (j *joiner) watch(ctx context.Context, most int) {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for j.bond.Sessions() < most {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if j.bond.Stats().Busy >= busyShare && !j.add(ctx) {
			return
		}
	}
}

// Part is a share of a job's files, for one of several Runs at it, on one machine or more: number Index of Count, from 1. Every file belongs to
// exactly one part, by its name below the destination. The zero Part is all.
type Part struct {
	Index int `json:"index"`
	Count int `json:"count"`
}

// MaxParts is the largest Part.Count.
const MaxParts = 1 << 16

func (p Part) valid() bool {
	return p == Part{} || p.Count >= 1 && p.Count <= MaxParts && p.Index >= 1 && p.Index <= p.Count
}

// has says whether a file is in the part: FNV-1a of its name modulo Count.
func (p Part) has(name string) bool {
	if p.Count <= 1 {
		return true
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return h.Sum64()%uint64(p.Count) == uint64(p.Index-1)
}
