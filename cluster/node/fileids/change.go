package fileids

import (
	"context"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

const (
	maxContent    = 4 << 20 // bytes of a file that comes or goes in one request
	maxBody       = 1 << 20
	maxCreateBody = 6 << 20 // maxContent in base64, and the rest
)

// element wants the name of a file in its folder.
func element(name string) error {
	bad := func(why string) error { return api.Errorf(http.StatusBadRequest, "name: %s", why) }
	switch {
	case name == "":
		return bad("is missing")
	case name == "." || name == "..":
		return bad("is not that of a file")
	case strings.Contains(name, "/"):
		return bad("is that of a file in its folder, without a slash")
	case len(name) > maxName:
		return bad("is too long")
	}
	if got, err := transfer.CleanPath(name); err != nil || got != name {
		return bad("cannot be taken: it holds a NUL byte, is that of a file that a transfer has not finished, or this system has no such names")
	}
	return nil
}

// serveCreate answers POST /files/{id}/files.
func (f *Files) serveCreate(q *request, w http.ResponseWriter, r *http.Request) error {
	var in api.NewEntry
	if err := nodeapi.Decode(w, r, maxCreateBody, &in); err != nil {
		return err
	}
	at, err := q.resolve(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	wants := canWrite
	switch in.Type {
	case api.EntryFile:
	case api.EntryFolder:
		wants = canMkdir
	case api.EntryLink:
		return api.Errorf(http.StatusNotImplemented, "type: links to files of other nodes are not offered; want file or folder")
	default:
		return api.Errorf(http.StatusBadRequest, "type: want file or folder")
	}
	if err := q.need(at.levels, wants); err != nil {
		return err
	}
	if err := element(in.Name); err != nil {
		return err
	}
	switch {
	case !at.in.Mode.IsDir():
		return api.Errorf(http.StatusConflict, "%s: not a folder", q.shown(at))
	case in.Type == api.EntryFolder && len(in.Contents) > 0:
		return api.Errorf(http.StatusBadRequest, "contents: only files have them")
	}
	made := &file{name: below(at.name, in.Name), base: in.Name, levels: at.levels}
	made.id, err = f.create(r.Context(), q, at, made, in.Type, func(ctx context.Context) error {
		if in.Type == api.EntryFolder {
			return nodeapi.CreateFolder(ctx, q.Manager, made.name)
		}
		return nodeapi.CreateFile(ctx, q.Manager, made.name, in.Contents)
	})
	if err != nil {
		return q.fail(r.Context(), made, err)
	}
	if made.in, err = q.Stat(r.Context(), made.name, false); err != nil {
		return q.fail(r.Context(), made, err)
	}
	return writeJSON(w, http.StatusCreated, q.view(made))
}

// serveRename answers PUT /files/{id}.
func (f *Files) serveRename(q *request, w http.ResponseWriter, r *http.Request) error {
	var in api.RenameEntry
	if err := nodeapi.Decode(w, r, maxBody, &in); err != nil {
		return err
	}
	at, err := q.arranged(r, canRename)
	if err != nil {
		return err
	}
	if err := element(in.Name); err != nil {
		return err
	}
	if in.Name != at.base {
		to := path.Join(path.Dir(at.name), in.Name)
		_, err := q.Rename(r.Context(), at.name, to, false)
		switch {
		case err == nil:
		case gone(err):
			return errUnknown
		default:
			return q.fail(r.Context(), &file{name: to, base: in.Name}, err)
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// serveDelete answers DELETE /files/{id}. All is done when it answers, also for clients that would wait (Accept-Version 4.0).
func (f *Files) serveDelete(q *request, w http.ResponseWriter, r *http.Request) error {
	at, err := q.arranged(r, canDelete)
	if err != nil {
		return err
	}
	if _, err := q.Remove(r.Context(), at.name, true); err != nil {
		return q.fail(r.Context(), at, err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// arranged resolves what is to be renamed or removed.
func (q *request) arranged(r *http.Request, wants levels) (*file, error) {
	at, err := q.resolve(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if err := q.need(at.levels, wants); err != nil {
		return nil, err
	}
	if at.name == "." {
		return nil, api.Errorf(http.StatusForbidden, "/: the root is not renamed and not removed")
	}
	return at, nil
}

// serveContent answers GET /files/{id}/content.
func (f *Files) serveContent(q *request, w http.ResponseWriter, r *http.Request) error {
	at, err := q.resolve(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := q.need(at.levels, canRead); err != nil {
		return err
	}
	if !at.in.Mode.IsRegular() { // to open a pipe would wait for its other end
		return api.Errorf(http.StatusConflict, "%s: not a file", q.shown(at))
	}
	src, err := q.Open(r.Context(), at.name)
	if err != nil {
		return q.fail(r.Context(), at, err)
	}
	defer src.Close()
	in, err := src.Info()
	if err != nil {
		return q.fail(r.Context(), at, err)
	}
	switch {
	case !in.Mode.IsRegular(): // another one by now
		return errUnknown
	case in.Size > maxContent:
		return api.Errorf(http.StatusRequestEntityTooLarge, "%s: more than %d bytes; transfer the file", q.shown(at), maxContent)
	}
	// A browser must not take for a page what somebody has uploaded.
	w.Header().Set("Content-Type", anyContent)
	w.Header().Set("Content-Disposition", "attachment")
	when := time.Time{}
	if in.Mtime != 0 {
		when = time.Unix(0, in.Mtime)
	}
	http.ServeContent(w, r, "", when, io.NewSectionReader(src, 0, max(in.Size, 0)))
	return nil
}
