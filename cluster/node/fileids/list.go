package fileids

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// listing is what GET /files/{id}/files asks for.
type listing struct {
	filter      filter
	sort        string
	by          order
	skip, count int
	after       *item // where the page before ended; nil begins
	counts      bool
}

func newListing(r *http.Request) (l listing, err error) {
	v := r.URL.Query()
	if l.filter, err = newFilter(v); err != nil {
		return l, err
	}
	if l.sort = v.Get("sort"); len(l.sort) > maxSort {
		l.sort = "?" // which orderOf refuses
	}
	if l.by, err = orderOf(l.sort); err != nil {
		return l, err
	}
	if l.skip, l.count, err = pages(v); err != nil {
		return l, err
	}
	if text := v.Get("iteration_token"); text != "" {
		last, err := parseToken(l.sort, text)
		if err != nil {
			return l, err
		}
		l.after, l.skip = &last, 0
	}
	want, err := includes(r)
	if slices.Contains(want, includeRecursive) {
		err = api.Errorf(http.StatusBadRequest, "include: %s is told of one folder at a time, by GET /files/{id}", includeRecursive)
	}
	l.counts = slices.Contains(want, includeCounts)
	return l, err
}

// serveList answers GET /files/{id}/files. As with /files/page each page goes through the whole folder and keeps the first entries behind the page before: memory is that of a page.
func (f *Files) serveList(q *request, w http.ResponseWriter, r *http.Request) error {
	l, err := newListing(r)
	if err != nil {
		return err
	}
	at, err := q.resolve(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := q.need(at.levels, canList); err != nil {
		return err
	}
	if !at.in.Mode.IsDir() {
		return api.Errorf(http.StatusConflict, "%s: not a folder", q.shown(at))
	}
	done, err := f.lists.Take(r.Context(), q.g)
	if err != nil {
		return err
	}
	defer done()
	list, total, more, err := q.list(r.Context(), w.Header(), at, &l)
	if err != nil {
		return q.fail(r.Context(), at, err)
	}
	h := w.Header()
	h.Set("X-Total-Count", strconv.FormatInt(total, 10))
	if more {
		next := token(l.sort, &list[len(list)-1])
		h.Set("X-Aspera-Next-Iteration-Token", next)
		h.Set("Link", nextLink(r, next))
	}
	if l.bare(q) {
		if list, err = q.fill(r.Context(), at, list); err != nil {
			return q.fail(r.Context(), at, err)
		}
	}
	out, err := q.entries(r.Context(), at, list, l.counts)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out)
}

// bare says whether a listing needs names only, which are a fraction of the work, and looks afterwards at what is on the page.
func (l *listing) bare(q *request) bool {
	_, can := q.Manager.(transfer.NameLister)
	return can && l.filter.byName() && (l.sort == "" || l.sort == "name" || l.sort == "-name")
}

// list returns what is on the page, how many there are on all pages, and whether there are more behind this one.
func (q *request) list(ctx context.Context, h http.Header, at *file, l *listing) (page []item, total int64, more bool, err error) {
	sel := nodeapi.Select(l.by, l.skip+l.count, (*item).own)
	var i item // one for all, not one for each on the heap
	take := func() {
		switch {
		case len(i.name) > maxName:
			h.Set("X-Tradewind-Warning", fmt.Sprintf("names of more than %d bytes are left out", maxName))
			return
		case !l.filter.pass(&i):
			return
		}
		total++
		if l.after == nil || l.by(&i, l.after) > 0 {
			sel.Add(&i)
		}
	}
	if l.bare(q) {
		err = nodeapi.Names(ctx, q.Manager.(transfer.NameLister), at.name, func(base string) {
			i = item{name: base}
			take()
		})
	} else {
		err = nodeapi.Walk(ctx, h, q.Manager, at.name, false, func(in *transfer.Info) {
			i = itemOf(in)
			take()
		})
	}
	return sel.Sorted(l.skip), total, sel.Total() > int64(l.skip+l.count), err
}

// fill looks at what is on a page of names. What went meanwhile is left out.
func (q *request) fill(ctx context.Context, at *file, page []item) ([]item, error) {
	full := make([]item, 0, len(page))
	for i := range page {
		in, err := q.Stat(ctx, below(at.name, page[i].name), false)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		in.Name = page[i].name
		full = append(full, itemOf(&in))
	}
	return full, nil
}

// nextLink tells where the next page is.
func nextLink(r *http.Request, token string) string {
	v := r.URL.Query()
	v.Del("page")
	v.Set("iteration_token", token)
	return fmt.Sprintf(`<%s?%s>; rel="next"`, r.URL.EscapedPath(), v.Encode())
}

// entries gives ids to what is in a folder, and says what the caller may do with it.
func (q *request) entries(ctx context.Context, at *file, list []item, counts bool) ([]api.Entry, error) {
	out := make([]api.Entry, len(list))
	if len(list) == 0 {
		return out, nil
	}
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].name
	}
	found, err := q.f.cfg.State.EnsureFileIDs(ctx, q.place, at.id, names)
	if errors.Is(err, state.ErrReference) {
		return nil, errUnknown // the folder went meanwhile
	}
	if err != nil {
		return nil, err
	}
	ids := make([]int64, len(found))
	for i, f := range found {
		ids[i] = f.ID
	}
	more := map[int64]levels{}
	if q.bound {
		if more, err = q.granted(ctx, ids); err != nil {
			return nil, err
		}
	}
	count := map[int64]int64{}
	if counts = counts && !q.bound; counts {
		for some := range slices.Chunk(ids, pageOfState) {
			err := q.f.permissions(ctx, state.PermissionFilter{Place: q.place, Files: some}, func(p state.Permission, _ permissionDoc) error {
				count[p.File]++
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	for i, one := range list {
		out[i] = q.view(&file{
			id: ids[i], name: below(at.name, one.name), base: one.name, levels: at.levels | more[ids[i]],
			in: transfer.Info{Mode: one.mode, Size: one.size, Mtime: one.mtime},
		})
		if counts {
			n := count[ids[i]]
			out[i].PermissionCount = &n
		}
	}
	return out, nil
}
