package nodeapi

import (
	"context"
	"errors"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// maxContents bounds a file that is made by /files/create, in bytes.
const maxContents = 4 << 20

// create makes something. It is durable when create returns.
func (p *place) create(ctx context.Context, in *api.NewFile) error {
	name, err := clean(in.Path)
	if err != nil {
		return err
	}
	switch {
	case name == ".":
		return api.Errorf(http.StatusConflict, "/: the root exists already")
	case in.Type != api.TypeFile && len(in.Contents) > 0:
		return api.Errorf(http.StatusBadRequest, "%s: only files have contents", shown(name))
	case in.Type != api.TypeSymlink && in.Target != nil:
		return api.Errorf(http.StatusBadRequest, "%s: only symbolic links have a target", shown(name))
	}
	switch in.Type {
	case api.TypeFile:
		err = CreateFile(ctx, p.Manager, name, in.Contents)
	case api.TypeDirectory:
		err = CreateFolder(ctx, p.Manager, name)
	case api.TypeSymlink:
		err = p.createLink(ctx, name, in.Target)
	default:
		return api.Errorf(http.StatusBadRequest, "%s: type %q: want file, directory or symbolic_link", shown(name), clip(in.Type))
	}
	if err != nil {
		return p.s.pathError(ctx, shown(name), err)
	}
	return nil
}

// CreateFile makes a file with at most 4 MiB of contents, where nothing is. It is durable when CreateFile returns. Errors are *api.Error and those of m.
func CreateFile(ctx context.Context, m transfer.Manager, name string, contents []byte) error {
	if len(contents) > maxContents {
		return api.Errorf(http.StatusRequestEntityTooLarge, "%s: more than %d bytes; transfer the file", shown(name), maxContents)
	}
	sealed, err := m.Put(ctx, name, "", contents, transfer.Attr{Size: int64(len(contents)), Mode: 0o666}, transfer.SyncNow)
	if err != nil {
		return err
	}
	if err := sealed.Publish(ctx, transfer.SyncNow, false); err != nil {
		return errors.Join(err, sealed.Discard(context.WithoutCancel(ctx)))
	}
	return nil
}

// CreateFolder makes a folder, where nothing is. It is durable when CreateFolder returns. Errors are *api.Error and those of m.
func CreateFolder(ctx context.Context, m transfer.Manager, name string) error {
	if _, err := m.Stat(ctx, name, false); err == nil {
		return api.Errorf(http.StatusConflict, "%s: exists already", shown(name))
	}
	if err := m.Mkdir(ctx, name); err != nil {
		return err
	}
	return m.Flush(ctx)
}

// createLink makes a link. The target is made relative to its folder: so it leads to the same file from wherever the place is mounted, and never out of it.
func (p *place) createLink(ctx context.Context, name string, target *api.Target) error {
	if target == nil || target.Path == "" {
		return api.Errorf(http.StatusBadRequest, "%s: target.path is missing", shown(name))
	}
	to := target.Path
	if strings.IndexByte(to, 0) >= 0 {
		return api.Errorf(http.StatusBadRequest, "%s: target.path holds a NUL byte", shown(name))
	}
	if strings.HasPrefix(to, "/") {
		full, err := clean(to)
		if err != nil {
			return err
		}
		to = relative(path.Dir(name), full)
	}
	if err := p.Symlink(ctx, to, name, false); err != nil {
		return err
	}
	return p.Flush(ctx)
}

// relative is the way from the folder dir to name; both are names of a Store.
func relative(dir, name string) string {
	if dir == "." {
		return name
	}
	from, to := strings.Split(dir, "/"), strings.Split(name, "/")
	if name == "." {
		to = nil
	}
	same := 0
	for same < len(from) && same < len(to) && from[same] == to[same] {
		same++
	}
	way := append(slices.Repeat([]string{".."}, len(from)-same), to[same:]...)
	if len(way) == 0 {
		return "."
	}
	return strings.Join(way, "/")
}

func (p *place) remove(ctx context.Context, at string, all bool) error {
	name, err := clean(at)
	if err != nil {
		return err
	}
	if name == "." {
		return api.Errorf(http.StatusForbidden, "/: the root is not removed; name something in it")
	}
	if _, err := p.Remove(ctx, name, all); err != nil {
		return p.s.pathError(ctx, shown(name), err)
	}
	return nil
}

func (p *place) rename(ctx context.Context, at api.RenamePath) error {
	dir, err := clean(at.Path)
	if err != nil {
		return err
	}
	var names [2]string
	for i, part := range []string{at.Source, at.Destination} {
		name, err := clean(part)
		if err != nil {
			return err
		}
		if names[i] = below(dir, name); name == "." {
			return api.Errorf(http.StatusForbidden, "%s: a folder cannot be renamed from within", shown(dir))
		}
	}
	if _, err := p.Rename(ctx, names[0], names[1], false); err != nil {
		return p.s.pathError(ctx, shown(names[0])+" to "+shown(names[1]), err)
	}
	return nil
}
