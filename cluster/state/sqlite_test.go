package state

import (
	"context"
	"database/sql"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"
)

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a ?%#&b.db")
	s := openAt(t, path)
	fill(t, s)
	k := must(s.Key(t.Context(), "k"))(t)
	iter := must(s.Iter(t.Context()))(t)
	require.NoError(t, s.Close())
	_, err := os.Stat(path + "-wal")
	require.ErrorIs(t, err, os.ErrNotExist, "Close folds the log away")
	s = openAt(t, path)
	require.Equal(t, k, must(s.Key(t.Context(), "k"))(t))
	require.Greater(t, must(s.CreateJob(t.Context(), Job{ID: "next"}))(t).Iter, iter)
	must(s.VerifyAudit(t.Context()))(t)
}

func TestPragmas(t *testing.T) {
	s := openNew(t)
	for name, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000"} {
		for what, db := range map[string]*sql.DB{"writer": s.writer, "reader": s.reader} {
			var have string
			require.NoError(t, db.QueryRow("PRAGMA "+name).Scan(&have))
			require.Equal(t, want, have, "%s of the %s", name, what)
		}
	}
	_, err := s.reader.Exec("DELETE FROM meta")
	require.Error(t, err, "readers cannot write")
}

func TestOnlyOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := openAt(t, path)
	_, err := Open(t.Context(), Config{Path: path})
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, path)
	require.NoError(t, s.Close())
	openAt(t, path)
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	refused := func(path string) error {
		t.Helper()
		for range 2 { // a failed Open leaves no lock behind
			_, err := Open(t.Context(), Config{Path: path})
			require.Error(t, err)
			if path != "" {
				require.ErrorContains(t, err, path)
			}
		}
		_, err := Open(t.Context(), Config{Path: path})
		return err
	}
	require.ErrorIs(t, refused(""), ErrInvalid)
	require.ErrorIs(t, refused(at("missing/state.db")), os.ErrNotExist)
	require.ErrorContains(t, refused(at("missing/state.db")), "its folder is missing; make it first")

	require.NoError(t, os.WriteFile(at("text"), []byte("This is a text of more than a hundred bytes, which SQLite would look at and not like.\n\n\n\n\n\n\n\n\n\n\n\n\n"), 0o644))
	require.ErrorIs(t, refused(at("text")), ErrDamaged)
	require.ErrorContains(t, refused(at("text/state.db")), "not a folder")
	require.NoError(t, os.WriteFile(at("short"), []byte("x"), 0o644))
	require.ErrorIs(t, refused(at("short")), ErrDamaged)
	require.NoError(t, os.WriteFile(at("header"), append([]byte("SQLite format 3\x00"), make([]byte, 5000)...), 0o644))
	require.ErrorIs(t, refused(at("header")), ErrDamaged)
	require.NoError(t, os.Mkdir(at("folder"), 0o755))
	refused(at("folder"))

	db, err := sql.Open("sqlite", at("other"))
	require.NoError(t, err)
	_, err = db.Exec("CREATE TABLE theirs (x)")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	require.ErrorIs(t, refused(at("other")), ErrDamaged)
	require.ErrorContains(t, refused(at("other")), "another program")

	s := openAt(t, at("newer"))
	sqlExec(t, s, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
	require.NoError(t, s.Close())
	err = refused(at("newer"))
	require.ErrorIs(t, err, ErrNewer)
	require.ErrorContains(t, err, "version 99")
}

// TestDamaged overwrites the middle of a database.
func TestDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := openAt(t, path)
	fill(t, s)
	require.NoError(t, s.Close())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	for i := 4096; i < len(data); i++ {
		data[i] = 0x5a
	}
	require.NoError(t, os.WriteFile(path, data, 0o600))
	_, err = Open(t.Context(), Config{Path: path})
	require.ErrorIs(t, err, ErrDamaged)
}

// TestBusy has another program hold the write lock: the store waits, tries again, and gives up with ErrBusy; it goes on when the other is done.
func TestBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := openAt(t, path)
	sqlExec(t, s, "PRAGMA busy_timeout = 1") // else the test waits for five times five seconds
	other, err := sql.Open("sqlite", sqliteURI(path, "_txlock=immediate"))
	require.NoError(t, err)
	defer other.Close()
	tx, err := other.Begin()
	require.NoError(t, err)
	_, err = s.CreateTenant(t.Context(), Tenant{ID: "a"})
	require.ErrorIs(t, err, ErrBusy)
	_, _, err = s.Tenants(t.Context(), TenantFilter{}, Page{})
	require.NoError(t, err, "readers do not wait")
	require.NoError(t, tx.Rollback())
	must(s.CreateTenant(t.Context(), Tenant{ID: "a"}))(t)
}

// TestBusyThenFree has the other program end when the store says that it tries again.
func TestBusyThenFree(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	var tx *sql.Tx
	tries := 0
	s, err := Open(t.Context(), Config{Path: path, Log: slog.New(onWarn(func() {
		if tries++; tries == 2 {
			require.NoError(t, tx.Rollback())
		}
	}))})
	require.NoError(t, err)
	defer s.Close()
	sqlExec(t, s, "PRAGMA busy_timeout = 1")
	other, err := sql.Open("sqlite", sqliteURI(path, "_txlock=immediate"))
	require.NoError(t, err)
	defer other.Close()
	tx, err = other.Begin()
	require.NoError(t, err)
	must(s.CreateTenant(t.Context(), Tenant{ID: "a"}))(t)
	require.GreaterOrEqual(t, tries, 2)
}

// onWarn calls a function for each warning.
type onWarn func()

func (f onWarn) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
func (f onWarn) Handle(context.Context, slog.Record) error    { f(); return nil }
func (f onWarn) WithAttrs([]slog.Attr) slog.Handler           { return f }
func (f onWarn) WithGroup(string) slog.Handler                { return f }

// TestHalfMade: a process that died while it made the database leaves one without tables.
func TestHalfMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := sql.Open("sqlite", sqliteURI(path, "_txlock=immediate"))
	require.NoError(t, err)
	_, err = db.Exec("CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL, is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now'))); INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1)")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	must(openAt(t, path).CreateTenant(t.Context(), Tenant{ID: "a"}))(t)
}

// TestPlans: the queries that many ask are each one range of one index, whatever else the tables hold.
func TestPlans(t *testing.T) {
	s := openNew(t)
	for _, c := range []struct{ query, index string }{
		{"SELECT * FROM sessions WHERE tenant = ? ORDER BY iter DESC LIMIT ?", "sessions_tenant (tenant=?)"},
		{"SELECT * FROM sessions WHERE tenant = ? AND iter < ? ORDER BY iter DESC LIMIT ?", "sessions_tenant (tenant=? AND iter<?)"},
		{"SELECT * FROM sessions WHERE access_key = ? AND iter > ? ORDER BY iter LIMIT ?", "sessions_key (access_key=? AND iter>?)"},
		{"SELECT * FROM sessions WHERE tenant = ? AND status = ? AND iter > ? ORDER BY iter LIMIT ?", "sessions_tenant_status (tenant=? AND status=? AND iter>?)"},
		{"SELECT * FROM sessions WHERE access_key = ? AND status = ? ORDER BY iter LIMIT ?", "sessions_key_status (access_key=? AND status=?)"},
		{"SELECT * FROM sessions WHERE status = ? ORDER BY iter LIMIT ?", "sessions_status (status=?)"},
		{"SELECT * FROM sessions WHERE iter > ? ORDER BY iter LIMIT ?", "sessions_iter (iter>?)"},
		{"SELECT id FROM sessions WHERE ended > 0 AND ended < ? LIMIT ?", "sessions_ended (ended>? AND ended<?)"},
		{"SELECT ended, id FROM sessions WHERE ended > 0 AND ended < ? AND (ended, id) > (?, ?) ORDER BY ended, id LIMIT ?", "sessions_ended ("},
		{"SELECT * FROM jobs WHERE tenant = ? AND iter > ? ORDER BY iter LIMIT ?", "jobs_tenant (tenant=? AND iter>?)"},
		{"SELECT * FROM jobs WHERE next_try > 0 AND next_try <= ? ORDER BY next_try, id LIMIT ?", "jobs_due (next_try>? AND next_try<?)"},
		{"SELECT * FROM events WHERE tenant = ? AND seq > ? ORDER BY seq LIMIT ?", "events_tenant (tenant=? AND seq>?)"},
		{"SELECT * FROM events WHERE access_key = ? AND seq > ? ORDER BY seq LIMIT ?", "events_key (access_key=? AND seq>?)"},
		{"SELECT * FROM file_ids WHERE place = ? AND parent = ? AND name > ? ORDER BY name LIMIT ?", "file_ids_name (place=? AND parent=? AND name>?)"},
	} {
		rows, err := s.reader.Query("EXPLAIN QUERY PLAN "+strings.Replace(c.query, " LIMIT ?", s.d.limit, 1), make([]any, strings.Count(c.query, "?"))...)
		require.NoError(t, err)
		plan := ""
		for rows.Next() {
			var id, parent, unused int64
			var step string
			require.NoError(t, rows.Scan(&id, &parent, &unused, &step))
			plan += step + "\n"
		}
		require.NoError(t, rows.Err())
		require.Contains(t, plan, "INDEX "+c.index, c.query)
		require.NotContains(t, plan, "TEMP B-TREE", c.query)
	}
}

// TestOpenTimes: the default clock is the real one.
func TestOpenTimes(t *testing.T) {
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "state.db"), ReadConns: 1})
	require.NoError(t, err)
	defer s.Close()
	before := time.Now().Truncate(time.Microsecond)
	a := must(s.CreateTenant(t.Context(), Tenant{ID: "a"}))(t)
	require.False(t, a.Created.Before(before))
	require.Equal(t, time.UTC, a.Created.Location())
}

// TestUpgrade: rows of the first tables are what they were in those of today.
func TestUpgrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	files, err := fs.Sub(migrations, sqliteDialect.folder)
	require.NoError(t, err)
	p, err := goose.NewProvider(sqliteDialect.goose, db, files, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	require.NoError(t, err)
	_, err = p.UpTo(t.Context(), 1)
	require.NoError(t, err)
	hour := clock.Truncate(time.Hour)
	_, err = db.Exec("INSERT INTO usage_hours VALUES (?, 't', 'k', 1, 2, 3, 4, 5), (?, 't', 'l', 6, 7, 8, 9, 10)", hour.UnixMicro(), hour.UnixMicro())
	require.NoError(t, err)
	require.NoError(t, db.Close())
	s := openAt(t, path)
	got, _, err := s.Usage(t.Context(), UsageFilter{}, Page{})
	require.NoError(t, err)
	require.Equal(t, []Usage{
		{Hour: hour, Tenant: "t", Key: "k", BytesIn: 1, BytesOut: 2, FilesIn: 3, FilesOut: 4, Sessions: 5},
		{Hour: hour, Tenant: "t", Key: "l", BytesIn: 6, BytesOut: 7, FilesIn: 8, FilesOut: 9, Sessions: 10},
	}, got)
}
