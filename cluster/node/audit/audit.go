// Package audit keeps the log of administrative acts on a node, as a chain of hashes in the state store, and shows it to users of the node (docs/api.md).
package audit

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/cluster/state"
)

// Log is the audit log. Methods may be called by several goroutines at once.
type Log struct{ store *state.Store }

// New returns the log in a state store.
func New(s *state.Store) *Log { return &Log{s} }

// Write appends what is about to be done, durably; it is for nodeapi.Config.Audit.
func (l *Log) Write(ctx context.Context, a nodeapi.Act) error {
	doc, err := json.Marshal(struct {
		Changed []string `json:"changed,omitempty"`
	}{a.Changed})
	if err != nil {
		return err
	}
	_, err = l.store.AppendAudit(ctx, state.Audit{Actor: a.Actor, Action: a.Action, Object: a.Object, Tenant: a.Tenant, Doc: doc})
	return err
}

// Routes returns the calls, for nodeapi.Config.
func (l *Log) Routes() map[string]func(http.ResponseWriter, *http.Request, accesskey.Grant) error {
	return map[string]func(http.ResponseWriter, *http.Request, accesskey.Grant) error{
		"GET /audit":        l.list,
		"GET /audit/verify": l.verify,
	}
}

// masters is for who is no user of the node.
func masters(g accesskey.Grant) error {
	if !g.Master {
		return api.Errorf(http.StatusForbidden, "only users of the node see the audit log")
	}
	return nil
}

func view(a state.Audit) (api.AuditRecord, error) {
	r := api.AuditRecord{
		Seq: a.Seq, Time: a.Time.UTC().Format(time.RFC3339Nano), Actor: a.Actor, Action: a.Action, Object: a.Object, Tenant: a.Tenant, Hash: hex.EncodeToString(a.Hash),
	}
	var doc struct {
		Changed []string `json:"changed"`
	}
	err := json.Unmarshal(a.Doc, &doc)
	r.Changed = doc.Changed
	return r, err
}

// list answers GET /audit: records behind the iteration token, oldest first.
func (l *Log) list(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	if err := masters(g); err != nil {
		return err
	}
	q := r.URL.Query()
	number := func(name string, def, most int64) (int64, error) {
		if !q.Has(name) {
			return def, nil
		}
		n, err := strconv.ParseInt(q.Get(name), 10, 64)
		if err != nil || n < 0 || n > most {
			return 0, api.Errorf(http.StatusBadRequest, "%s: want a number from 0 to %d", name, most)
		}
		return n, nil
	}
	since, err := number("iteration_token", 0, 1<<62)
	if err != nil {
		return err
	}
	count, err := number("count", 100, 1000)
	if err != nil {
		return err
	}
	rows, _, err := l.store.Audits(r.Context(), state.AuditFilter{Since: since, Actor: q.Get("actor"), Action: q.Get("action"), Tenant: q.Get("tenant")}, state.Page{Limit: int(max(count, 1))})
	if errors.Is(err, state.ErrInvalid) {
		return api.Errorf(http.StatusBadRequest, "actor, action and tenant are texts of up to 255 bytes")
	}
	if err != nil {
		return err
	}
	out := []api.AuditRecord{}
	for _, row := range rows {
		v, err := view(row)
		if err != nil {
			return err
		}
		out = append(out, v)
		since = row.Seq
	}
	w.Header().Set("X-Aspera-Next-Iteration-Token", strconv.FormatInt(since, 10))
	return reply(w, out)
}

// verify answers GET /audit/verify: whether the chain is whole.
func (l *Log) verify(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	if err := masters(g); err != nil {
		return err
	}
	chain, err := l.store.VerifyAudit(r.Context())
	var broken *state.AuditError
	if err != nil && !errors.As(err, &broken) {
		return err
	}
	out := api.AuditChain{OK: broken == nil, First: chain.Cut + 1, Last: chain.Last, Head: hex.EncodeToString(chain.Head)}
	if broken != nil {
		out.Broken, out.Reason = broken.Seq, broken.Reason
	}
	return reply(w, out)
}

func reply(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n')) // a client that has gone away is its own affair
	return nil
}
