package nodeapi

import (
	"context"
	"errors"
	"io/fs"
	"net/http"

	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// listing is what a request wants to know of a folder.
type listing struct {
	name   string // of the folder
	deep   bool   // all that is below it
	filter *filter
	by     order
	names  bool   // by needs names alone
	after  string // only names behind it
	keep   int
}

// choose goes through the folder and keeps the first entries, and no more. Names alone are a fraction of the work where they decide; files looks at those that are kept.
func (l *listing) choose(ctx context.Context, h http.Header, p *place) (*Selection[entry], error) {
	sel := Select(l.by, l.keep, (*entry).own)
	var e entry // one for all, not one for each on the heap
	take := func() {
		if e.name > l.after && l.filter.pass(&e) {
			sel.Add(&e)
		}
	}
	lister, bare := p.Manager.(transfer.NameLister)
	if !bare || l.deep || !l.names || !l.filter.byName() {
		return sel, p.walk(ctx, h, l.name, l.deep, func(in *transfer.Info) {
			e = entryOf(in)
			take()
		})
	}
	err := Names(ctx, lister, l.name, func(base string) {
		e = entry{name: base, bare: true}
		take()
	})
	if err != nil {
		return nil, p.s.pathError(ctx, shown(l.name), err)
	}
	return sel, nil
}

// files is a list of what was chosen as answers show it. What went meanwhile is left out.
func (l *listing) files(ctx context.Context, p *place, list []entry) ([]api.File, error) {
	out := make([]api.File, 0, len(list))
	for _, e := range list {
		at := below(l.name, e.name)
		if e.bare {
			in, err := p.Stat(ctx, at, false)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, p.s.pathError(ctx, shown(at), err)
			}
			in.Name = e.name
			e = entryOf(&in)
		}
		out = append(out, p.file(ctx, at, &e))
	}
	return out, nil
}
