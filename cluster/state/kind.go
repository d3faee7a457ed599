package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A kind is how records of type R are kept: the table, its columns, and which variable of a record each column is.
type kind[R any] struct {
	name   string // as errors call it
	table  string
	cols   []string // the key's columns first
	keys   int      // how many columns the key has
	fields func(*R) []field
	stamps func(*R) stamps // nil for what is never changed
}

// stamps are the variables that the store sets itself; nil for those that a kind lacks.
type stamps struct {
	created, updated *time.Time
	rev, iter        *int64
}

// layout is what backups need to know of a kind.
type layout struct {
	table string
	cols  []string
	keys  int
	forms []form
	// check refuses values that a record of the kind could not have.
	check func(values []any) error
	// insert adds rows.
	insert func(ctx context.Context, q queries, rows [][]any) error
}

func (k *kind[R]) layout() layout {
	var r R
	l := layout{table: k.table, cols: k.cols, keys: k.keys}
	for _, f := range k.fields(&r) {
		l.forms = append(l.forms, f.form())
	}
	scan := func(values []any) (r R, err error) {
		for i, f := range k.fields(&r) {
			if err = f.Scan(values[i]); err == nil {
				err = f.check()
			}
			if err != nil {
				return r, fmt.Errorf("%s of %s: %w", k.cols[i], k.table, err)
			}
		}
		return r, nil
	}
	l.check = func(values []any) error {
		_, err := scan(values)
		return err
	}
	l.insert = func(ctx context.Context, q queries, rows [][]any) error {
		rs := make([]R, len(rows))
		for i, values := range rows {
			var err error
			if rs[i], err = scan(values); err != nil {
				return err
			}
		}
		return k.insert(ctx, q, rs)
	}
	return l
}

func (k *kind[R]) check(r *R) error {
	for i, f := range k.fields(r) {
		if err := f.check(); err != nil {
			return fmt.Errorf("%s: %w", k.cols[i], err)
		}
		f.settle()
	}
	return nil
}

// id writes the key of a record for people.
func (k *kind[R]) id(r *R) string {
	parts := make([]string, k.keys)
	for i, f := range k.fields(r)[:k.keys] {
		v, _ := f.Value() // the values of fields have no errors
		switch v := v.(type) {
		case int64:
			parts[i] = strconv.FormatInt(v, 10)
		default:
			parts[i] = fmt.Sprint(v)
		}
	}
	return strings.Join(parts, "/")
}

func (k *kind[R]) fail(op string, r *R, err error) error {
	if errors.Is(err, errUnique) {
		err = fmt.Errorf("%w: %w", ErrExists, err)
	}
	return &Error{Op: op, Kind: k.name, ID: k.id(r), Err: err}
}

func (k *kind[R]) selects() string {
	return "SELECT " + strings.Join(k.cols, ", ") + " FROM " + k.table
}

func (k *kind[R]) byKey() string {
	return " WHERE " + strings.Join(k.cols[:k.keys], " = ? AND ") + " = ?"
}

func args(fs []field) []any {
	as := make([]any, len(fs))
	for i, f := range fs {
		as[i] = f
	}
	return as
}

// insertRows is how many rows one INSERT has at most.
const insertRows = 50

// insert adds rows as they are.
func (k *kind[R]) insert(ctx context.Context, q queries, rs []R) error {
	row := "(" + strings.Repeat("?, ", len(k.cols)-1) + "?)"
	for chunk := range slices.Chunk(rs, insertRows) {
		as := make([]any, 0, len(chunk)*len(k.cols))
		for i := range chunk {
			as = append(as, args(k.fields(&chunk[i]))...)
		}
		if _, err := q.exec(ctx, "INSERT INTO "+k.table+" ("+strings.Join(k.cols, ", ")+") VALUES "+
			strings.Repeat(row+", ", len(chunk)-1)+row, as...); err != nil {
			return err
		}
	}
	return nil
}

// create adds a record with its first revision, and returns it as it is now.
func create[R any](ctx context.Context, o ops, k *kind[R], r R) (R, error) {
	var now R
	err := o.write(ctx, func(q queries) error {
		now = r
		if err := stamp(ctx, o, q, k.stamps(&now), true); err != nil {
			return err
		}
		if err := k.check(&now); err != nil {
			return err
		}
		return k.insert(ctx, q, []R{now})
	})
	if err != nil {
		return r, k.fail("create", &r, err)
	}
	return now, nil
}

// stamp sets what the store sets itself.
func stamp(ctx context.Context, o ops, q queries, s stamps, first bool) (err error) {
	now := o.now()
	if first {
		*s.rev = 1
		if s.created != nil {
			*s.created = now
		}
	}
	if s.updated != nil {
		*s.updated = now
	}
	if s.iter != nil {
		*s.iter, err = q.next(ctx, "iter", 1)
	}
	return err
}

// get reads the record with the key of r.
func get[R any](ctx context.Context, o ops, k *kind[R], r R) (R, error) {
	err := o.read(ctx, func(q queries) error { return k.load(ctx, q, &r) })
	if err != nil {
		return r, k.fail("get", &r, err)
	}
	return r, nil
}

func (k *kind[R]) load(ctx context.Context, q queries, r *R) error {
	fs := k.fields(r)
	err := q.one(ctx, args(fs), k.selects()+k.byKey(), args(fs[:k.keys])...)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// update replaces the record if it is at the revision of r, and returns it as it is then.
func update[R any](ctx context.Context, o ops, k *kind[R], r R) (R, error) {
	var now R
	err := o.write(ctx, func(q queries) error {
		now = r
		s := k.stamps(&now)
		had := *s.rev
		if err := stamp(ctx, o, q, s, false); err != nil {
			return err
		}
		*s.rev = had + 1
		if err := k.check(&now); err != nil {
			return err
		}
		fs := k.fields(&now)
		var set []string
		var as []any
		for i := k.keys; i < len(fs); i++ {
			if k.cols[i] != "created" {
				set, as = append(set, k.cols[i]+" = ?"), append(as, fs[i])
			}
		}
		as = append(append(as, args(fs[:k.keys])...), had)
		n, err := q.exec(ctx, "UPDATE "+k.table+" SET "+strings.Join(set, ", ")+k.byKey()+" AND rev = ?", as...)
		if err != nil {
			return err
		}
		if n == 0 {
			return k.stale(ctx, q, r, had)
		}
		return k.load(ctx, q, &now) // for when it was created
	})
	if err != nil {
		return r, k.fail("update", &r, err)
	}
	return now, nil
}

// stale says why no record has the key of r and that revision.
func (k *kind[R]) stale(ctx context.Context, q queries, r R, want int64) error {
	if err := k.load(ctx, q, &r); err != nil {
		return err
	}
	return fmt.Errorf("%w: it is at revision %d, not %d; read it again", ErrConflict, *k.stamps(&r).rev, want)
}

// remove deletes the record with the key of r if it is at that revision, or at any if rev is 0.
func remove[R any](ctx context.Context, o ops, k *kind[R], r R, rev int64) error {
	err := o.write(ctx, func(q queries) error {
		as := args(k.fields(&r)[:k.keys])
		query := "DELETE FROM " + k.table + k.byKey()
		if rev != 0 {
			query, as = query+" AND rev = ?", append(as, rev)
		}
		n, err := q.exec(ctx, query, as...)
		if err != nil || n > 0 {
			return err
		}
		return k.stale(ctx, q, r, rev)
	})
	if err != nil {
		return k.fail("delete", &r, err)
	}
	return nil
}
