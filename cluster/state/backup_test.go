package state

import (
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
	if testing.Short() {
		t.Skip("12 s with the race detector")
	}
	s, into := openNew(t), openNew(t)
	white := json.RawMessage(strings.Repeat("\n", maxDoc-1) + "1") // JSON makes two bytes of each
	must(s.CreateJob(t.Context(), Job{ID: "j", Doc: white, Report: white}))(t)
	require.NoError(t, s.SetMeta(t.Context(), "x", strings.Repeat("\x01", maxDoc)))
	var b bytes.Buffer
	require.NoError(t, s.Backup(t.Context(), &b))
	require.NoError(t, into.Restore(t.Context(), &b))
	require.Equal(t, white, must(into.Job(t.Context(), "j"))(t).Doc)
}

// smallBackup has up to two rows of each table, with a right trailer.
func smallBackup(t testing.TB) []byte {
	s := openNew(t)
	fill(t, s)
	var b, small bytes.Buffer
	require.NoError(t, s.Backup(t.Context(), &b))
	ls := layouts()
	w := newBackupWriter(&small)
	require.NoError(t, w.object(newHeader(ls, s.schema, clock)))
	counts := make([]int64, len(ls))
	require.NoError(t, parseBackup(&b, ls, s.schema, func(table int, values []any) error {
		if counts[table] == 2 {
			return nil
		}
		counts[table]++
		return w.row(ls[table], values)
	}))
	require.NoError(t, w.end(trailerOf(ls, counts)))
	return small.Bytes()
}

func trailerOf(ls []layout, counts []int64) backupTrailer {
	t := backupTrailer{Rows: map[string]int64{}}
	for i, l := range ls {
		t.Rows[l.table] = counts[i]
	}
	return t
}

// FuzzRestore: the parser never panics, and what it takes it writes again so that it takes the same.
func FuzzRestore(f *testing.F) {
	f.Add(smallBackup(f))
	f.Add([]byte("{}\n[]\n"))
	f.Add([]byte{})
	ls := layouts()
	f.Fuzz(func(t *testing.T, data []byte) {
		type row struct {
			table  int
			values []any
		}
		var got, again []row
		counts := make([]int64, len(ls))
		_ = parseBackup(bytes.NewReader(data), ls, 1, func(table int, values []any) error { // rows before an error are looked at too
			got = append(got, row{table, values})
			counts[table]++
			return nil
		})
		var out bytes.Buffer
		w := newBackupWriter(&out)
		require.NoError(t, w.object(newHeader(ls, 1, clock)))
		for _, r := range got {
			require.NoError(t, w.row(ls[r.table], r.values))
		}
		require.NoError(t, w.end(trailerOf(ls, counts)))
		require.NoError(t, parseBackup(&out, ls, 1, func(table int, values []any) error {
			again = append(again, row{table, values})
			return nil
		}))
		require.Equal(t, got, again)
	})
}

// FuzzRow does the same with one line.
func FuzzRow(f *testing.F) {
	for line := range bytes.Lines(smallBackup(f)) {
		f.Add(line)
	}
	ls := layouts()
	f.Fuzz(func(t *testing.T, line []byte) {
		table, values, err := parseRow(line, ls)
		if err != nil {
			return
		}
		w := newBackupWriter(io.Discard)
		require.NoError(t, w.row(ls[table], values))
		again, same, err := parseRow(w.line, ls)
		require.NoError(t, err)
		require.Equal(t, table, again)
		require.Equal(t, values, same)
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
