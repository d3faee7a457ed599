package state

import (
	"context"
	"encoding/json"
	"time"
)

// Permission is what somebody may do with a file or folder and all below it. Deleting the file's id deletes its permissions.
type Permission struct {
	ID          int64  // set by the store, and never given twice
	Place       string // with File, an id that must be there
	File        int64
	Tenant, Key string
	Access      string // who may, such as "user:anna"
	Doc         json.RawMessage

	Created, Updated time.Time // set by the store
	Rev              int64     // set by the store
}

// PermissionFilter chooses permissions; empty fields choose all.
type PermissionFilter struct {
	Place       string
	Files       []int64 // any of these, at most 1000, such as a file and the folders above it
	Tenant, Key string
	Access      []string // any of these, at most 1000
}

func (f PermissionFilter) where() (w where, err error) {
	if len(f.Files) > maxLimit {
		return w, invalidf("%d files are more than %d", len(f.Files), maxLimit)
	}
	if len(f.Access) > maxLimit {
		return w, invalidf("%d who may are more than %d", len(f.Access), maxLimit)
	}
	w.is("place", f.Place)
	in(&w, "file", f.Files)
	in(&w, "access", f.Access)
	w.is("tenant", f.Tenant)
	w.is("access_key", f.Key)
	return w, nil
}

var permissions = kind[Permission]{
	name: "permission", table: "permissions", keys: 1,
	cols: []string{"id", "place", "file", "tenant", "access_key", "access", "doc", "created", "updated", "rev"},
	fields: func(p *Permission) []field {
		return []field{
			number{&p.ID},
			text{p: &p.Place, must: true},
			number{&p.File},
			text{p: &p.Tenant},
			text{p: &p.Key},
			text{p: &p.Access},
			document{&p.Doc},
			instant{&p.Created},
			instant{&p.Updated},
			number{&p.Rev},
		}
	},
	stamps: func(p *Permission) stamps { return stamps{created: &p.Created, updated: &p.Updated, rev: &p.Rev} },
}

// CreatePermission adds a permission and returns it as it is kept, with its id. Errors: ErrReference without its file, ErrInvalid.
func (o ops) CreatePermission(ctx context.Context, p Permission) (Permission, error) {
	var made Permission
	err := o.write(ctx, func(q queries) (err error) {
		made = p
		if made.ID, err = q.next(ctx, "permission", 1); err != nil {
			return err
		}
		if err := stamp(ctx, o, q, permissions.stamps(&made), true); err != nil {
			return err
		}
		if err := permissions.check(&made); err != nil {
			return err
		}
		return permissions.insert(ctx, q, []Permission{made})
	})
	if err != nil {
		return p, &Error{Op: "create", Kind: "permission", Err: err}
	}
	return made, nil
}

// Permission returns the permission of this id. Errors: ErrNotFound.
func (o ops) Permission(ctx context.Context, id int64) (Permission, error) {
	return get(ctx, o, &permissions, Permission{ID: id})
}

// UpdatePermission replaces the permission if it is still at p.Rev, and returns it as it is kept. Errors: ErrNotFound, ErrConflict,
// ErrReference, ErrInvalid.
func (o ops) UpdatePermission(ctx context.Context, p Permission) (Permission, error) {
	return update(ctx, o, &permissions, p)
}

// DeletePermission deletes the permission if it is still at rev; 0 stands for any. Errors: ErrNotFound, ErrConflict.
func (o ops) DeletePermission(ctx context.Context, id, rev int64) error {
	return remove(ctx, o, &permissions, Permission{ID: id}, rev)
}

// Permissions returns a page of permissions by id, and the cursor of the next page.
func (o ops) Permissions(ctx context.Context, f PermissionFilter, p Page) ([]Permission, string, error) {
	w, err := f.where()
	if err != nil {
		return nil, "", &Error{Op: "list", Kind: "permission", Err: err}
	}
	return list(ctx, o, &permissions, w, order{cols: []string{"id"}}, p)
}

// CountPermissions returns how many permissions match.
func (o ops) CountPermissions(ctx context.Context, f PermissionFilter) (n int64, err error) {
	w, err := f.where()
	if err == nil {
		err = o.read(ctx, func(q queries) error {
			return q.one(ctx, []any{&n}, "SELECT COUNT(*) FROM permissions"+w.String(), w.args...)
		})
	}
	if err != nil {
		return 0, &Error{Op: "count", Kind: "permission", Err: err}
	}
	return n, nil
}
