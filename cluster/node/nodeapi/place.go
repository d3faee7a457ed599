package nodeapi

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"
	"unsafe"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// place is what a grant is bound to, open for one request.
type place struct {
	transfer.Manager
	s       *Server
	perms   []api.Permission
	release func()
}

// open opens the place of g.
func (s *Server) open(ctx context.Context, g accesskey.Grant) (*place, error) {
	m, release, err := OpenPlace(ctx, s.cfg.Logger, s.cfg.Places, g)
	if err != nil {
		return nil, err
	}
	return &place{Manager: m, s: s, perms: permissions(g.Rights), release: release}, nil
}

// OpenPlace opens the place of g. release must be called when it is not used any more. What is wrong goes to log; the error says what the client may know.
func OpenPlace(ctx context.Context, log *slog.Logger, places Places, g accesskey.Grant) (m transfer.Manager, release func(), err error) {
	m, release, err = places.Open(ctx, g)
	if err == nil || ctx.Err() != nil {
		return m, release, err
	}
	log.Error("a place cannot be opened", "key", g.KeyID, "error", redact(err, g.Storage))
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil, api.Errorf(http.StatusNotImplemented, "this node has no driver for the storage of the access key")
	}
	return nil, nil, api.Errorf(http.StatusServiceUnavailable, "the storage of the access key cannot be reached")
}

// openToList opens the place of g to go through a folder, when it is the caller's turn. done must be called at the end.
func (s *Server) openToList(ctx context.Context, g accesskey.Grant) (_ *place, done func(), err error) {
	end, err := s.listings.Take(ctx, g)
	if err != nil {
		return nil, nil, err
	}
	p, err := s.open(ctx, g)
	if err != nil {
		end()
		return nil, nil, err
	}
	return p, func() { p.release(); end() }, nil
}

// permissions are the words of the API for rights.
func permissions(r accesskey.Rights) []api.Permission {
	p := []api.Permission{}
	for _, x := range []struct {
		on   bool
		name string
	}{{r.Read || r.List, "view"}, {r.Write, "edit"}, {r.Delete, "delete"}} {
		if x.on {
			p = append(p, api.Permission{Name: x.name})
		}
	}
	return p
}

// clean makes a name of a Store out of a path of a request.
func clean(p string) (string, error) {
	if p == "" {
		return "", api.Errorf(http.StatusBadRequest, `a path is missing; the root is "/"`)
	}
	name, err := transfer.CleanPath(p)
	var te *transfer.Error
	if errors.As(err, &te) && te.Err != nil {
		return "", api.Errorf(http.StatusBadRequest, "%s: %v", clip(p), te.Err)
	}
	return name, err
}

// clip is p as an error may repeat it.
func clip(p string) string {
	const most = 256
	if len(p) > most {
		return strings.ToValidUTF8(p[:most], "") + "..."
	}
	return p
}

// below is a name in the folder dir.
func below(dir, name string) string {
	switch {
	case dir == ".":
		return name
	case name == ".":
		return dir
	}
	return dir + "/" + name
}

// shown is a name as answers show it.
func shown(name string) string {
	if name == "." {
		return "/"
	}
	return "/" + name
}

// entry is what listings keep of a file: less than a transfer.Info, since there may be many.
type entry struct {
	name  string // below the folder that is listed
	mode  fs.FileMode
	bare  bool // only the name is known
	size  int64
	mtime int64
}

// own makes the name e's own.
func (e *entry) own() { e.name = strings.Clone(e.name) }

// entryOf takes over what is needed. Only files have a size: that of a folder is the file system's affair.
func entryOf(in *transfer.Info) entry {
	e := entry{name: in.Name, mode: in.Mode, mtime: in.Mtime}
	if in.Mode.IsRegular() {
		e.size = max(in.Size, 0)
	}
	return e
}

// kind is the type in the words of the API.
func (e *entry) kind() string {
	switch e.mode.Type() {
	case 0:
		return api.TypeFile
	case fs.ModeDir:
		return api.TypeDirectory
	case fs.ModeSymlink:
		return api.TypeSymlink
	}
	return api.TypeSpecial
}

// stat describes what is at name. The root of a place in a store exists even if nothing lies in it.
func (p *place) stat(ctx context.Context, name string, follow bool) (transfer.Info, error) {
	in, err := Stat(ctx, p.Manager, name, follow)
	if err != nil {
		return in, p.s.pathError(ctx, shown(name), err)
	}
	return in, nil
}

// Stat describes what is at name in m, where the root exists even if nothing lies in it. Errors are those of m.
func Stat(ctx context.Context, m transfer.Manager, name string, follow bool) (transfer.Info, error) {
	in, err := m.Stat(ctx, name, follow)
	if name == "." && errors.Is(err, fs.ErrNotExist) {
		return transfer.Info{Name: ".", Mode: fs.ModeDir | 0o755}, nil
	}
	return in, err
}

// file is e, which is at name, as answers show it.
func (p *place) file(ctx context.Context, name string, e *entry) api.File {
	f := api.File{Path: shown(name), Basename: path.Base(shown(name)), Type: e.kind(), Size: e.size, Permissions: p.perms}
	if e.mtime != 0 {
		f.Mtime = time.Unix(0, e.mtime).UTC().Format(api.TimeFormat)
	}
	if f.Type == api.TypeSymlink {
		f.Target = p.target(ctx, name)
	}
	return f
}

// target is where the link at name leads. A link out of the place is shown without: its text names folders of the host.
func (p *place) target(ctx context.Context, name string) *api.Target {
	to, err := p.Readlink(ctx, name)
	if err != nil || strings.HasPrefix(to, "/") || strings.ContainsAny(to, `\:`) {
		return nil
	}
	if full := path.Join(path.Dir(name), to); full == ".." || strings.HasPrefix(full, "../") {
		return nil
	}
	return &api.Target{Path: to}
}

// walk is Walk with an error for the client.
func (p *place) walk(ctx context.Context, h http.Header, name string, deep bool, fn func(in *transfer.Info)) error {
	if err := Walk(ctx, h, p.Manager, name, deep, fn); err != nil {
		return p.s.pathError(ctx, shown(name), err)
	}
	return nil
}

// Walk lists the folder of m at name, or with deep all below it; in is only good until fn returns. Keys of a store that no path can name are left out, and h, the header of the answer, says so. Errors are those of m.
func Walk(ctx context.Context, h http.Header, m transfer.Manager, name string, deep bool, fn func(in *transfer.Info)) error {
	var one transfer.Info // for all, not one for each on the heap
	err := m.Walk(ctx, name, transfer.WalkOptions{Deep: deep}, func(in transfer.Info) error {
		one = in
		fn(&one)
		return ctx.Err()
	})
	var te *transfer.Error
	if errors.As(err, &te) && te.Code == transfer.CodeBadPath && te.Path == "" && te.Op == "" { // see transfer.BucketStore.Walk
		h.Set(warningHeader, "some keys of the store are no paths and are left out")
		return nil
	}
	return err
}

// Names calls fn with each name in the folder of l at name. base is only good until fn returns: of a million names most are looked at and forgotten, without a string of their own. Errors are those
// of l.
func Names(ctx context.Context, l transfer.NameLister, name string, fn func(base string)) error {
	return l.Names(ctx, name, func(base []byte) error {
		fn(unsafe.String(unsafe.SliceData(base), len(base)))
		return nil
	})
}
