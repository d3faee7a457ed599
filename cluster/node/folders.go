package node

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"slices"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// A client that has an access key, or a bearer token of one, may name a folder by the id that it has in the API; its paths are then below that folder
// (docs/protocol-auth.md section 49). To a user of an application, whose rights are those of permissions, nothing else is open.

// errByID is what such a user is told who names none.
var errByID = &transfer.Error{Code: transfer.CodeNoPerms, Err: errors.New("tokens of scope user:all are for folders by their ids; name one in tags, aspera.node.file_id")}

// errArrange is for a session to look and arrange. The API tells levels of permissions apart that a session does not, renaming being one, and keeps the ids of what is renamed.
var errArrange = &transfer.Error{Code: transfer.CodeNoPerms, Err: errors.New("tokens of scope user:all are for transfers; look at files and arrange them over the API")}

// placeOf returns what finds the place of a session's paths; whole is that of its grant. What permissions allowed is noted in x.
func (n *Node) placeOf(x *guest, m transfer.Manager, whole transfer.Place) func(context.Context, transfer.Asked) (transfer.Place, error) {
	g := x.grant
	return func(ctx context.Context, a transfer.Asked) (transfer.Place, error) {
		epoch := n.guests.epoch.Load()
		if _, err := api.UsageID(a.Tags); err != nil {
			return whole, &transfer.Error{Code: transfer.CodeUsage, Err: err}
		}
		if a.Folder == "" {
			if byPermissions(g) {
				return whole, errByID
			}
			return whole, nil
		}
		if a.Manage && byPermissions(g) {
			return whole, errArrange
		}
		if err := n.mayName(g, a); err != nil {
			return whole, err
		}
		f, err := n.desk.files.Folder(ctx, g, m, a.Folder)
		if err != nil {
			return whole, folderError(err)
		}
		sub, err := m.Folder(ctx, f.Name)
		if err != nil { // it went, or gave way to something else, since it was found
			n.cfg.Logger.Warn("a folder named by its id was not opened", "folder", f.Name, "error", err)
			return whole, openError(err)
		}
		if byPermissions(g) {
			n.guests.allowed(x, a.Folder, f.Rights, epoch)
		}
		p := whole
		p.Store, p.Path, p.Release = sub, f.Name, func() {
			if err := sub.Close(); err != nil {
				n.cfg.Logger.Warn("a folder was not closed", "error", err)
			}
		}
		p.Limits.Read, p.Limits.Write = f.Rights.Read, f.Rights.Write
		p.Limits.List, p.Limits.Delete = f.Rights.List, f.Rights.Delete
		return p, nil
	}
}

// byPermissions says whether permissions alone decide what a grant is good for.
func byPermissions(g accesskey.Grant) bool { return g.User != "" && !g.Owner }

// mayName says whether who has g may name folders by ids at all, and whether that is an id of his key.
func (n *Node) mayName(g accesskey.Grant, a transfer.Asked) error {
	no := func(code transfer.Code, text string) error { return &transfer.Error{Code: code, Err: errors.New(text)} }
	switch {
	case n.desk == nil:
		return no(transfer.CodeNoSuchFile, "this node keeps no state, so files have no ids here; name the folder by its path, and leave aspera.node.file_id out of the tags")
	case g.Within != nil && !slices.Contains(g.Within, ""):
		return no(transfer.CodeNoPerms, "these credentials say themselves which paths they are for; leave aspera.node.file_id out of the tags")
	case g.IsAccount():
		return no(transfer.CodeNoSuchFile, "to accounts files have no ids; name the folder by its path, and leave aspera.node.file_id out of the tags")
	}
	var tags struct {
		Aspera struct {
			Node struct {
				Key *string `json:"access_key"`
			} `json:"node"`
		} `json:"aspera"`
	}
	if len(a.Tags) > 0 && json.Unmarshal(a.Tags, &tags) != nil {
		return no(transfer.CodeUsage, "tags: aspera.node.access_key: want a text")
	}
	if key := tags.Aspera.Node.Key; key != nil && *key != g.KeyID {
		return no(transfer.CodeNoPerms, "the tags are about a file of another access key (aspera.node.access_key) than that of the credentials")
	}
	return nil
}

// openError is for a client whose folder was not opened. Its text does not say where that is, which a user of an application must not know.
func openError(err error) error {
	var e *transfer.Error
	if errors.As(err, &e) && e.Code == transfer.CodeNotDir {
		return &transfer.Error{Code: transfer.CodeNotDir, Op: "aspera.node.file_id", Err: errors.New("there is no folder where the file of this id was")}
	}
	if errors.As(err, &e) || errors.Is(err, fs.ErrNotExist) {
		return &transfer.Error{Code: transfer.CodeNoSuchFile, Op: "aspera.node.file_id", Err: errors.New("there is no file of this id")}
	}
	return err
}

// folderError is an error of fileids for a client.
func folderError(err error) error {
	var e *api.Error
	if !errors.As(err, &e) {
		return err
	}
	code := transfer.CodeNoPerms
	switch e.Code {
	case http.StatusNotFound:
		code = transfer.CodeNoSuchFile
	case http.StatusConflict:
		code = transfer.CodeNotDir
	}
	return &transfer.Error{Code: code, Op: "aspera.node.file_id", Err: errors.New(e.UserMessage)}
}
