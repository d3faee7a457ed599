package state

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// restoreRows is how many rows are added at once.
const restoreRows = 200

// Restore fills an empty store from a backup, all of it or nothing: it is committed when the checksum was right. Nothing else can be written
// meanwhile. Numbers go on where the backed-up store's were; who saw greater ones from a store that went on behind its backup has to
// begin anew. Errors: ErrNotEmpty, ErrBackup, ErrNewer if a newer version wrote it.
func (s *Store) Restore(ctx context.Context, r io.Reader) error {
	began := false
	err := s.write(ctx, func(q queries) error {
		if began {
			return errors.New("the database was locked in the middle of a restore; begin it again")
		}
		began = true
		ls := layouts()
		for _, l := range ls {
			var n int64
			err := q.one(ctx, []any{&n}, "SELECT 1 FROM "+l.table+" LIMIT 1")
			if err == nil {
				return fmt.Errorf("%w: there are %s; restore into a new store", ErrNotEmpty, l.table)
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return err
			}
		}
		var pending [][]any
		at := -1
		flush := func() error {
			if len(pending) == 0 {
				return nil
			}
			err := ls[at].insert(ctx, q, pending)
			pending = pending[:0]
			if errors.Is(err, errUnique) || errors.Is(err, ErrReference) {
				return backupError("rows of %s do not fit together: %w", ls[at].table, err)
			}
			return err
		}
		err := parseBackup(r, ls, s.schema, func(table int, values []any) error {
			if table != at || len(pending) == restoreRows {
				if err := flush(); err != nil {
					return err
				}
				at = table
			}
			pending = append(pending, values)
			return ctx.Err()
		})
		if err != nil {
			return err
		}
		return flush()
	})
	if err != nil {
		return fmt.Errorf("restore the state store: %w", err)
	}
	return nil
}

func backupError(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrBackup, fmt.Errorf(format, args...))
}

// parseBackup reads a backup and calls row for each row, with the place of its table in ls. It returns nil only if the backup is whole; what
// row got before is to be thrown away otherwise.
func parseBackup(r io.Reader, ls []layout, schema int64, row func(table int, values []any) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 1<<16), maxLine)
	lines.Split(wholeLines)
	sum := sha256.New()
	if !lines.Scan() {
		return scanError(lines, "it is empty")
	}
	if err := checkHeader(lines.Bytes(), ls, schema); err != nil {
		return err
	}
	sum.Write(lines.Bytes())
	counts := make([]int64, len(ls))
	at := 0
	for n := 2; lines.Scan(); n++ {
		line := lines.Bytes()
		if line[0] != '[' {
			if err := checkTrailer(line, ls, counts, sum.Sum(nil)); err != nil {
				return err
			}
			if lines.Scan() || lines.Err() != nil {
				return backupError("something follows its last line")
			}
			return nil
		}
		sum.Write(line)
		table, values, err := parseRow(line, ls)
		if err != nil {
			return backupError("line %d: %w", n, err)
		}
		if table < at {
			return backupError("line %d: a row of %s is out of order", n, ls[table].table)
		}
		at = table
		counts[at]++
		if err := row(at, values); err != nil {
			return err
		}
	}
	return scanError(lines, "it ends in the middle")
}

func scanError(lines *bufio.Scanner, otherwise string) error {
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return backupError("a line is longer than %d bytes", maxLine)
	case err != nil:
		return err
	default:
		return backupError("%s", otherwise)
	}
}

// wholeLines is a bufio.SplitFunc for lines with their newline. What has none is not a line.
func wholeLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, backupError("it ends in the middle of a line")
	}
	return 0, nil, nil
}

func checkHeader(line []byte, ls []layout, schema int64) error {
	var h backupHeader
	if err := json.Unmarshal(line, &h); err != nil || h.Backup != backupName {
		return backupError("it does not begin as one")
	}
	if h.Format > backupFormat || h.Schema > schema {
		return fmt.Errorf("%w: the backup has format %d and tables of version %d, this program knows %d and %d; use the newer program", ErrNewer, h.Format, h.Schema, backupFormat, schema)
	}
	if h.Format != backupFormat || h.Schema != schema {
		return backupError("its format %d and tables of version %d are older than this program's; restore it with the program that wrote it and upgrade then", h.Format, h.Schema)
	}
	if !slices.EqualFunc(h.Tables, ls, func(t backupTable, l layout) bool { return t.Name == l.table && slices.Equal(t.Columns, l.cols) }) {
		return backupError("its tables are not those of version %d", schema)
	}
	return nil
}

func checkTrailer(line []byte, ls []layout, counts []int64, sum []byte) error {
	var t backupTrailer
	if err := json.Unmarshal(line, &t); err != nil {
		return backupError("its last line is damaged")
	}
	rows := map[string]int64{}
	for i, l := range ls {
		rows[l.table] = counts[i]
	}
	if !maps.Equal(rows, t.Rows) {
		return backupError("rows are missing, or are too many")
	}
	if want, err := hex.DecodeString(t.SHA256); err != nil || !bytes.Equal(want, sum) {
		return backupError("its checksum is wrong")
	}
	return nil
}

func parseRow(line []byte, ls []layout) (table int, values []any, err error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(line, &parts); err != nil {
		return 0, nil, err
	}
	if len(parts) == 0 {
		return 0, nil, errors.New("the row is empty")
	}
	var name string
	if err := json.Unmarshal(parts[0], &name); err != nil {
		return 0, nil, err
	}
	table = slices.IndexFunc(ls, func(l layout) bool { return l.table == name })
	if table < 0 {
		return 0, nil, fmt.Errorf("no table is named %.50q", name)
	}
	l := ls[table]
	if len(parts)-1 != len(l.cols) {
		return 0, nil, fmt.Errorf("%d values for %d columns of %s", len(parts)-1, len(l.cols), name)
	}
	values = make([]any, len(l.cols))
	for i := range values {
		if values[i], err = decodeValue(l.forms[i], parts[i+1]); err != nil {
			return 0, nil, fmt.Errorf("%s of %s: %w", l.cols[i], name, err)
		}
	}
	return table, values, l.check(values)
}
