package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/pressly/goose/v3"
)

// Store is an open state database. Its methods may be called by several goroutines at once. The methods for single records are each a
// transaction of their own; Update and View join several.
type Store struct {
	ops
	log    *slog.Logger
	d      *dialect
	writer *sql.DB // one connection: writers take turns
	reader *sql.DB
	schema int64
	now    func() time.Time
	// finish folds away what the database keeps beside its file, when nobody uses it any more.
	finish func(context.Context) error
	unlock func()

	closing context.Context // ends when Close begins
	close   context.CancelCauseFunc

	mu     sync.Mutex // guards what follows
	closed bool
	users  sync.WaitGroup // operations under way; none begins once closed is set
	ended  chan struct{}  // closed when Close is done
	err    error          // what Close returned
}

// ops are the operations on records, the same for a Store and a Tx.
type ops struct {
	// read and write run fn in the transaction at hand, or in one of their own, which may be tried several times.
	read, write func(ctx context.Context, fn func(q queries) error) error
	now         func() time.Time
}

// Open opens the database, or makes it, and brings its tables up to date. The caller closes the Store.
//
// Errors: ErrLocked if someone else has it open, ErrDamaged if the file is not a state database, ErrNewer if a newer version of the
// program wrote it, ErrFull, and what the file system says of a folder that is missing or not writable.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s, err := openSQLite(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the state store %s: %w", cfg.Path, err)
	}
	return s, nil
}

// newStore makes a Store over open databases, which it owns from here on.
func newStore(ctx context.Context, cfg Config, d *dialect, writer, reader *sql.DB) (*Store, error) {
	s := &Store{log: cfg.Log, d: d, writer: writer, reader: reader, ended: make(chan struct{}), now: cfg.Now}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.closing, s.close = context.WithCancelCause(context.Background())
	reads := newPrepared(reader)
	s.ops = ops{
		read: func(ctx context.Context, fn func(q queries) error) error {
			return s.run(ctx, func(context.Context) error { return fn(queries{on: reads, d: s.d}) })
		},
		write: func(ctx context.Context, fn func(q queries) error) error {
			return s.transact(ctx, s.writer, &s.d.update, fn)
		},
		now: s.now,
	}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(d.explain(err), s.writer.Close(), s.reader.Close())
	}
	return s, nil
}

// migrate brings the tables up to date.
func (s *Store) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, s.d.folder)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(s.d.goose, s.writer, files, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > want {
		return fmt.Errorf("%w: its tables are of version %d, this program knows %d; use the newer program, or restore a backup of this version into an empty store", ErrNewer, have, want)
	}
	if have < want {
		s.log.InfoContext(ctx, "the tables of the state store are brought up to date", "from", have, "to", want)
	}
	if _, err := p.Up(ctx); err != nil {
		return err
	}
	s.schema = want
	return nil
}

// Close ends transactions under way, which are rolled back and fail with ErrClosed, waits for single reads, folds the write-ahead log
// into the database, and lets go of it. It may be called several times, and each returns when all is done.
func (s *Store) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if !first {
		<-s.ended
		return s.err
	}
	s.close(ErrClosed)
	s.users.Wait()
	err := s.reader.Close() // before the writer, which can fold the log away only when nobody reads
	if e := s.finish(context.Background()); e != nil {
		s.log.Warn("the write-ahead log stays beside the state database; it is used at the next start", "err", e)
	}
	s.err = errors.Join(err, s.writer.Close())
	s.unlock()
	close(s.ended)
	return s.err
}

// enter begins an operation. Its context ends with the caller's or with Close.
func (s *Store) enter(ctx context.Context) (context.Context, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, ErrClosed
	}
	s.users.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.closing, func() { cancel(ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
		s.users.Done()
	}, nil
}

// How often and how long something is tried while others keep the database locked. Each try waits for the lock on its own.
const (
	busyTries = 5
	busyPause = 20 * time.Millisecond
)

// run does fn as an operation of the store, and does it again while others keep the database locked. This is the only place that retries.
func (s *Store) run(ctx context.Context, fn func(context.Context) error) error {
	ctx, done, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer done()
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(busyPause))
	err = backoff.RetryNotify(func() error {
		err := s.d.explain(fn(ctx))
		if err == nil || errors.Is(err, ErrBusy) {
			return err
		}
		return backoff.Permanent(err)
	}, backoff.WithContext(backoff.WithMaxRetries(pause, busyTries-1), ctx), func(err error, d time.Duration) {
		s.log.WarnContext(ctx, "another program keeps the state database locked; trying again", "err", err, "pause", d)
	})
	switch cause := context.Cause(ctx); {
	case err != nil && errors.Is(cause, ErrClosed):
		return ErrClosed
	case cause != nil && errors.Is(err, sql.ErrTxDone): // which is how a transaction ends that was given up
		return cause
	}
	return err
}

// transact runs fn in a transaction of the database, which ends with it.
func (s *Store) transact(ctx context.Context, db *sql.DB, opts *sql.TxOptions, fn func(queries) error) error {
	return s.run(ctx, func(ctx context.Context) (err error) {
		tx, err := db.BeginTx(ctx, opts)
		if err != nil {
			return err
		}
		committed := false
		defer func() {
			// Also when fn panics. SQLite may have rolled back by itself, as when the disk is full, and then there is nothing left to roll back:
			// the error at hand is the one that counts.
			if !committed {
				_ = tx.Rollback()
			}
		}()
		var failed error
		if err := fn(queries{on: tx, d: s.d, failed: &failed}); err != nil {
			return err
		}
		if failed != nil {
			return failed
		}
		if s.closing.Err() != nil { // its context may not know yet
			return ErrClosed
		}
		committed = true // or has failed to, and then the driver has rolled it back
		return tx.Commit()
	})
}
