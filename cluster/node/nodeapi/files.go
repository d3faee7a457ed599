package nodeapi

import (
	"context"
	"io"
	"math"
	"net/http"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

const (
	maxPaths     = 1000 // of one request
	contentsSize = 4096 // bytes of GET /files/{path}/contents
)

// checkPaths bounds how much one request asks for.
func checkPaths(n int) error {
	if n == 0 || n > maxPaths {
		return api.Errorf(http.StatusBadRequest, "paths: %d of them; want 1 to %d", n, maxPaths)
	}
	return nil
}

// fileInfo answers POST /files/info.
func (s *Server) fileInfo(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	if err := may(g, g.Rights.List || g.Rights.Read, "list or read"); err != nil {
		return err
	}
	var in api.Paths
	if err := s.decode(w, r, s.cfg.MaxBody, &in); err != nil {
		return err
	}
	if err := checkPaths(len(in.Paths)); err != nil {
		return err
	}
	p, err := s.open(r.Context(), g)
	if err != nil {
		return err
	}
	defer p.release()
	out := api.Files{Paths: make([]api.File, len(in.Paths))}
	for i, at := range in.Paths {
		f, err := p.describe(r.Context(), at.Path)
		e, ok := inAnswer(err)
		if !ok {
			return err
		}
		if e != nil {
			f = api.File{Path: at.Path, Error: e}
		}
		out.Paths[i] = f
	}
	s.reply(w, http.StatusOK, out)
	return nil
}

// describe shows what is at a path of a request, of a link the link itself.
func (p *place) describe(ctx context.Context, at string) (api.File, error) {
	name, err := clean(at)
	if err != nil {
		return api.File{}, err
	}
	in, err := p.stat(ctx, name, false)
	if err != nil {
		return api.File{}, err
	}
	e := entryOf(&in)
	return p.file(ctx, name, &e), nil
}

// create answers POST /files/create.
func (s *Server) create(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	if err := may(g, g.Rights.Write, "write"); err != nil {
		return err
	}
	var in api.Create
	if err := s.decode(w, r, max(s.cfg.MaxBody, createBody), &in); err != nil {
		return err
	}
	return s.each(w, r, g, len(in.Paths), func(ctx context.Context, p *place, i int) (api.DonePath, error) {
		return api.DonePath{Path: in.Paths[i].Path}, p.create(ctx, &in.Paths[i])
	})
}

// remove answers POST /files/delete.
func (s *Server) remove(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	if err := may(g, g.Rights.Delete, "delete"); err != nil {
		return err
	}
	var in api.Delete
	if err := s.decode(w, r, s.cfg.MaxBody, &in); err != nil {
		return err
	}
	return s.each(w, r, g, len(in.Paths), func(ctx context.Context, p *place, i int) (api.DonePath, error) {
		at := in.Paths[i]
		return api.DonePath{Path: at.Path}, p.remove(ctx, at.Path, at.Recursive == nil || *at.Recursive)
	})
}

// rename answers POST /files/rename.
func (s *Server) rename(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	if err := may(g, g.Rights.Write && g.Rights.Delete, "write or delete, which renaming needs both"); err != nil {
		return err
	}
	var in api.Rename
	if err := s.decode(w, r, s.cfg.MaxBody, &in); err != nil {
		return err
	}
	return s.each(w, r, g, len(in.Paths), func(ctx context.Context, p *place, i int) (api.DonePath, error) {
		at := in.Paths[i]
		return api.DonePath{Path: at.Path, Source: at.Source, Destination: at.Destination}, p.rename(ctx, at)
	})
}

// each does something with each path of a request. What went wrong with one stands in the answer beside it, and the others are done even so.
func (s *Server) each(w http.ResponseWriter, r *http.Request, g accesskey.Grant, n int, do func(context.Context, *place, int) (api.DonePath, error)) error {
	if err := checkPaths(n); err != nil {
		return err
	}
	p, err := s.open(r.Context(), g)
	if err != nil {
		return err
	}
	defer p.release()
	out := api.Done{Paths: make([]api.DonePath, n)}
	for i := range n {
		done, err := do(r.Context(), p, i)
		e, ok := inAnswer(err)
		if !ok {
			return err
		}
		done.Error = e
		out.Paths[i] = done
	}
	s.reply(w, http.StatusOK, out)
	return nil
}

// usage answers POST /files/du.
func (s *Server) usage(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	if err := may(g, g.Rights.List, "list"); err != nil {
		return err
	}
	var in api.PathOnly
	if err := s.decode(w, r, s.cfg.MaxBody, &in); err != nil {
		return err
	}
	name, err := clean(in.Path)
	if err != nil {
		return err
	}
	p, done, err := s.openToList(r.Context(), g)
	if err != nil {
		return err
	}
	defer done()
	if _, err := p.stat(r.Context(), name, true); err != nil {
		return err
	}
	out := api.Usage{Path: shown(name)}
	err = p.walk(r.Context(), w.Header(), name, true, func(in *transfer.Info) {
		switch {
		case in.Mode.IsDir():
			out.DirCount++
		case in.Mode.IsRegular():
			out.FileCount++
			out.TotalSize += max(in.Size, 0)
		default:
			out.SpecialCount++
		}
	})
	if err != nil {
		return err
	}
	s.reply(w, http.StatusOK, out)
	return nil
}

// space answers POST /space.
func (s *Server) space(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	if err := may(g, g.Rights.List || g.Rights.Write, "list or write"); err != nil {
		return err
	}
	var in api.Paths
	if err := s.decode(w, r, s.cfg.MaxBody, &in); err != nil {
		return err
	}
	if err := checkPaths(len(in.Paths)); err != nil {
		return err
	}
	p, err := s.open(r.Context(), g)
	if err != nil {
		return err
	}
	defer p.release()
	room, err := p.room(r.Context())
	if err != nil {
		return err
	}
	out := api.Space{Paths: make([]api.SpacePath, len(in.Paths))}
	for i, at := range in.Paths {
		_, err := p.describe(r.Context(), at.Path)
		e, ok := inAnswer(err)
		if !ok {
			return err
		}
		out.Paths[i] = room
		if e != nil {
			out.Paths[i] = api.SpacePath{Error: e}
		}
		out.Paths[i].Path = at.Path
	}
	s.reply(w, http.StatusOK, out)
	return nil
}

// room is how much there is in the place, without what is not known.
func (p *place) room(ctx context.Context) (out api.SpacePath, err error) {
	free, err := p.Free(ctx)
	if err != nil {
		return out, p.s.pathError(ctx, "/", err)
	}
	if free >= 0 {
		out.BytesFree = &free
	}
	c, ok := p.Manager.(interface {
		Capacity(context.Context) (int64, error)
	})
	if !ok || free < 0 {
		return out, nil
	}
	total, err := c.Capacity(ctx)
	if err != nil {
		return out, p.s.pathError(ctx, "/", err)
	}
	if total > 0 {
		percent := math.Round(10_000*float64(free)/float64(total)) / 100
		out.BytesTotal, out.PercentFree = &total, &percent
	}
	return out, nil
}

// contents answers GET /files/{path}/contents with the beginning of a file.
func (s *Server) contents(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	if err := may(g, g.Rights.Read, "read"); err != nil {
		return err
	}
	name, err := clean(r.PathValue("path"))
	if err != nil {
		return err
	}
	p, err := s.open(r.Context(), g)
	if err != nil {
		return err
	}
	defer p.release()
	b, err := p.head(r.Context(), name)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if _, err := w.Write(b); err != nil {
		s.cfg.Logger.Debug("the client went away", "error", err)
	}
	return nil
}

// head reads the first bytes of a file.
func (p *place) head(ctx context.Context, name string) (_ []byte, err error) {
	in, err := p.stat(ctx, name, true)
	switch {
	case err != nil:
		return nil, err
	case !in.Mode.IsRegular(): // to open a pipe would wait for its other end
		return nil, api.Errorf(http.StatusConflict, "%s: not a file", shown(name))
	}
	src, err := p.Open(ctx, name)
	if err != nil {
		return nil, p.s.pathError(ctx, shown(name), err)
	}
	defer src.Close()
	b := make([]byte, contentsSize)
	n, err := src.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return nil, p.s.pathError(ctx, shown(name), err)
	}
	return b[:n], nil
}
