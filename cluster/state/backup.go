package state

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"
)

// A backup is text in lines that end with a newline. The first is the header, then each row is a JSON array of the table's name and the row's
// values, and the last is the trailer. Text and documents are JSON strings, times are microseconds, bytes are in base64.

// backupFormat is the version of the lines' form.
const backupFormat = 1

// maxLine is the longest line of a backup, in bytes: two documents of which JSON made twice as much, and more.
const maxLine = 32 << 20

type backupHeader struct {
	Backup string        `json:"tradewind"` // "state backup"
	Format int           `json:"format"`
	Schema int64         `json:"schema"` // version of the tables
	Made   time.Time     `json:"made"`
	Tables []backupTable `json:"tables"` // in the order of their rows
}

type backupTable struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
}

type backupTrailer struct {
	Rows   map[string]int64 `json:"rows"`   // of each table
	SHA256 string           `json:"sha256"` // of all bytes before this line
}

const backupName = "state backup"

// layouts returns all tables, each behind those that it refers to.
func layouts() []layout {
	return []layout{
		counters.layout(), metas.layout(), tenants.layout(), keys.layout(), users.layout(), jobs.layout(), jobSpecs.layout(), sessions.layout(), files.layout(),
		events.layout(), audits.layout(), chains.layout(), usages.layout(), places.layout(), fileIDs.layout(), permissions.layout(),
	}
}

func newHeader(ls []layout, schema int64, made time.Time) backupHeader {
	h := backupHeader{Backup: backupName, Format: backupFormat, Schema: schema, Made: made.UTC()}
	for _, l := range ls {
		h.Tables = append(h.Tables, backupTable{l.table, l.cols})
	}
	return h
}

// Backup writes all that the store holds, as of one moment, in a form that any database of this schema can restore. Writers go on meanwhile.
// Sealed secrets stay sealed; all else is readable. An error can leave part of a backup in w, which Restore refuses.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	began := false
	err := s.View(ctx, func(tx *Tx) error {
		if began {
			return errors.New("the database was locked in the middle of a backup; begin it again")
		}
		began = true
		return tx.read(ctx, func(q queries) error {
			b := newBackupWriter(w)
			return b.all(ctx, q, newHeader(layouts(), s.schema, s.now()))
		})
	})
	if err != nil {
		return fmt.Errorf("back up the state store: %w", err)
	}
	return nil
}

type backupWriter struct {
	out  *bufio.Writer
	sum  hash.Hash
	line []byte
}

func newBackupWriter(w io.Writer) *backupWriter {
	sum := sha256.New()
	return &backupWriter{out: bufio.NewWriterSize(w, 1<<16), sum: sum}
}

func (b *backupWriter) all(ctx context.Context, q queries, h backupHeader) error {
	if err := b.object(h); err != nil {
		return err
	}
	t := backupTrailer{Rows: map[string]int64{}}
	for _, l := range layouts() {
		n, err := b.table(ctx, q, l)
		if err != nil {
			return fmt.Errorf("%s: %w", l.table, err)
		}
		t.Rows[l.table] = n
	}
	return b.end(t)
}

// object writes the header.
func (b *backupWriter) object(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.write(append(line, '\n'))
}

// end writes the trailer.
func (b *backupWriter) end(t backupTrailer) error {
	t.SHA256 = hex.EncodeToString(b.sum.Sum(nil))
	if err := b.object(t); err != nil {
		return err
	}
	return b.out.Flush()
}

func (b *backupWriter) write(line []byte) error {
	if len(line) > maxLine {
		return fmt.Errorf("a row of %d bytes is more than a backup can hold", len(line))
	}
	b.sum.Write(line)
	_, err := b.out.Write(line)
	return err
}

func (b *backupWriter) row(l layout, values []any) error {
	b.line = append(append(append(b.line[:0], `["`...), l.table...), '"')
	for _, v := range values {
		b.line = append(append(b.line, ','), encodeValue(v)...)
	}
	b.line = append(b.line, "]\n"...)
	return b.write(b.line)
}

func (b *backupWriter) table(ctx context.Context, q queries, l layout) (n int64, err error) {
	values := make([]any, len(l.cols))
	dest := make([]any, len(l.cols))
	for i := range dest {
		dest[i] = &values[i]
	}
	cols := strings.Join(l.cols, ", ")
	err = q.each(ctx, func(rows *sql.Rows) error {
		n++
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		for i, v := range values { // drivers differ in what they return for text
			switch v := v.(type) {
			case string:
				if l.forms[i] == formBytes {
					values[i] = []byte(v)
				}
			case []byte:
				if l.forms[i] == formText {
					values[i] = string(v)
				}
			}
		}
		return b.row(l, values)
	}, "SELECT "+cols+" FROM "+l.table+" ORDER BY "+strings.Join(l.cols[:l.keys], ", "))
	return n, err
}
