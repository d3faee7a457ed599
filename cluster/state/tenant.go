package state

import (
	"context"
	"encoding/json"
	"time"
)

// Tenant is whom keys belong to.
type Tenant struct {
	ID   string
	Name string // for people; several may have the same
	Doc  json.RawMessage

	Created, Updated time.Time // set by the store
	Rev              int64     // set by the store: 1, and one more with each change
}

// TenantFilter chooses tenants; empty fields choose all.
type TenantFilter struct {
	Name string
}

var tenants = kind[Tenant]{
	name: "tenant", table: "tenants", keys: 1,
	cols: []string{"id", "name", "doc", "created", "updated", "rev"},
	fields: func(t *Tenant) []field {
		return []field{
			text{p: &t.ID, must: true},
			text{p: &t.Name},
			document{&t.Doc},
			instant{&t.Created},
			instant{&t.Updated},
			number{&t.Rev},
		}
	},
	stamps: func(t *Tenant) stamps { return stamps{created: &t.Created, updated: &t.Updated, rev: &t.Rev} },
}

// CreateTenant adds a tenant and returns it as it is kept. Errors: ErrExists, ErrInvalid.
func (o ops) CreateTenant(ctx context.Context, t Tenant) (Tenant, error) {
	return create(ctx, o, &tenants, t)
}

// Tenant returns the tenant of this id. Errors: ErrNotFound.
func (o ops) Tenant(ctx context.Context, id string) (Tenant, error) {
	return get(ctx, o, &tenants, Tenant{ID: id})
}

// UpdateTenant replaces the tenant if it is still at t.Rev, and returns it as it is kept. Errors: ErrNotFound, ErrConflict, ErrInvalid.
func (o ops) UpdateTenant(ctx context.Context, t Tenant) (Tenant, error) {
	return update(ctx, o, &tenants, t)
}

// DeleteTenant deletes the tenant if it is still at rev; 0 stands for any. Errors: ErrNotFound, ErrConflict, and ErrReference while keys or
// users belong to it. Its history stays.
func (o ops) DeleteTenant(ctx context.Context, id string, rev int64) error {
	return remove(ctx, o, &tenants, Tenant{ID: id}, rev)
}

// Tenants returns a page of tenants by id, and the cursor of the next page.
func (o ops) Tenants(ctx context.Context, f TenantFilter, p Page) ([]Tenant, string, error) {
	var w where
	w.is("name", f.Name)
	return list(ctx, o, &tenants, w, order{cols: []string{"id"}}, p)
}
