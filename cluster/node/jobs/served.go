package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// Served is a session that a client has begun: a transfer of its own. Event is for transfer.ServeConfig.Events.
type Served struct {
	m    *Manager
	g    accesskey.Grant
	peer string

	mu    sync.Mutex // guards track
	track *track     // nil until the session is agreed
}

// Serve begins to record a session of a client that was granted g. It costs nothing until files are to be transferred.
func (m *Manager) Serve(g accesskey.Grant, peer string) *Served {
	if host, _, err := net.SplitHostPort(peer); err == nil {
		peer = host
	}
	return &Served{m: m, g: g, peer: peer}
}

// Event takes an event in. It does not wait.
func (v *Served) Event(e transfer.Event) {
	d := e.Session.Direction
	if d != transfer.Send && d != transfer.Receive {
		return // looking and arranging
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.track == nil {
		if e.Session.ID == "" || e.Kind == transfer.EventProgress { // it has not begun
			return
		}
		doc := &jobDoc{Initiator: initiatorClient, KeyMade: usec(v.g.Created), UsageID: v.usageID(e.Session.Tags), Spec: api.StartSpec{
			Direction: d.String(), SourcePaths: []string{}, AccessKey: v.g.KeyID, Initiator: initiatorClient, TokenType: grantType(v.g), ClientUser: v.g.User,
			RatePolicy: e.Session.Rates.Policy.String(), TargetRate: int64(e.Session.Rates.Target / fasp.Kbps), MinRate: int64(e.Session.Rates.Min / fasp.Kbps),
			CreateDir: e.Session.CreateDir, Overwrite: e.Session.Overwrite.String(), Resume: e.Session.Resume.String(),
		}}
		for _, p := range e.Session.Paths {
			doc.Spec.SourcePaths = append(doc.Spec.SourcePaths, shownPath(p))
		}
		if d == transfer.Send {
			doc.Spec.DestinationPath = shownPath(e.Session.Dest)
		}
		doc.Spec.Cookie, doc.Spec.Title, doc.Spec.Tags = e.Session.Cookie, e.Session.Title, e.Session.Tags
		v.track = &track{
			rec: v.m.rec, job: e.Session.ID, row: e.Session.ID, tenant: v.g.Tenant, key: v.g.KeyID, keyMade: doc.KeyMade, usageID: doc.UsageID, maxFiles: v.m.cfg.MaxFiles,
			out: doc.out(), served: doc,
		}
		v.track.session.ClientAddress = v.peer
	}
	v.track.event(e)
}

// grantType is what kind of token a session was opened with.
func grantType(g accesskey.Grant) string {
	switch {
	case g.User != "" && !g.Master:
		return "bearer_token"
	case g.Within != nil || g.Direction != accesskey.Both:
		return "auth_token"
	}
	return "access_key_auth_token"
}

// usageID is what a session is counted under: what its token says, or the tags of one whose word that of the key is.
func (v *Served) usageID(tags json.RawMessage) string {
	if v.g.UsageID != "" || v.g.Within != nil || v.g.User != "" && !v.g.Owner {
		return v.g.UsageID
	}
	id, err := api.UsageID(tags)
	if err != nil {
		v.m.log.Warn("the usage of a session is counted for its key alone", "key", v.g.KeyID, "error", err)
	}
	return id
}

// transferRow is the row of a session of a client as a transfer of its own.
func (t *track) transferRow(x api.TransferSession, s transfer.SessionRecord) (state.Job, error) {
	doc, err := json.Marshal(t.served)
	if err != nil {
		return state.Job{}, err
	}
	r := report{Start: x.Start, End: x.End, Tries: 1}
	r.take(report{}, s)
	r.Lost = x.BytesLost
	status := api.Running
	switch {
	case x.End == 0:
	case x.ErrorCode == int(transfer.CodeUserCancel):
		status, r.ErrorCode, r.ErrorDesc = api.Canceled, x.ErrorCode, x.ErrorDesc
	case x.ErrorCode != 0 || x.ErrorDesc != "":
		status, r.ErrorCode, r.ErrorDesc = api.Failed, x.ErrorCode, x.ErrorDesc
	case s.FilesFailed > 0:
		status, r.ErrorCode, r.ErrorDesc = api.Failed, int(transfer.CodeSomeFileErrors), fmt.Sprintf("%d files failed", s.FilesFailed)
		if r.some() {
			status = api.PartiallyCompleted
		}
	default:
		status = api.Completed
	}
	rep, err := r.encode()
	return state.Job{ID: t.job, Tenant: t.tenant, Key: t.key, Status: string(status), Doc: doc, Report: rep, Rev: t.jobRev}, err
}

// tellServed adds the events about a session that a client has begun.
func (t *track) tellServed(ctx context.Context, tx *state.Tx, row state.Job, started, ended bool) error {
	s, err := decodeJob(row)
	if err == nil && started {
		err = tell(ctx, tx, &s, "transfer.started")
	}
	if err == nil && ended {
		err = tell(ctx, tx, &s, "transfer.ended")
	}
	return err
}
