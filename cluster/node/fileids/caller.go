package fileids

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// docroot is the place of the node's users. No key has an id with a slash.
const docroot = "/docroot"

// placeOf names the place of a grant in the state store.
func placeOf(g accesskey.Grant) string {
	if g.Master {
		return docroot
	}
	return g.KeyID
}

// nameOf is who makes a request, as permissions and events tell it.
func nameOf(g accesskey.Grant) string {
	if g.User != "" {
		return g.User
	}
	return g.KeyID
}

// request is one request, with the place it is about open.
type request struct {
	transfer.Manager
	f     *Files
	g     accesskey.Grant // what the place is opened with
	place string
	by    string
	most  levels // what may be done at all, whatever permissions say
	// bound says that permissions for who decide what may be done.
	bound bool
	who   []string
}

// asked makes a handler of h, which gets the request with its place open.
func (f *Files) asked(h func(*request, http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request, accesskey.Grant) error {
	return func(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
		q, release, err := f.open(r, g)
		if err != nil {
			return err
		}
		defer release()
		return h(q, w, r)
	}
}

// managed is asked for those who manage permissions.
func (f *Files) managed(h func(*request, http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request, accesskey.Grant) error {
	return func(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
		if bound(g) {
			return api.Errorf(http.StatusForbidden, "permissions are managed with the access key itself or a bearer token of the scope admin:all")
		}
		return f.asked(h)(w, r, g)
	}
}

// bound says whether permissions decide what g may do.
func bound(g accesskey.Grant) bool { return !g.Master && g.User != "" && !g.Owner }

// open opens the place that a request is about: that of who makes it, or for a user of the node that of the key which the parameter access_key names.
func (f *Files) open(r *http.Request, g accesskey.Grant) (_ *request, release func(), err error) {
	by, held := nameOf(g), bound(g)
	if id := r.URL.Query().Get("access_key"); id != "" && id != g.KeyID {
		if g, err = f.grantOf(r.Context(), g, id); err != nil {
			return nil, nil, err
		}
	}
	q := f.request(g, held)
	q.by = by
	q.Manager, release, err = nodeapi.OpenPlace(r.Context(), f.cfg.Log, f.Places(), g)
	return q, release, err
}

// request is one about the place of g; held says that permissions decide. Its Manager is missing.
func (f *Files) request(g accesskey.Grant, held bool) *request {
	q := &request{f: f, by: nameOf(g), bound: held, g: g, place: placeOf(g), most: levelsOf(g.Rights)}
	if q.bound {
		q.who = append(q.who, access(api.AccessUser, g.User))
		for _, id := range g.Groups {
			q.who = append(q.who, access(api.AccessGroup, id))
		}
		slices.Sort(q.who)
		q.who = slices.Compact(q.who)
	}
	return q
}

// grantOf lets a user of the node act for a key.
func (f *Files) grantOf(ctx context.Context, g accesskey.Grant, id string) (accesskey.Grant, error) {
	if !g.Master {
		return g, api.Errorf(http.StatusForbidden, "access_key: only a user of the node chooses the access key")
	}
	k, err := f.cfg.Keys.Key(ctx, id)
	if errors.Is(err, accesskey.ErrNotFound) {
		return g, api.Errorf(http.StatusNotFound, "access_key: there is no access key of this id")
	}
	as := k.Grant()
	as.User, as.Owner = g.User, true // as one who manages the key
	return as, err
}

// need wants one of these levels.
func (q *request) need(have levels, want ...levels) error {
	var all levels
	for _, l := range want {
		if have&l != 0 {
			return nil
		}
		all |= l
	}
	who := "the access key does not allow"
	if q.bound {
		who = "no permission allows"
	}
	return api.Errorf(http.StatusForbidden, "%s any of: %s", who, all)
}

// granted returns what permissions on these files themselves let the caller do, by file. What the key does not allow is not in it.
func (q *request) granted(ctx context.Context, files []int64) (map[int64]levels, error) {
	got := make(map[int64]levels, len(files))
	for some := range slices.Chunk(files, pageOfState) {
		for who := range slices.Chunk(q.who, pageOfState) {
			err := q.f.permissions(ctx, state.PermissionFilter{Place: q.place, Files: some, Access: who}, func(p state.Permission, d permissionDoc) error {
				got[p.File] |= d.Levels & q.most
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return got, nil
}

// pageOfState is how many records are asked for at a time.
const pageOfState = 1000

// permissions calls fn for those that match, oldest first.
func (f *Files) permissions(ctx context.Context, want state.PermissionFilter, fn func(state.Permission, permissionDoc) error) error {
	for page := (state.Page{Limit: pageOfState}); ; {
		list, next, err := f.cfg.State.Permissions(ctx, want, page)
		if err != nil {
			return err
		}
		for _, p := range list {
			d, err := readDoc(p)
			if err != nil {
				return err
			}
			if err := fn(p, d); err != nil {
				return err
			}
		}
		if page.After = next; next == "" {
			return nil
		}
	}
}
