package state

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var errBroken = errors.New("the line is cut")

type brokenReader struct{ io.Reader }

func (r *brokenReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF {
		err = errBroken
	}
	return n, err
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestLongLine(t *testing.T) {
	s := openNew(t)
	var b bytes.Buffer
	require.NoError(t, s.Backup(t.Context(), &b))
	head, _, _ := strings.Cut(b.String(), "\n")
	r := io.MultiReader(strings.NewReader(head+"\n[\"meta\",\"x\",\""), endless{})
	err := s.Restore(t.Context(), r)
	require.ErrorIs(t, err, ErrBackup)
	require.ErrorContains(t, err, "longer than")
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// TestLargestRow: the largest records that the store takes fit into a line.
func TestLargestRow(t *testing.T) {
	s, into := openNew(t), openNew(t)
	white := json.RawMessage(strings.Repeat("\n", maxDoc-1) + "1") // JSON makes two bytes of each
	must(s.CreateJob(t.Context(), Job{ID: "j", Doc: white, Report: white}))(t)
	require.NoError(t, s.SetMeta(t.Context(), "x", strings.Repeat("\x01", maxDoc)))
	var b bytes.Buffer
	require.NoError(t, s.Backup(t.Context(), &b))
	require.NoError(t, into.Restore(t.Context(), &b))
	require.Equal(t, white, must(into.Job(t.Context(), "j"))(t).Doc)
}

// FuzzRestore: the parser never panics, and what it takes it writes again so that it takes the same.
func FuzzRestore(f *testing.F) {
	s := openNew(f)
	var b bytes.Buffer
	require.NoError(f, s.Backup(f.Context(), &b))
	f.Add(b.Bytes())
	fill(f, s)
	b.Reset()
	require.NoError(f, s.Backup(f.Context(), &b))
	// Only a few rows of each table: small inputs are tried more often.
	var small bytes.Buffer
	rows := map[string]int{}
	w := newBackupWriter(&small)
	trailer := backupTrailer{Rows: map[string]int64{}}
	ls := layouts()
	for _, l := range ls {
		trailer.Rows[l.table] = 0
	}
	require.NoError(f, w.object(newHeader(ls, s.schema, clock)))
	require.NoError(f, parseBackup(bytes.NewReader(b.Bytes()), ls, s.schema, func(table int, values []any) error {
		if rows[ls[table].table]++; rows[ls[table].table] > 2 {
			return nil
		}
		trailer.Rows[ls[table].table]++
		return w.row(ls[table], values)
	}))
	require.NoError(f, w.end(trailer))
	f.Add(small.Bytes())
	f.Add([]byte("{}\n[]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		type row struct {
			table  int
			values []any
		}
		var got, again []row
		_ = parseBackup(bytes.NewReader(data), ls, 1, func(table int, values []any) error { // rows before an error are looked at too
			got = append(got, row{table, values})
			return nil
		})
		var out bytes.Buffer
		w := &backupWriter{out: bufio.NewWriter(&out), sum: newBackupWriter(nil).sum}
		tr := backupTrailer{Rows: map[string]int64{}}
		for _, l := range ls {
			tr.Rows[l.table] = 0
		}
		require.NoError(t, w.object(newHeader(ls, 1, clock)))
		for _, r := range got {
			tr.Rows[ls[r.table].table]++
			require.NoError(t, w.row(ls[r.table], r.values))
		}
		require.NoError(t, w.end(tr))
		require.NoError(t, parseBackup(&out, ls, 1, func(table int, values []any) error {
			again = append(again, row{table, values})
			return nil
		}))
		require.Equal(t, got, again)
	})
}

// FuzzCursor: what is taken as a cursor is written the same way.
func FuzzCursor(f *testing.F) {
	by := order{cols: []string{"kind", "name"}}
	sorted := users.pick(by.cols)
	f.Add(users.cursor(&User{Kind: "node", Name: "é\""}, by, sorted))
	f.Add("")
	f.Add("bnVsbA")
	f.Fuzz(func(t *testing.T, s string) {
		var u User
		if users.parseCursor(s, by, sorted, &u) != nil {
			return
		}
		var v User
		require.NoError(t, users.parseCursor(users.cursor(&u, by, sorted), by, sorted, &v))
		require.Equal(t, u, v)
	})
}
