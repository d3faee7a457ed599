package fileids

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/cluster/state"
)

var errNoPermission = api.Errorf(http.StatusNotFound, "there is no permission of this id")

// permissionFilter chooses permissions for GET /permissions.
type permissionFilter struct {
	kind, id  string
	createdBy string
	updatedBy string
	levels    levels // all of them
}

func newPermissionFilter(v url.Values) (f permissionFilter, err error) {
	f = permissionFilter{kind: v.Get("access_type"), id: v.Get("access_id"), createdBy: v.Get("created_by_id"), updatedBy: v.Get("last_updated_by_id")}
	if f.kind != "" && f.kind != api.AccessUser && f.kind != api.AccessGroup {
		return f, api.Errorf(http.StatusBadRequest, "access_type: want user or group")
	}
	if v.Get("tags") != "" {
		return f, api.Errorf(http.StatusNotImplemented, "tags: permissions are not chosen by their tags")
	}
	if word := v.Get("access_level"); word != "" {
		if f.levels, err = parseWord(word); err != nil {
			return f, err
		}
	}
	more, err := parseLevels(many(v, "access_levels"))
	f.levels |= more
	return f, err
}

func (f *permissionFilter) pass(p *api.FilePermission, d permissionDoc) bool {
	return (f.kind == "" || p.AccessType == f.kind) && (f.id == "" || p.AccessID == f.id) && (f.createdBy == "" || d.CreatedBy == f.createdBy) &&
		(f.updatedBy == "" || d.UpdatedBy == f.updatedBy) && d.Levels&f.levels == f.levels
}

// servePermissions answers GET /permissions.
func (f *Files) servePermissions(q *request, w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	skip, count, err := pages(v)
	if err != nil {
		return err
	}
	want, err := newPermissionFilter(v)
	if err != nil {
		return err
	}
	inherited, err := yes(v, "inherited")
	if err != nil {
		return err
	}
	files := [][]int64{nil} // all
	switch id := v.Get("file_id"); {
	case id != "":
		at, err := q.resolve(r.Context(), id)
		if err != nil {
			return err
		}
		files = [][]int64{{at.id}}
		if inherited {
			files = slices.Collect(slices.Chunk(at.chain, pageOfState))
		}
	case inherited:
		return api.Errorf(http.StatusBadRequest, "inherited: goes with file_id")
	}
	out, total := []api.FilePermission{}, 0
	for _, some := range files {
		err := f.permissions(r.Context(), state.PermissionFilter{Place: q.place, Files: some}, func(p state.Permission, d permissionDoc) error {
			one := viewPermission(p, d)
			if !want.pass(&one, d) {
				return nil
			}
			if total++; total > skip && len(out) < count {
				out = append(out, one)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if slices.Contains(many(v, "embed"), "file") {
		if err := q.embed(r.Context(), out); err != nil {
			return err
		}
	}
	w.Header().Set("X-Total-Count", strconv.Itoa(total))
	return writeJSON(w, http.StatusOK, out)
}

// embed shows the files of permissions, where they are still there.
func (q *request) embed(ctx context.Context, list []api.FilePermission) error {
	seen := map[string]*api.Entry{}
	for i := range list {
		id := list[i].FileID
		e, known := seen[id]
		if !known {
			at, err := q.resolve(ctx, id)
			var known *api.Error
			switch {
			case err == nil:
				one := q.view(at)
				e = &one
			case !errors.As(err, &known):
				return err
			}
			seen[id] = e
		}
		list[i].File = e
	}
	return nil
}

// yes reads a parameter that is true or false; false if it is not there.
func yes(v url.Values, name string) (bool, error) {
	switch v.Get(name) {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, api.Errorf(http.StatusBadRequest, "%s: want true or false", name)
}

// serveGive answers POST /permissions.
func (f *Files) serveGive(q *request, w http.ResponseWriter, r *http.Request) error {
	var in api.PermissionRequest
	if err := nodeapi.Decode(w, r, maxBody, &in); err != nil {
		return err
	}
	if err := checkAccess(&in); err != nil {
		return err
	}
	d := permissionDoc{CreatedBy: q.by, UpdatedBy: q.by}
	if err := d.change(&in); err != nil {
		return err
	}
	if d.Levels == 0 {
		return api.Errorf(http.StatusBadRequest, "access_levels: are missing")
	}
	at, err := q.resolve(r.Context(), string(in.FileID))
	if err != nil {
		return err
	}
	p := state.Permission{Place: q.place, File: at.id, Tenant: q.g.Tenant, Key: q.g.KeyID, Access: access(in.AccessType, string(in.AccessID))}
	if p.Doc, err = d.encode(); err != nil {
		return err
	}
	var out api.FilePermission
	err = f.cfg.State.Update(r.Context(), func(tx *state.Tx) error {
		if err := room(r.Context(), tx, p); err != nil {
			return err
		}
		if at.id == state.RootFile {
			if _, err := tx.EnsureFileIDs(r.Context(), q.place, at.id, nil); err != nil {
				return err
			}
		}
		made, err := tx.CreatePermission(r.Context(), p)
		if err != nil {
			return err
		}
		out = viewPermission(made, d)
		return q.tellPermission(r.Context(), tx, "permission.created", out)
	})
	if errors.Is(err, state.ErrReference) {
		return errUnknown // the file went meanwhile
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, out)
}

// room refuses a second permission for somebody on a file, and more than a key may have.
func room(ctx context.Context, tx *state.Tx, p state.Permission) error {
	have, _, err := tx.Permissions(ctx, state.PermissionFilter{Place: p.Place, Files: []int64{p.File}, Access: []string{p.Access}}, state.Page{Limit: 1})
	if err != nil {
		return err
	}
	if len(have) > 0 {
		return api.Errorf(http.StatusConflict, "the permission %d is for the same file and access_id; change that one", have[0].ID)
	}
	n, err := tx.CountPermissions(ctx, state.PermissionFilter{Place: p.Place})
	if err == nil && n >= maxPermissions {
		return api.Errorf(http.StatusConflict, "the access key has %d permissions and may have no more; use groups", n)
	}
	return err
}

// permission finds a permission of the caller's place.
func (q *request) permission(ctx context.Context, get func(context.Context, int64) (state.Permission, error), text string) (p state.Permission, d permissionDoc, err error) {
	id, ok := parseID(text)
	if !ok {
		return p, d, errNoPermission
	}
	p, err = get(ctx, id)
	switch {
	case errors.Is(err, state.ErrNotFound), err == nil && p.Place != q.place:
		return p, d, errNoPermission
	case err != nil:
		return p, d, err
	}
	d, err = readDoc(p)
	return p, d, err
}

// servePermission answers GET /permissions/{id}.
func (f *Files) servePermission(q *request, w http.ResponseWriter, r *http.Request) error {
	p, d, err := q.permission(r.Context(), f.cfg.State.Permission, r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, viewPermission(p, d))
}

// serveChange answers PUT /permissions/{id}.
func (f *Files) serveChange(q *request, w http.ResponseWriter, r *http.Request) error {
	var in api.PermissionRequest
	if err := nodeapi.Decode(w, r, maxBody, &in); err != nil {
		return err
	}
	if in.FileID != "" || in.AccessType != "" || in.AccessID != "" {
		return api.Errorf(http.StatusBadRequest, "only access_levels, access_level and tags of a permission change")
	}
	err := f.cfg.State.Update(r.Context(), func(tx *state.Tx) error {
		p, d, err := q.permission(r.Context(), tx.Permission, r.PathValue("id"))
		if err != nil {
			return err
		}
		if err := d.change(&in); err != nil {
			return err
		}
		d.UpdatedBy = q.by
		if p.Doc, err = d.encode(); err != nil {
			return err
		}
		if p, err = tx.UpdatePermission(r.Context(), p); err != nil {
			return err
		}
		return q.tellPermission(r.Context(), tx, "permission.modified", viewPermission(p, d))
	})
	if err != nil {
		return err
	}
	f.cfg.Changed()
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// serveTake answers DELETE /permissions/{id}.
func (f *Files) serveTake(q *request, w http.ResponseWriter, r *http.Request) error {
	err := f.cfg.State.Update(r.Context(), func(tx *state.Tx) error {
		p, d, err := q.permission(r.Context(), tx.Permission, r.PathValue("id"))
		if err != nil {
			return err
		}
		if err := tx.DeletePermission(r.Context(), p.ID, p.Rev); err != nil {
			return err
		}
		return q.tellPermission(r.Context(), tx, "permission.deleted", viewPermission(p, d))
	})
	if err != nil {
		return err
	}
	f.cfg.Changed()
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// tellPermission adds an event, which has the permission without its tags, and who did it.
func (q *request) tellPermission(ctx context.Context, tx *state.Tx, what string, p api.FilePermission) error {
	b, err := json.Marshal(struct {
		ID     string   `json:"permission_id"`
		FileID string   `json:"file_id"`
		Type   string   `json:"access_type"`
		For    string   `json:"access_id"`
		Levels []string `json:"access_levels"`
		By     string   `json:"user_id"`
	}{p.ID, p.FileID, p.AccessType, p.AccessID, p.AccessLevels, q.by})
	if err != nil {
		return err
	}
	_, err = tx.AddEvents(ctx, []state.Event{{Tenant: q.g.Tenant, Key: q.g.KeyID, KeyMade: q.g.Created, Type: what, Doc: b}})
	return err
}
