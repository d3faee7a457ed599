package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

// sqliteDialect is SQLite by modernc.org/sqlite. There is one writer, so transactions that write need no isolation level.
var sqliteDialect = dialect{
	goose:    goose.DialectSQLite3,
	folder:   "migrations/sqlite",
	classify: classifySQLite,
	limit:    " LIMIT ? + 0", // SQLite compiles a statement anew when the argument of a bare LIMIT ? is bound, since it plans by it
	view:     sql.TxOptions{ReadOnly: true},
}

// sqliteAppID stands in the header of each state database; the first migration writes it.
const sqliteAppID = 1414997075

// sqliteBusy is how long SQLite itself waits for a lock, in milliseconds.
const sqliteBusy = 5000

// openSQLite opens the database and the lock beside it.
func openSQLite(ctx context.Context, cfg Config) (_ *Store, err error) {
	if cfg.Path == "" {
		return nil, invalidf("the path is empty")
	}
	path, err := filepath.Abs(cfg.Path)
	if err != nil {
		return nil, err
	}
	fi, err := os.Stat(filepath.Dir(path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("its folder is missing; make it first: %w", err)
	case err != nil:
		return nil, err
	case !fi.IsDir():
		return nil, fmt.Errorf("%s is not a folder", filepath.Dir(path))
	}
	unlock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			unlock()
		}
	}()
	if err := prepareFile(path); err != nil {
		return nil, err
	}
	writer, err := sql.Open("sqlite", sqliteURI(path, "_txlock=immediate"))
	if err != nil {
		return nil, err
	}
	writer.SetMaxOpenConns(1)
	if err := checkSQLite(ctx, writer); err != nil {
		return nil, errors.Join(sqliteDialect.explain(err), writer.Close())
	}
	reader, err := sql.Open("sqlite", sqliteURI(path, "_query_only=1"))
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	n := cfg.ReadConns
	if n <= 0 {
		n = 4
	}
	reader.SetMaxOpenConns(n)
	reader.SetMaxIdleConns(n)
	s, err := newStore(ctx, cfg, &sqliteDialect, writer, reader)
	if err != nil {
		return nil, err
	}
	s.unlock = unlock
	s.finish = func(ctx context.Context) error {
		var busy, logged, done int64
		if err := writer.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &logged, &done); err != nil {
			return err
		}
		if busy != 0 {
			return ErrBusy
		}
		return nil
	}
	return s, nil
}

// prepareFile makes the database file, so that it never has another mode than 0600; SQLite gives the same to the files beside it. Files
// that are there already get it too.
func prepareFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 16)
	if n, _ := f.ReadAt(head, 0); n > 0 && string(head[:n]) != "SQLite format 3\x00" {
		return fmt.Errorf("%w: the file is no SQLite database; move it away, or give another path", ErrDamaged)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Chmod(name, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// checkSQLite refuses databases of other programs.
func checkSQLite(ctx context.Context, db *sql.DB) error {
	var id, tables int64
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return err
	}
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master WHERE name NOT LIKE 'goose%' AND name NOT LIKE 'sqlite%'").Scan(&tables); err != nil {
		return err
	}
	if id != sqliteAppID && tables > 0 {
		return fmt.Errorf("%w: the file is the SQLite database of another program; give another path", ErrDamaged)
	}
	return nil
}

// sqlitePragmas are how each connection works. What a statement may have to undo stays in memory: as files it made adding rows a quarter
// slower, and would need room on another file system.
const sqlitePragmas = "_journal_mode=WAL&_synchronous=FULL&_foreign_keys=1&_defensive=1&_dqs=0&_error_rc=1" +
	"&_pragma=journal_size_limit(67108864)&_pragma=temp_store(2)&_pragma=cache_size(-16000)"

// sqliteURI names the file and how it is used.
func sqliteURI(path, more string) string {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // the drive letter of Windows
	}
	u := url.URL{Scheme: "file", Path: slashed, RawQuery: fmt.Sprintf("_busy_timeout=%d&%s&%s", sqliteBusy, sqlitePragmas, more)}
	return u.String()
}

// classifySQLite implements dialect.classify.
func classifySQLite(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Code() {
	case sqlitelib.SQLITE_CONSTRAINT_PRIMARYKEY, sqlitelib.SQLITE_CONSTRAINT_UNIQUE, sqlitelib.SQLITE_CONSTRAINT_ROWID:
		return errUnique
	case sqlitelib.SQLITE_CONSTRAINT_FOREIGNKEY:
		return ErrReference
	case sqlitelib.SQLITE_FULL, sqlitelib.SQLITE_IOERR_SHMSIZE: // the second where the index of the log could not grow
		return ErrFull
	}
	switch e.Code() & 0xff { // without the detail
	case sqlitelib.SQLITE_BUSY, sqlitelib.SQLITE_LOCKED:
		return ErrBusy
	case sqlitelib.SQLITE_FULL:
		return ErrFull
	case sqlitelib.SQLITE_CORRUPT, sqlitelib.SQLITE_NOTADB:
		return ErrDamaged
	}
	return nil
}
