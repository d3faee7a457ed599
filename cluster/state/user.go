package state

import (
	"context"
	"encoding/json"
	"time"
)

// User is who logs in with a name, apart from keys. Users of different kinds may have the same name.
type User struct {
	Kind   string // such as "node" or "ssh"
	Name   string
	Tenant string // must be there; empty if the user belongs to the node
	Secret []byte // sealed by the caller
	Doc    json.RawMessage

	Created, Updated time.Time // set by the store
	Rev              int64     // set by the store
}

// UserFilter chooses users; empty fields choose all.
type UserFilter struct {
	Kind, Tenant string
}

var users = kind[User]{
	name: "user", table: "users", keys: 2,
	cols: []string{"kind", "name", "tenant", "secret", "doc", "created", "updated", "rev"},
	fields: func(u *User) []field {
		return []field{
			text{p: &u.Kind, must: true},
			text{p: &u.Name, must: true},
			text{p: &u.Tenant, ref: true},
			blob{&u.Secret},
			document{&u.Doc},
			instant{&u.Created},
			instant{&u.Updated},
			number{&u.Rev},
		}
	},
	stamps: func(u *User) stamps { return stamps{created: &u.Created, updated: &u.Updated, rev: &u.Rev} },
}

// CreateUser adds a user and returns it as it is kept. Errors: ErrExists, ErrReference without its tenant, ErrInvalid.
func (o ops) CreateUser(ctx context.Context, u User) (User, error) { return create(ctx, o, &users, u) }

// User returns the user of this kind and name. Errors: ErrNotFound.
func (o ops) User(ctx context.Context, kind, name string) (User, error) {
	return get(ctx, o, &users, User{Kind: kind, Name: name})
}

// UpdateUser replaces the user if it is still at u.Rev, and returns it as it is kept. Errors: ErrNotFound, ErrConflict, ErrReference, ErrInvalid.
func (o ops) UpdateUser(ctx context.Context, u User) (User, error) { return update(ctx, o, &users, u) }

// DeleteUser deletes the user if it is still at rev; 0 stands for any. Errors: ErrNotFound, ErrConflict.
func (o ops) DeleteUser(ctx context.Context, kind, name string, rev int64) error {
	return remove(ctx, o, &users, User{Kind: kind, Name: name}, rev)
}

// Users returns a page of users by kind and name, and the cursor of the next page.
func (o ops) Users(ctx context.Context, f UserFilter, p Page) ([]User, string, error) {
	var w where
	w.is("kind", f.Kind)
	w.is("tenant", f.Tenant)
	return list(ctx, o, &users, w, order{cols: []string{"kind", "name"}}, p)
}
