package fileids

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// Places returns Config.Places with places in which ids follow what is renamed and removed.
func (f *Files) Places() nodeapi.Places { return places{f} }

type places struct{ f *Files }

// Open implements nodeapi.Places.
func (p places) Open(ctx context.Context, g accesskey.Grant) (transfer.Manager, func(), error) {
	m, release, err := p.f.cfg.Places.Open(ctx, g)
	if err != nil {
		return nil, nil, err
	}
	with := &followed{m, p.f, g, placeOf(g)}
	if names, ok := m.(transfer.NameLister); ok {
		return followedNames{with, names}, release, nil
	}
	return with, release, nil
}

// followedNames is a followed place that lists names alone.
type followedNames struct {
	*followed
	transfer.NameLister
}

// followed is a place whose ids follow what happens to files.
type followed struct {
	transfer.Manager
	f     *Files
	g     accesskey.Grant
	place string
}

// Capacity is how many bytes the place can hold, 0 where that is not known.
func (m *followed) Capacity(ctx context.Context) (int64, error) {
	if c, ok := m.Manager.(interface {
		Capacity(context.Context) (int64, error)
	}); ok {
		return c.Capacity(ctx)
	}
	return 0, nil
}

// Remove implements transfer.Manager.
func (m *followed) Remove(ctx context.Context, name string, all bool) (n int64, err error) {
	err = m.f.turns.alone(ctx, m.place, []string{name}, func() error {
		if n, err = m.Manager.Remove(ctx, name, all); err != nil {
			return err
		}
		// What is done is done, also for a client that went away meanwhile.
		return m.f.removed(context.WithoutCancel(ctx), m, name)
	})
	return n, err
}

// Rename implements transfer.Manager.
func (m *followed) Rename(ctx context.Context, old, name string, replace bool) (n int64, err error) {
	err = m.f.turns.alone(ctx, m.place, []string{old, name}, func() error {
		if n, err = m.Manager.Rename(ctx, old, name, replace); err != nil {
			return err
		}
		defer m.f.cfg.Changed() // other permissions hold for what was moved
		return m.f.renamed(context.WithoutCancel(ctx), m, old, name)
	})
	return n, err
}

// elements are the parts of a name of a Store.
func elements(name string) []string {
	if name == "." {
		return nil
	}
	return strings.Split(name, "/")
}

// find returns the id at a path, 0 if it has none.
func find(ctx context.Context, tx *state.Tx, place, name string) (int64, error) {
	at, err := tx.FindFileID(ctx, place, elements(name)...)
	if errors.Is(err, state.ErrNotFound) {
		return 0, nil
	}
	return at.ID, err
}

// forget drops what is at a path, which is not there any more, and returns its id, 0 if it had none.
func forget(ctx context.Context, tx *state.Tx, place, name string) (int64, error) {
	id, err := find(ctx, tx, place, name)
	if err != nil || id == 0 {
		return 0, err
	}
	return id, tx.DeleteFileID(ctx, place, id)
}

// ensure gives an id to what is at a path, and to the folders above it.
func ensure(ctx context.Context, tx *state.Tx, place string, path []string) (int64, error) {
	at := int64(state.RootFile)
	for _, name := range path {
		f, err := tx.EnsureFileID(ctx, place, at, name)
		if err != nil {
			return 0, err
		}
		at = f.ID
	}
	return at, nil
}

func (f *Files) removed(ctx context.Context, m *followed, name string) error {
	return f.cfg.State.Update(ctx, func(tx *state.Tx) error {
		id, err := forget(ctx, tx, m.place, name)
		if err != nil {
			return err
		}
		return tell(ctx, tx, m.g, nameOf(m.g), "file.deleted", fileEvent{ID: id, Path: "/" + name})
	})
}

func (f *Files) renamed(ctx context.Context, m *followed, old, name string) error {
	return f.cfg.State.Update(ctx, func(tx *state.Tx) error {
		id, err := find(ctx, tx, m.place, old)
		if err != nil {
			return err
		}
		// An id that is left there is of a file that went without this being noticed, or gave way.
		if _, err := forget(ctx, tx, m.place, name); err != nil {
			return err
		}
		if id != 0 {
			path := elements(name)
			folder, err := ensure(ctx, tx, m.place, path[:len(path)-1])
			if err != nil {
				return err
			}
			if err := tx.MoveFileID(ctx, m.place, id, folder, path[len(path)-1]); err != nil {
				return err
			}
		}
		return tell(ctx, tx, m.g, nameOf(m.g), "file.modified", fileEvent{ID: id, Path: "/" + name, Old: "/" + old})
	})
}

// create makes something in the folder at and gives it an id, a new one: one that the name has is of a file that went without this being noticed, and so are its permissions.
func (f *Files) create(ctx context.Context, q *request, at, made *file, kind string, do func(context.Context) error) (id int64, err error) {
	err = f.turns.alone(ctx, q.place, []string{made.name}, func() error {
		if err := do(ctx); err != nil {
			return err
		}
		ctx := context.WithoutCancel(ctx)
		return f.cfg.State.Update(ctx, func(tx *state.Tx) error {
			if _, err := forget(ctx, tx, q.place, made.name); err != nil {
				return err
			}
			if id, err = ensure(ctx, tx, q.place, elements(made.name)); err != nil {
				return err
			}
			return tell(ctx, tx, q.g, q.by, "file.created", fileEvent{ID: id, Path: "/" + made.name, Type: kind})
		})
	})
	return id, err
}

// fileEvent is what an event tells of a file.
type fileEvent struct {
	ID   int64  `json:"file_id,string,omitempty"`
	Path string `json:"path"`
	Old  string `json:"old_path,omitempty"`
	Type string `json:"type,omitempty"`
	By   string `json:"user_id"`
}

// tell adds an event.
func tell(ctx context.Context, tx *state.Tx, g accesskey.Grant, by, what string, e fileEvent) error {
	e.By = by
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = tx.AddEvents(ctx, []state.Event{{Tenant: g.Tenant, Key: g.KeyID, KeyMade: g.Created, Type: what, Doc: b}})
	return err
}
