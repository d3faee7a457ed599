package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/cluster/state"
)

// maxRequest bounds the body of a request, in bytes: some thousand paths.
const maxRequest = 512 << 10

// Routes returns the calls about transfers, events and usage, by pattern, for package nodeapi (docs/api.md). Errors that are not *api.Error are the node's own fault.
func (m *Manager) Routes() map[string]func(http.ResponseWriter, *http.Request, accesskey.Grant) error {
	routes := map[string]func(http.ResponseWriter, *http.Request, accesskey.Grant) error{
		"GET /ops/transfers":           m.serveList,
		"POST /ops/transfers":          m.serveCreate,
		"GET /ops/transfers/bandwidth": m.serveBandwidth,
		"GET /ops/transfers/{id}":      m.serveGet,
		"PUT /ops/transfers/{id}":      m.serveChange,
		"DELETE /ops/transfers/{id}":   m.serveCancel,
		"CANCEL /ops/transfers/{id}":   m.serveCancel,
		"GET /events":                  m.serveEvents,
		"GET /events/{id}":             m.serveEvent,
		"GET /usage":                   m.serveUsage,
		"GET /usage/{id}":              m.serveUsageID,
	}
	for pattern, h := range routes {
		routes[pattern] = func(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
			// What a key did and what happened to its files is not for each user of an application.
			if g.User != "" && !g.Master && !g.Owner {
				return api.Errorf(http.StatusForbidden, "transfers, events and usage are those of the whole access key: a bearer token needs the scope admin:all")
			}
			err := h(w, r, g)
			if errors.Is(err, state.ErrFull) {
				m.bad.failed(badState, err)
				return api.Errorf(http.StatusInsufficientStorage, "the node has no room to write this down; nothing was done")
			}
			return err
		}
	}
	return routes
}

func writeJSON(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n')) // a client that has gone away is its own affair
	return nil
}

// readBody reads JSON. From the page of another site it must say that it is: a browser sends that only where the node allowed it, and not with credentials of its own.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); r.Header.Get("Origin") != "" && (err != nil || kind != "application/json") {
		return nil, api.Errorf(http.StatusUnsupportedMediaType, "from the page of another site the body must be application/json")
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, api.Errorf(http.StatusRequestEntityTooLarge, "the request is larger than %d bytes", maxRequest)
	}
	if err != nil {
		return nil, api.Errorf(http.StatusBadRequest, "the request ended early")
	}
	return b, nil
}

// number reads a query parameter from 0 to most; def if it is not there.
func number(q url.Values, name string, def, most int64) (int64, error) {
	text := q.Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > most {
		return 0, api.Errorf(http.StatusBadRequest, "%s: want a number from 0 to %d", name, most)
	}
	return n, nil
}

// point reads an iteration token, which is a point in the order of changes. It is the same for whoever asks, and says nothing by itself.
func point(q url.Values) (int64, bool, error) {
	if !q.Has("iteration_token") {
		return 0, false, nil
	}
	n, err := number(q, "iteration_token", 0, 1<<62)
	return n, true, err
}

// link tells the client where to go on.
func link(w http.ResponseWriter, r *http.Request, token int64) {
	q := r.URL.Query()
	q.Set("iteration_token", strconv.FormatInt(token, 10))
	w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, r.URL.EscapedPath(), q.Encode()))
	w.Header().Set("X-Aspera-Next-Iteration-Token", strconv.FormatInt(token, 10))
}

func (m *Manager) serveList(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	q := r.URL.Query()
	f := Filter{Key: q.Get("access_key"), Active: q.Get("active_only") == "true"}
	if !slices.Contains([]string{"", "true", "false"}, q.Get("active_only")) {
		return api.Errorf(http.StatusBadRequest, "active_only: want true or false")
	}
	if !slices.Contains([]string{"", "id", "summary", "short_summary"}, q.Get("view")) {
		return api.Errorf(http.StatusBadRequest, "view: want id, summary or short_summary")
	}
	since, given, err := point(q)
	if err != nil {
		return err
	}
	count, err := number(q, "count", 100, 1000)
	if err != nil {
		return err
	}
	files, err := number(q, "max_items", 0, 1000)
	if err != nil {
		return err
	}
	// With a token the client follows the changes from there; without one it gets the newest, and the token of now.
	f.Since, f.Count = since, int(count)
	if f.Match, err = chooser(q); err != nil {
		return err
	}
	list, at, err := m.List(r.Context(), g, f)
	if err != nil {
		return err
	}
	out := []any{}
	for _, t := range list {
		switch q.Get("view") {
		case "id":
			out = append(out, map[string]string{"id": t.ID})
			continue
		case "short_summary", "summary":
		default:
			if t, err = m.Get(r.Context(), g, t.ID, int(files)); err != nil {
				var e *api.Error
				if errors.As(err, &e) {
					continue // gone meanwhile
				}
				return err
			}
		}
		out = append(out, t)
	}
	if given || at > 0 {
		link(w, r, at)
	}
	return writeJSON(w, out)
}

// chooser makes a filter of the parameters that List does not know.
func chooser(q url.Values) (func(api.Transfer) bool, error) {
	after := int64(0)
	if text := q.Get("after_time"); text != "" {
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil, api.Errorf(http.StatusBadRequest, "after_time: want a time such as 2026-01-31T12:00:00Z")
		}
		after = t.UnixMicro()
	}
	direction := q.Get("direction")
	if direction != "" && direction != "send" && direction != "receive" {
		return nil, api.Errorf(http.StatusBadRequest, "direction: want send or receive")
	}
	tag, value, hasValue := strings.Cut(q.Get("tag"), "=")
	if after == 0 && direction == "" && tag == "" {
		return nil, nil
	}
	return func(t api.Transfer) bool {
		return (after == 0 || max(t.Start, t.End) >= after) && (direction == "" || t.Spec.Direction == direction) && (tag == "" || tagged(t.Spec.Tags, tag, value, hasValue))
	}, nil
}

// tagged says whether tags have a value at the path a.b.c, or that very value; a number as it is written.
func tagged(tags json.RawMessage, path, value string, hasValue bool) bool {
	var at any
	d := json.NewDecoder(bytes.NewReader(tags))
	d.UseNumber() // others would be rounded, and written otherwise
	if d.Decode(&at) != nil {
		return false
	}
	for el := range strings.SplitSeq(path, ".") {
		object, ok := at.(map[string]any)
		if !ok {
			return false
		}
		if at, ok = object[el]; !ok {
			return false
		}
	}
	return !hasValue || fmt.Sprint(at) == value
}

func (m *Manager) serveCreate(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	b, err := readBody(w, r)
	if err != nil {
		return err
	}
	t, err := m.Create(r.Context(), g, b)
	if err != nil {
		return err
	}
	return writeJSON(w, t)
}

func (m *Manager) serveGet(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	files, err := number(r.URL.Query(), "max_items", 1000, 1000)
	if err != nil {
		return err
	}
	t, err := m.Get(r.Context(), g, r.PathValue("id"), int(files))
	if err != nil {
		return err
	}
	return writeJSON(w, t)
}

func (m *Manager) serveChange(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	var c api.ChangeTransfer
	if err := nodeapi.Decode(w, r, maxRequest, &c); err != nil {
		return err
	}
	if err := m.Change(r.Context(), g, r.PathValue("id"), c); err != nil {
		return err
	}
	t, err := m.Get(r.Context(), g, r.PathValue("id"), 0)
	if err != nil {
		return err
	}
	return writeJSON(w, t)
}

func (m *Manager) serveCancel(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	status := string(api.Canceled)
	if err := m.Change(r.Context(), g, r.PathValue("id"), api.ChangeTransfer{Status: &status}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// maxBandwidth is how much is told of at once, in seconds.
const maxBandwidth = int64(paceKept / time.Second)

func (m *Manager) serveBandwidth(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	q := r.URL.Query()
	seconds, err := number(q, "duration", 600, maxBandwidth)
	if err != nil {
		return err
	}
	if seconds == 0 {
		return api.Errorf(http.StatusBadRequest, "duration: want a number from 1 to %d", maxBandwidth)
	}
	start, err := startTime(q)
	if err != nil {
		return err
	}
	chosen := q.Get("access_key")
	return writeJSON(w, m.paces.show(start, time.Duration(seconds)*time.Second, func(key string, made int64) bool {
		if g.Master {
			return chosen == "" || key == chosen
		}
		return key == g.KeyID && (chosen == "" || chosen == key) && (made == 0 || g.Created.IsZero() || made == usec(g.Created))
	}))
}

// startTime reads start_time: seconds since 1970, or a time such as those of after_time. The zero time if there is none.
func startTime(q url.Values) (time.Time, error) {
	text := q.Get("start_time")
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil && t.Unix() > 0 && t.Year() <= 9999 {
		return t, nil
	}
	const last = 253402300799 // of the year 9999
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || n > last {
		return time.Time{}, api.Errorf(http.StatusBadRequest, "start_time: want seconds since 1970, or a time such as 2026-01-31T12:00:00Z")
	}
	return time.Unix(n, 0), nil
}

// eventFilter is what of the events a grant may see.
func eventFilter(g accesskey.Grant, q url.Values) (f state.EventFilter, ok bool) {
	if g.Master {
		f.Key = q.Get("access_key")
		return f, true
	}
	f.Key, f.KeyMade = g.KeyID, g.Created // another key may have had the same id
	return f, q.Get("access_key") == "" || q.Get("access_key") == g.KeyID
}

func viewEvent(e state.Event) api.Event {
	return api.Event{ID: strconv.FormatInt(e.Seq, 10), Time: e.Time.UTC().Format(time.RFC3339Nano), Types: []string{e.Type}, AccessKey: e.Key, Data: e.Doc}
}

// eventTypes are all that a node has.
var eventTypes = []string{
	"file.created", "file.deleted", "file.modified", "permission.created", "permission.deleted", "permission.modified", "transfer.started", "transfer.ended",
}

// chosenTypes are the types of events that a query wants: those that it names, and those that fit one of its patterns. nil are all; ok is false where it wants some and none fits.
func chosenTypes(q url.Values) (types []string, ok bool, err error) {
	types = slices.Concat(q["type"], q["type[]"])
	globs := slices.Concat(q["type_glob"], q["type_glob[]"])
	for _, glob := range globs {
		for _, t := range eventTypes {
			fits, err := path.Match(glob, t)
			if err != nil {
				return nil, false, api.Errorf(http.StatusBadRequest, "type_glob %.50q: want a pattern such as file.*", glob)
			}
			if fits {
				types = append(types, t)
			}
		}
	}
	return types, len(types) > 0 || len(globs) == 0, nil
}

func (m *Manager) serveEvents(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	q := r.URL.Query()
	f, ok := eventFilter(g, q)
	out := []api.Event{}
	if !ok {
		return writeJSON(w, out)
	}
	since, _, err := point(q)
	if err != nil {
		return err
	}
	count, err := number(q, "count", 100, 1000)
	if err != nil {
		return err
	}
	if text := q.Get("after_time"); text != "" {
		if f.From, err = time.Parse(time.RFC3339, text); err != nil {
			return api.Errorf(http.StatusBadRequest, "after_time: want a time such as 2026-01-31T12:00:00Z")
		}
	}
	f.Since = since
	if f.Types, ok, err = chosenTypes(q); err != nil {
		return err
	} else if !ok {
		link(w, r, since)
		return writeJSON(w, out)
	}
	list, _, err := m.cfg.State.Events(r.Context(), f, state.Page{Limit: int(max(count, 1))})
	if err != nil {
		return err
	}
	for _, e := range list {
		out = append(out, viewEvent(e))
		since = e.Seq
	}
	link(w, r, since)
	return writeJSON(w, out)
}

func (m *Manager) serveEvent(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	unknown := api.Errorf(http.StatusNotFound, "there is no event of this id")
	seq, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || seq < 1 {
		return unknown
	}
	f, _ := eventFilter(g, nil)
	f.Since = seq - 1
	list, _, err := m.cfg.State.Events(r.Context(), f, state.Page{Limit: 1})
	if err != nil {
		return err
	}
	if len(list) == 0 || list[0].Seq != seq {
		return unknown
	}
	return writeJSON(w, viewEvent(list[0]))
}

func (m *Manager) serveUsage(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	u, err := m.usageFor(r, g, "")
	if err != nil {
		return err
	}
	return writeJSON(w, u)
}

// serveUsageID answers what was moved under an id of an application. One that nothing was moved under is as one that does not exist, and has moved nothing.
func (m *Manager) serveUsageID(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	id := r.PathValue("id")
	if len(id) > api.MaxUsageID {
		return api.Errorf(http.StatusBadRequest, "the id has more than %d bytes", api.MaxUsageID)
	}
	u, err := m.usageFor(r, g, id)
	if err != nil {
		return err
	}
	u.ID = id
	return writeJSON(w, u)
}

// usageFor is usage of the key that a request is about, for a user of the node of all if it names none. To a key, others have moved nothing.
func (m *Manager) usageFor(r *http.Request, g accesskey.Grant, id string) (api.Moved, error) {
	key := r.URL.Query().Get("access_key")
	switch {
	case g.Master, key == g.KeyID:
		return m.usage(r.Context(), key, id)
	case key == "":
		return m.usage(r.Context(), g.KeyID, id)
	}
	return api.Moved{ID: key}, nil
}

// usage sums what a key moved, under an id; of all keys, and with all ids, where these are empty.
func (m *Manager) usage(ctx context.Context, key, id string) (api.Moved, error) {
	t, err := m.cfg.State.UsageTotal(ctx, state.UsageFilter{Key: key, ID: id})
	return api.Moved{ID: key, BytesIn: t.BytesIn, BytesOut: t.BytesOut, BytesTotal: t.BytesIn + t.BytesOut}, err
}
