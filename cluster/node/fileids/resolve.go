package fileids

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"strconv"
	"syscall"

	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// errUnknown is the same for what is not there and for what the caller must not know of.
var errUnknown = api.Errorf(http.StatusNotFound, "there is no file of this id")

// file is what an id stands for.
type file struct {
	id     int64
	chain  []int64 // ids from the top down to the file itself
	name   string  // of a Store
	base   string  // last element, "/" of the top
	in     transfer.Info
	levels levels // what the caller may do
}

// idText is an id as the API shows it.
func idText(id int64) string { return strconv.FormatInt(id, 10) }

// parseID reads what idText wrote, and nothing that only looks like it.
func parseID(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n > 0 && idText(n) == text
}

// resolve finds the file of an id, as far as the caller may know of it. An id whose file is gone is dropped.
func (q *request) resolve(ctx context.Context, text string) (*file, error) {
	id, ok := parseID(text)
	if !ok {
		return nil, errUnknown
	}
	for {
		at, err := q.look(ctx, id)
		if at != nil || err != nil {
			return at, err
		}
	}
}

// look is resolve; nil without an error is a file that was not there and is again, as one that was being renamed is.
func (q *request) look(ctx context.Context, id int64) (*file, error) {
	at, err := q.known(ctx, id)
	if err != nil {
		return nil, err
	}
	at.in, err = nodeapi.Stat(ctx, q.Manager, at.name, false)
	switch {
	case err == nil:
		return at, nil
	case !gone(err):
		return nil, q.fail(ctx, at, err)
	}
	return nil, q.drop(ctx, at)
}

// known finds where the file of an id is, whether it is there or not, and what the caller may do with it, who must be allowed something.
func (q *request) known(ctx context.Context, id int64) (*file, error) {
	at, err := q.path(ctx, id)
	if err != nil {
		return nil, err
	}
	at.levels = q.most
	if q.bound {
		got, err := q.granted(ctx, at.chain)
		if err != nil {
			return nil, err
		}
		at.levels = 0
		for _, l := range got {
			at.levels |= l
		}
		if at.levels == 0 {
			return nil, errUnknown
		}
		if err := q.straight(ctx, at); err != nil {
			return nil, err
		}
	}
	return at, nil
}

// path finds where the file of an id is, whether it is there or not.
func (q *request) path(ctx context.Context, id int64) (*file, error) {
	chain, err := q.f.cfg.State.FilePath(ctx, q.place, id)
	if errors.Is(err, state.ErrNotFound) {
		if id != state.RootFile {
			return nil, errUnknown
		}
		chain = []state.FileID{{ID: state.RootFile}} // of a place of which nothing was listed yet
	} else if err != nil {
		return nil, err
	}
	at := &file{id: id, name: ".", base: "/"}
	for _, el := range chain {
		at.chain = append(at.chain, el.ID)
		if el.ID != state.RootFile {
			at.name, at.base = below(at.name, el.Name), el.Name
		}
	}
	return at, nil
}

// straight wants no symbolic link above the file: permissions go by folders, and a link would make what is elsewhere part of one.
func (q *request) straight(ctx context.Context, at *file) error {
	for i := range at.name {
		if at.name[i] != '/' {
			continue
		}
		in, err := q.Stat(ctx, at.name[:i], false)
		if err != nil && !gone(err) {
			return q.fail(ctx, at, err)
		}
		if err == nil && !in.Mode.IsDir() {
			return errUnknown
		}
	}
	return nil
}

// gone says whether an error of a Store means that nothing is at the path.
func gone(err error) bool {
	var te *transfer.Error
	if errors.As(err, &te) && (te.Code == transfer.CodeNoSuchFile || te.Code == transfer.CodeNotDir) {
		return true
	}
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// drop forgets an id whose file is gone, and returns errUnknown; nil if the file is there now.
func (q *request) drop(ctx context.Context, at *file) error {
	if at.id == state.RootFile {
		return errUnknown
	}
	return q.f.turns.alone(ctx, q.place, []string{at.name}, func() error {
		now, err := q.path(ctx, at.id)
		if err != nil {
			return err
		}
		if now.name != at.name { // it was renamed
			return nil
		}
		if _, err := q.Stat(ctx, at.name, false); !gone(err) {
			return err
		}
		if err := q.f.cfg.State.DeleteFileID(ctx, q.place, at.id); err != nil && !errors.Is(err, state.ErrNotFound) {
			return err
		}
		return errUnknown
	})
}

// shown is the file as errors show it: not where it lies, to those who know a part of the tree only.
func (q *request) shown(at *file) string {
	switch {
	case at.name == ".":
		return "/"
	case q.bound:
		return at.base
	}
	return "/" + at.name
}

// fail is an error for the client.
func (q *request) fail(ctx context.Context, at *file, err error) error {
	return nodeapi.PathError(ctx, q.f.cfg.Log, q.shown(at), err)
}

// below is a name in the folder dir.
func below(dir, name string) string {
	if dir == "." {
		return name
	}
	return dir + "/" + name
}
