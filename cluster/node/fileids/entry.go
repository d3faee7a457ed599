package fileids

import (
	"context"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
	"time"

	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// anyContent is the type of what is not known better.
const anyContent = "application/octet-stream"

// kindOf is the type of a file in the words of the API.
func kindOf(m fs.FileMode) string {
	switch m.Type() {
	case 0:
		return api.EntryFile
	case fs.ModeDir:
		return api.EntryFolder
	case fs.ModeSymlink:
		return api.EntryLink
	}
	return api.TypeSpecial
}

// view is a file as answers show it.
func (q *request) view(at *file) api.Entry {
	e := api.Entry{
		ID: idText(at.id), Name: at.base, Type: kindOf(at.in.Mode), AccessLevels: at.levels.names(), AccessLevel: at.levels.word(),
	}
	if !q.bound {
		e.Path = q.shown(at)
	}
	if at.in.Mtime != 0 {
		e.ModifiedTime = timeOf(time.Unix(0, at.in.Mtime), api.TimeFormat)
	}
	if e.Type == api.EntryFile {
		size := max(at.in.Size, 0)
		e.Size = &size
		if e.ContentType = mime.TypeByExtension(path.Ext(at.base)); e.ContentType == "" {
			e.ContentType = anyContent
		}
	}
	return e
}

// What costs more than a look at the file is told where it is asked for.
const (
	includeCounts    = "permission_count"
	includeRecursive = "recursive_counts"
	includeLevels    = "access_levels" // told always
)

// includes reads what a request asks for.
func includes(r *http.Request) ([]string, error) {
	list := many(r.URL.Query(), "include")
	for _, name := range list {
		if !slices.Contains([]string{includeCounts, includeRecursive, includeLevels, "access_level"}, name) {
			return nil, api.Errorf(http.StatusBadRequest, "include: want some of %s, %s, %s", includeLevels, includeCounts, includeRecursive)
		}
	}
	return list, nil
}

// serveEntry answers GET /files/{id}.
func (f *Files) serveEntry(q *request, w http.ResponseWriter, r *http.Request) error {
	want, err := includes(r)
	if err != nil {
		return err
	}
	at, err := q.resolve(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := q.need(at.levels, canList, canRead); err != nil {
		return err
	}
	e := q.view(at)
	if slices.Contains(want, includeCounts) && !q.bound {
		n, err := f.cfg.State.CountPermissions(r.Context(), state.PermissionFilter{Place: q.place, Files: []int64{at.id}})
		if err != nil {
			return err
		}
		e.PermissionCount = &n
	}
	if slices.Contains(want, includeRecursive) && at.in.Mode.IsDir() {
		if err := q.need(at.levels, canList); err != nil {
			return err
		}
		done, err := f.lists.Take(r.Context(), q.g)
		if err != nil {
			return err
		}
		defer done()
		if err := q.count(r.Context(), w.Header(), at, &e); err != nil {
			return err
		}
	}
	return writeJSON(w, http.StatusOK, e)
}

// count counts what is below a folder.
func (q *request) count(ctx context.Context, h http.Header, at *file, e *api.Entry) error {
	var size, files, folders int64
	err := nodeapi.Walk(ctx, h, q.Manager, at.name, true, func(in *transfer.Info) {
		switch {
		case in.Mode.IsDir():
			folders++
		case in.Mode.IsRegular():
			files++
			size += max(in.Size, 0)
		}
	})
	if err != nil {
		return q.fail(ctx, at, err)
	}
	e.RecursiveSize, e.RecursiveFiles, e.RecursiveFolders = &size, &files, &folders
	return nil
}
