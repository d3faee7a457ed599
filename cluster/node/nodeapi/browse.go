package nodeapi

import (
	"net/http"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
)

const (
	defaultCount = 100
	maxCount     = 10_000  // items of an answer
	maxReach     = 100_000 // skip + count, which is what has to be kept while listing
)

// countOf is how many items a request asks for.
func countOf(count *int) (int, error) {
	switch {
	case count == nil:
		return defaultCount, nil
	case *count < 0 || *count > maxCount:
		return 0, api.Errorf(http.StatusBadRequest, "count %d: want 0 to %d", *count, maxCount)
	}
	return *count, nil
}

// query is a checked api.Browse.
type query struct {
	in     api.Browse
	name   string
	count  int
	filter *filter
	by     order
}

func (s *Server) query(w http.ResponseWriter, r *http.Request, g accesskey.Grant) (q query, err error) {
	if err := may(g, g.Rights.List, "list"); err != nil {
		return q, err
	}
	if err := s.decode(w, r, s.cfg.MaxBody, &q.in); err != nil {
		return q, err
	}
	if q.name, err = clean(q.in.Path); err != nil {
		return q, err
	}
	if q.count, err = countOf(q.in.Count); err != nil {
		return q, err
	}
	if q.in.Skip < 0 || q.in.Skip > maxReach-q.count {
		return q, api.Errorf(http.StatusBadRequest, "skip %d: skip and count together are 0 to %d; /files/page goes through folders of any size", q.in.Skip, maxReach)
	}
	sensitive := q.in.CaseSensitive == nil || *q.in.CaseSensitive
	if q.by, err = orderOf(q.in.Sort, sensitive); err != nil {
		return q, err
	}
	q.filter, err = newFilter(q.in.Filters, sensitive)
	return q, err
}

// browse answers POST /files/browse.
func (s *Server) browse(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	q, err := s.query(w, r, g)
	if err != nil {
		return err
	}
	p, done, err := s.openToList(r.Context(), g)
	if err != nil {
		return err
	}
	defer done()
	at, err := p.stat(r.Context(), q.name, true)
	if err != nil {
		return err
	}
	e := entryOf(&at)
	self := p.file(r.Context(), q.name, &e)
	out := api.Listing{Self: &self, Items: []api.File{}}
	if at.Mode.IsDir() {
		if err := q.list(w, r, p, false, &out); err != nil {
			return err
		}
	}
	s.reply(w, http.StatusOK, out)
	return nil
}

// search answers POST /files/search.
func (s *Server) search(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	q, err := s.query(w, r, g)
	if err != nil {
		return err
	}
	p, done, err := s.openToList(r.Context(), g)
	if err != nil {
		return err
	}
	defer done()
	at, err := p.stat(r.Context(), q.name, true)
	if err != nil {
		return err
	}
	out := api.Listing{Items: []api.File{}, Parameters: &q.in}
	if !at.Mode.IsDir() {
		return api.Errorf(http.StatusConflict, "%s: not a folder", shown(q.name))
	}
	if err := q.list(w, r, p, true, &out); err != nil {
		return err
	}
	s.reply(w, http.StatusOK, out)
	return nil
}

// list fills out with what lies in the folder, or below it. It keeps skip and count entries and no more.
func (q *query) list(w http.ResponseWriter, r *http.Request, p *place, deep bool, out *api.Listing) error {
	l := listing{name: q.name, deep: deep, filter: q.filter, by: q.by, names: namesOrder(q.in.Sort), keep: q.in.Skip + q.count}
	sel, err := l.choose(r.Context(), w.Header(), p)
	if err != nil {
		return err
	}
	if out.Items, err = l.files(r.Context(), p, sel.Sorted(q.in.Skip)); err != nil {
		return err
	}
	out.ItemCount, out.TotalCount = len(out.Items), sel.Total()
	return nil
}
