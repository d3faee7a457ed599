package fileids

import (
	"context"
	"errors"
	"net/http"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// Folder is a folder that somebody named by its id.
type Folder struct {
	Name   string           // in the place; "." is its top
	Rights accesskey.Rights // what he may do in it and in all below it
}

// Folder finds the folder of an id for a transfer by who has g, whose place is m. It changes nothing. For one whose rights are given by permissions Rights are those that they give him for this
// folder. Errors: *api.Error, with 404 alike for an id that there is none of and one that g must not know of, and with 409 for what is no folder.
func (f *Files) Folder(ctx context.Context, g accesskey.Grant, m transfer.Manager, id string) (Folder, error) {
	n, ok := parseID(id)
	if !ok {
		return Folder{}, errUnknown
	}
	q := f.request(g, bound(g))
	q.Manager = m
	at, err := q.known(ctx, n)
	if err != nil {
		return Folder{}, err
	}
	in, err := nodeapi.Stat(ctx, m, at.name, false)
	switch {
	case gone(err):
		return Folder{}, errUnknown
	case err != nil:
		return Folder{}, q.fail(ctx, at, err)
	case !in.Mode.IsDir():
		return Folder{}, api.Errorf(http.StatusConflict, "the file of this id is no folder")
	}
	return Folder{Name: at.name, Rights: at.levels.rights()}, nil
}

// Allowed returns what permissions let who has g do now in the folder of an id that he was given before by Folder. It looks at permissions alone, not at the place: what has none any more is allowed nothing.
func (f *Files) Allowed(ctx context.Context, g accesskey.Grant, id string) (accesskey.Rights, error) {
	n, ok := parseID(id)
	if !ok {
		return accesskey.Rights{}, errUnknown
	}
	q := f.request(g, bound(g))
	at, err := q.path(ctx, n)
	var known *api.Error
	switch {
	case errors.As(err, &known):
		return accesskey.Rights{}, nil // its id is forgotten, and its permissions with it
	case err != nil:
		return accesskey.Rights{}, err
	}
	got, err := q.granted(ctx, at.chain)
	var l levels
	for _, more := range got {
		l |= more
	}
	return l.rights(), err
}

// rights are what levels mean to a transfer.
func (l levels) rights() accesskey.Rights {
	return accesskey.Rights{
		List: l&canList != 0, Read: l&canRead != 0, Delete: l&canDelete != 0,
		Write: l&canWrite != 0 && l&canMkdir != 0, // a transfer makes folders where it needs them
	}
}
