package state

import (
	"context"
	"encoding/json"
	"time"
)

// Key is an access key of a tenant.
type Key struct {
	ID       string
	Tenant   string // must be there; empty if the key belongs to the node
	Status   string
	Disabled bool
	Secret   []byte // sealed by the caller
	Storage  []byte // credentials of its storage, sealed by the caller
	Doc      json.RawMessage

	Created, Updated time.Time // set by the store
	Rev              int64     // set by the store
}

// KeyFilter chooses keys; empty fields choose all.
type KeyFilter struct {
	Tenant, Status string
}

var keys = kind[Key]{
	name: "key", table: "access_keys", keys: 1,
	cols: []string{"id", "tenant", "status", "disabled", "secret", "storage", "doc", "created", "updated", "rev"},
	fields: func(k *Key) []field {
		return []field{
			text{p: &k.ID, must: true},
			text{p: &k.Tenant, ref: true},
			text{p: &k.Status},
			flag{&k.Disabled},
			blob{&k.Secret},
			blob{&k.Storage},
			document{&k.Doc},
			instant{&k.Created},
			instant{&k.Updated},
			number{&k.Rev},
		}
	},
	stamps: func(k *Key) stamps { return stamps{created: &k.Created, updated: &k.Updated, rev: &k.Rev} },
}

// CreateKey adds a key and returns it as it is kept. Errors: ErrExists, ErrReference without its tenant, ErrInvalid.
func (o ops) CreateKey(ctx context.Context, k Key) (Key, error) { return create(ctx, o, &keys, k) }

// Key returns the key of this id. Errors: ErrNotFound.
func (o ops) Key(ctx context.Context, id string) (Key, error) { return get(ctx, o, &keys, Key{ID: id}) }

// UpdateKey replaces the key if it is still at k.Rev, and returns it as it is kept. Errors: ErrNotFound, ErrConflict, ErrReference, ErrInvalid.
func (o ops) UpdateKey(ctx context.Context, k Key) (Key, error) { return update(ctx, o, &keys, k) }

// DeleteKey deletes the key if it is still at rev; 0 stands for any. Errors: ErrNotFound, ErrConflict. Its history stays; see [Store.Forget].
func (o ops) DeleteKey(ctx context.Context, id string, rev int64) error {
	return remove(ctx, o, &keys, Key{ID: id}, rev)
}

// Keys returns a page of keys by id, and the cursor of the next page.
func (o ops) Keys(ctx context.Context, f KeyFilter, p Page) ([]Key, string, error) {
	var w where
	w.is("tenant", f.Tenant)
	w.is("status", f.Status)
	return list(ctx, o, &keys, w, order{cols: []string{"id"}}, p)
}
