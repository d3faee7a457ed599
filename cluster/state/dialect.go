package state

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3"
)

// migrations has one folder for each dialect.
//
//go:embed migrations
var migrations embed.FS

// A dialect is all in which databases differ. Statements are written with ? for arguments, and in SQL that all of them know.
type dialect struct {
	goose  goose.Dialect
	folder string // of migrations
	// rebind writes the arguments of a statement the way the database wants them; nil leaves it as it is.
	rebind func(string) string
	// classify returns what an error of the driver means: errUnique, ErrReference, ErrBusy, ErrFull, ErrDamaged, or nil. A transaction
	// that ended with ErrBusy did nothing and can be tried again.
	classify func(error) error
	// limit ends a query that wants as many rows as its last argument says.
	limit  string
	update sql.TxOptions // of transactions that write
	view   sql.TxOptions // of transactions whose reads agree with each other
}

// errUnique: a row with this key is there already.
var errUnique = errors.New("the key is taken")

// explain adds what an error of the driver means.
func (d *dialect) explain(err error) error {
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		return err
	}
	switch what := d.classify(err); {
	case what == nil || errors.Is(err, what): // nothing to add, or added before
		return err
	case errors.Is(what, ErrFull):
		return fmt.Errorf("%w: nothing was changed; make room on its file system: %w", what, err)
	default:
		return fmt.Errorf("%w: %w", what, err)
	}
}

// queries runs statements, in a transaction or alone.
type queries struct {
	on interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}
	d *dialect
	// failed is set to the first error of a statement that a transaction has; nil outside transactions. A database may have rolled
	// back by itself then, or refuse all that follows, so such a transaction is not committed.
	failed *error
}

func (q queries) bind(query string) string {
	if q.d.rebind == nil {
		return query
	}
	return q.d.rebind(query)
}

// exec returns how many rows were affected.
func (q queries) exec(ctx context.Context, query string, args ...any) (int64, error) {
	if q.failed != nil && *q.failed != nil {
		return 0, *q.failed
	}
	res, err := q.on.ExecContext(ctx, q.bind(query), args...)
	if err != nil {
		err = q.d.explain(err)
		if q.failed != nil {
			*q.failed = err
		}
		return 0, err
	}
	return res.RowsAffected()
}

// each calls scan for every row.
func (q queries) each(ctx context.Context, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := q.on.QueryContext(ctx, q.bind(query), args...)
	if err != nil {
		return q.d.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return q.d.explain(rows.Err())
}

// one scans the only row into dest; without a row it returns sql.ErrNoRows.
func (q queries) one(ctx context.Context, dest []any, query string, args ...any) error {
	found := false
	err := q.each(ctx, func(rows *sql.Rows) error {
		found = true
		return rows.Scan(dest...)
	}, query, args...)
	if err == nil && !found {
		return sql.ErrNoRows
	}
	return err
}

// next gives n numbers of the counter and returns the last of them. The counter's row stays locked until the transaction ends, so numbers
// appear to readers in their order.
func (q queries) next(ctx context.Context, counter string, n int64) (int64, error) {
	changed, err := q.exec(ctx, "UPDATE counters SET value = value + ? WHERE name = ?", n, counter)
	if err != nil {
		return 0, err
	}
	if changed == 0 {
		_, err := q.exec(ctx, "INSERT INTO counters (name, value) VALUES (?, ?)", counter, n)
		return n, err
	}
	var v int64
	err = q.one(ctx, []any{&v}, "SELECT value FROM counters WHERE name = ?", counter)
	return v, err
}
