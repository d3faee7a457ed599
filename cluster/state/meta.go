package state

import (
	"context"
	"database/sql"
	"errors"
)

// metaRow is a small value by name.
type metaRow struct{ name, value string }

var metas = kind[metaRow]{
	name: "meta", table: "meta", keys: 1,
	cols: []string{"name", "value"},
	fields: func(m *metaRow) []field {
		return []field{text{p: &m.name, must: true}, long{&m.value}}
	},
}

// counterRow is a counter of queries.next.
type counterRow struct {
	name  string
	value int64
}

var counters = kind[counterRow]{
	name: "counter", table: "counters", keys: 1,
	cols: []string{"name", "value"},
	fields: func(c *counterRow) []field {
		return []field{text{p: &c.name, must: true}, number{&c.value}}
	},
}

// Meta returns the value that was set last under the name. Errors: ErrNotFound.
func (o ops) Meta(ctx context.Context, name string) (string, error) {
	m, err := get(ctx, o, &metas, metaRow{name: name})
	return m.value, err
}

// SetMeta sets the value under the name, at most 255 bytes, in place of the one before.
func (o ops) SetMeta(ctx context.Context, name, value string) error {
	m := metaRow{name, value}
	err := o.write(ctx, func(q queries) error {
		if err := metas.check(&m); err != nil {
			return err
		}
		n, err := q.exec(ctx, "UPDATE meta SET value = ? WHERE name = ?", value, name)
		if err != nil || n > 0 {
			return err
		}
		return metas.insert(ctx, q, []metaRow{m})
	})
	if err != nil {
		return metas.fail("set", &m, err)
	}
	return nil
}

// DeleteMeta removes the value under the name. Errors: ErrNotFound.
func (o ops) DeleteMeta(ctx context.Context, name string) error {
	return remove(ctx, o, &metas, metaRow{name: name}, 0)
}

// Iter returns the number that the last change of a job or session got, or 0: changes after it have greater ones.
func (o ops) Iter(ctx context.Context) (int64, error) {
	var v int64
	err := o.read(ctx, func(q queries) error {
		err := q.one(ctx, []any{&v}, "SELECT value FROM counters WHERE name = ?", "iter")
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return v, err
}
