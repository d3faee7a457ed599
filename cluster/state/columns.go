package state

import (
	"bytes"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of what a record holds, in bytes. They keep a line of a backup within maxLine.
const (
	maxText = 255      // ids, statuses and other indexed text
	maxName = 1024     // the name of a file in its folder
	maxPath = 32 << 10 // a path
	maxBlob = 1 << 20  // a sealed secret
	maxDoc  = 4 << 20  // a document
)

// A field joins one column of a row with the variable of a record that holds it: it is both an argument of a statement and
// the destination of a scan. Each type of field is stored in the same way by every dialect.
type field interface {
	driver.Valuer
	sql.Scanner
	// check refuses what some dialect could not keep, or would hand back as something else.
	check() error
	// settle makes the variable what a scan would make of it.
	settle()
	// form tells how the column stands in backups and cursors.
	form() form
}

// form is the type of a column's values.
type form int

const (
	formText form = iota
	formInt
	formBytes
)

// text is short UTF-8, compared byte by byte. An empty one is NULL if it may refer to another table.
type text struct {
	p    *string
	must bool // must not be empty
	ref  bool // NULL when empty
}

func (f text) Value() (driver.Value, error) {
	if f.ref && *f.p == "" {
		return nil, nil
	}
	return *f.p, nil
}
func (f text) Scan(src any) error { return scanText(f.p, src) }
func (f text) settle()            {}
func (f text) form() form         { return formText }
func (f text) check() error {
	if f.must && *f.p == "" {
		return invalidf("must not be empty")
	}
	return checkText(*f.p, maxText)
}

// long is text of any length up to that of a document.
type long struct{ p *string }

func (f long) Value() (driver.Value, error) { return *f.p, nil }
func (f long) Scan(src any) error           { return scanText(f.p, src) }
func (f long) settle()                      {}
func (f long) form() form                   { return formText }
func (f long) check() error                 { return checkText(*f.p, maxDoc) }

// raw is a file's name or path, which may be any bytes.
type raw struct {
	p   *string
	max int
}

func (f raw) Value() (driver.Value, error) { return []byte(*f.p), nil }
func (f raw) Scan(src any) error           { return scanText(f.p, src) }
func (f raw) settle()                      {}
func (f raw) form() form                   { return formBytes }
func (f raw) check() error {
	if len(*f.p) > f.max {
		return invalidf("%d bytes are more than %d", len(*f.p), f.max)
	}
	return nil
}

type number struct{ p *int64 }

func (f number) Value() (driver.Value, error) { return *f.p, nil }
func (f number) Scan(src any) error           { return scanInt(f.p, src) }
func (f number) settle()                      {}
func (f number) form() form                   { return formInt }
func (f number) check() error                 { return nil }

type flag struct{ p *bool }

func (f flag) Value() (driver.Value, error) {
	if *f.p {
		return int64(1), nil
	}
	return int64(0), nil
}

func (f flag) Scan(src any) error {
	var n int64
	err := scanInt(&n, src)
	*f.p = n != 0
	return err
}
func (f flag) settle()      {}
func (f flag) form() form   { return formInt }
func (f flag) check() error { return nil }

// instant is a time in UTC, in microseconds since 1970; the zero time is 0.
type instant struct{ p *time.Time }

func (f instant) Value() (driver.Value, error) { return micros(*f.p), nil }
func (f instant) Scan(src any) error {
	var n int64
	err := scanInt(&n, src)
	*f.p = fromMicros(n)
	return err
}
func (f instant) settle()    { *f.p = fromMicros(micros(*f.p)) }
func (f instant) form() form { return formInt }
func (f instant) check() error {
	if !f.p.IsZero() && (f.p.Year() > 9999 || micros(*f.p) <= 0) {
		return invalidf("the time %v is not between 1970 and 9999", *f.p)
	}
	return nil
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// blob is bytes that the caller sealed, or a hash; none are NULL.
type blob struct{ p *[]byte }

func (f blob) Value() (driver.Value, error) {
	if len(*f.p) == 0 {
		return nil, nil
	}
	return *f.p, nil
}

func (f blob) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*f.p = nil
	case []byte:
		*f.p = bytes.Clone(v)
	default:
		return fmt.Errorf("want bytes, have %T", src)
	}
	return nil
}

func (f blob) settle() {
	if len(*f.p) == 0 {
		*f.p = nil
	}
}
func (f blob) form() form { return formBytes }
func (f blob) check() error {
	if len(*f.p) > maxBlob {
		return invalidf("%d bytes are more than %d", len(*f.p), maxBlob)
	}
	return nil
}

// document is JSON, kept to the byte; none is the empty text.
type document struct{ p *json.RawMessage }

func (f document) Value() (driver.Value, error) { return string(*f.p), nil }
func (f document) Scan(src any) error {
	var s string
	if err := scanText(&s, src); err != nil {
		return err
	}
	*f.p = json.RawMessage(s)
	f.settle()
	return nil
}

func (f document) settle() {
	if len(*f.p) == 0 {
		*f.p = nil
	}
}
func (f document) form() form { return formText }
func (f document) check() error {
	if len(*f.p) == 0 {
		return nil
	}
	if err := checkText(string(*f.p), maxDoc); err != nil {
		return err
	}
	if !json.Valid(*f.p) {
		return invalidf("not valid JSON")
	}
	return nil
}

func checkText(s string, limit int) error {
	switch {
	case len(s) > limit:
		return invalidf("%d bytes are more than %d", len(s), limit)
	case !utf8.ValidString(s):
		return invalidf("not UTF-8")
	case strings.IndexByte(s, 0) >= 0:
		return invalidf("holds a zero byte")
	}
	return nil
}

func scanText(p *string, src any) error {
	switch v := src.(type) {
	case nil:
		*p = ""
	case string:
		*p = v
	case []byte:
		*p = string(v)
	default:
		return fmt.Errorf("want text, have %T", src)
	}
	return nil
}

func scanInt(p *int64, src any) error {
	v, ok := src.(int64)
	if !ok {
		return fmt.Errorf("want a number, have %T", src)
	}
	*p = v
	return nil
}
