package state

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Page asks for a part of a list.
type Page struct {
	// After is the cursor that the page before returned; empty begins the list. A cursor fits only the kind and order it was made for.
	// It holds the last sort key in plain sight, and is not signed.
	After string
	// Limit is how many records are wanted at most, 1 to 1000; zero stands for 100.
	Limit int
}

const (
	defaultLimit = 100
	maxLimit     = 1000
	maxCursor    = 4096
)

func (p Page) limit() (int, error) {
	switch {
	case p.Limit == 0:
		return defaultLimit, nil
	case p.Limit < 0 || p.Limit > maxLimit:
		return 0, invalidf("a page has 1 to %d records, not %d", maxLimit, p.Limit)
	}
	return p.Limit, nil
}

// where collects the conditions of a query.
type where struct {
	conds []string
	args  []any
}

func (w *where) add(cond string, args ...any) {
	w.conds, w.args = append(w.conds, cond), append(w.args, args...)
}

// is adds a condition unless the value is empty.
func (w *where) is(col, value string) {
	if value != "" {
		w.add(col+" = ?", value)
	}
}

// in adds a condition unless there are no values.
func in[V any](w *where, col string, values []V) {
	if len(values) == 0 {
		return
	}
	as := make([]any, len(values))
	for i, v := range values {
		as[i] = v
	}
	w.add(col+" IN (?"+strings.Repeat(", ?", len(values)-1)+")", as...)
}

// between adds conditions for a column of time: from (inclusive) and to (exclusive), where they are not zero.
func (w *where) between(col string, from, to time.Time) {
	if !from.IsZero() {
		w.add(col+" >= ?", micros(from))
	}
	if !to.IsZero() {
		w.add(col+" < ?", micros(to))
	}
}

func (w *where) String() string {
	if len(w.conds) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conds, " AND ")
}

// order is how a list is sorted: by columns that together are unique.
type order struct {
	cols []string
	desc bool
}

func newest(desc bool, col string) order { return order{cols: []string{col}, desc: desc} }

// list returns a page of the records that match, and the cursor of the next page, which is empty if there is none.
func list[R any](ctx context.Context, o ops, k *kind[R], w where, by order, p Page) ([]R, string, error) {
	rs, next, err := k.list(ctx, o, w, by, p)
	if err != nil {
		return nil, "", &Error{Op: "list", Kind: k.name, Err: err}
	}
	return rs, next, nil
}

func (k *kind[R]) list(ctx context.Context, o ops, w where, by order, p Page) ([]R, string, error) {
	limit, err := p.limit()
	if err != nil {
		return nil, "", err
	}
	way, beyond := "", " > "
	if by.desc {
		way, beyond = " DESC", " < "
	}
	sorted := k.pick(by.cols)
	if p.After != "" {
		var r R
		if err := k.parseCursor(p.After, by, sorted, &r); err != nil {
			return nil, "", err
		}
		fs := k.fields(&r)
		var as []any
		for _, i := range sorted {
			as = append(as, fs[i])
		}
		if len(sorted) == 1 {
			w.add(by.cols[0]+beyond+"?", as...)
		} else {
			w.add("("+strings.Join(by.cols, ", ")+")"+beyond+"(?"+strings.Repeat(", ?", len(sorted)-1)+")", as...)
		}
	}
	query := k.selects() + w.String() + " ORDER BY " + strings.Join(by.cols, way+", ") + way
	var rs []R
	err = o.read(ctx, func(q queries) error {
		rs = rs[:0]
		return q.each(ctx, func(rows *sql.Rows) error {
			var r R
			if err := rows.Scan(args(k.fields(&r))...); err != nil {
				return err
			}
			rs = append(rs, r)
			return nil
		}, query+q.d.limit, append(w.args, limit+1)...)
	})
	if err != nil || len(rs) <= limit {
		return rs, "", err
	}
	rs = rs[:limit]
	return rs, k.cursor(&rs[limit-1], by, sorted), nil
}

// pick returns where the columns stand in a row.
func (k *kind[R]) pick(cols []string) []int {
	var at []int
	for _, c := range cols {
		for i, have := range k.cols {
			if have == c {
				at = append(at, i)
			}
		}
	}
	if len(at) != len(cols) {
		panic(fmt.Sprintf("BUG: %s has not the columns %v", k.table, cols))
	}
	return at
}

// A cursor is JSON in base64: what list it is of, and the sort key of the last record.
type cursor struct {
	Of  string            `json:"of"`
	Key []json.RawMessage `json:"key"`
}

func (k *kind[R]) cursorOf(by order) string {
	of := k.table + ":" + strings.Join(by.cols, ",")
	if by.desc {
		of += ":desc"
	}
	return of
}

func (k *kind[R]) cursor(r *R, by order, sorted []int) string {
	c := cursor{Of: k.cursorOf(by)}
	fs := k.fields(r)
	for _, i := range sorted {
		c.Key = append(c.Key, encodeField(fs[i]))
	}
	b, err := json.Marshal(c)
	if err != nil {
		panic("BUG: a cursor has no JSON: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseCursor sets the fields of r that the list is sorted by.
func (k *kind[R]) parseCursor(s string, by order, sorted []int, r *R) error {
	bad := func(why string) error { return invalidf("the cursor %s; begin the list again", why) }
	if len(s) > maxCursor {
		return bad("is too long")
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return bad("is not base64")
	}
	var c cursor
	if err := json.Unmarshal(b, &c); err != nil {
		return bad("is not what this store gave out")
	}
	if c.Of != k.cursorOf(by) || len(c.Key) != len(sorted) {
		return bad("is of another list")
	}
	fs := k.fields(r)
	for n, i := range sorted {
		if err := decodeField(fs[i], c.Key[n]); err != nil {
			return bad("holds no sort key")
		}
	}
	return nil
}

// encodeField writes a field's value as JSON: text, a number, or bytes in base64; null stays null.
func encodeField(f field) json.RawMessage {
	v, _ := f.Value() // the values of fields have no errors
	return encodeValue(v)
}

// decodeField reads what encodeField wrote, and refuses what the field could not have had.
func decodeField(f field, b json.RawMessage) error {
	v, err := decodeValue(f.form(), b)
	if err != nil {
		return err
	}
	if err := f.Scan(v); err != nil {
		return err
	}
	return f.check()
}
