package state

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// History is a kind of record that grows old.
type History string

// What Prune removes.
const (
	HistoryJobs     History = "jobs"     // those that changed last before, and have no specification by which they would go on; their sessions stay
	HistorySessions History = "sessions" // those that ended before, with their files
	HistoryFiles    History = "files"    // the files of sessions that ended before
	HistoryEvents   History = "events"
	HistoryUsage    History = "usage" // whole hours that began before
	HistoryAudit    History = "audit" // from the first record on, up to one that is not older; the chain stays provable behind it
)

// Pruned counts what was removed.
type Pruned struct {
	Jobs, Sessions, Files, Events, Usage, Audit int64
}

// pruneRows is about how many rows one transaction removes, so that other writers wait for some milliseconds at most.
const pruneRows = 1000

// Prune removes what is older than a time, by the clock of when it was written, in many small transactions; on an error those before
// stay done. Errors: ErrInvalid for an unknown kind, and an [AuditError] if the audit records to be cut off are not what was written.
func (s *Store) Prune(ctx context.Context, before time.Time, of ...History) (Pruned, error) {
	var p Pruned
	for _, h := range of {
		var err error
		old := micros(before)
		switch h {
		case HistoryJobs:
			p.Jobs, err = s.dropOldJobs(ctx, old)
		case HistorySessions:
			err = s.dropSessions(ctx, &p, "ended > 0 AND ended < ?", old)
		case HistoryFiles:
			err = s.dropOldFiles(ctx, &p, old)
		case HistoryEvents:
			p.Events, err = s.dropRows(ctx, "events", "seq", "time < ?", old)
		case HistoryUsage:
			p.Usage, err = s.dropUsage(ctx, "hour < ?", old)
		case HistoryAudit:
			err = s.cutAudit(ctx, &p, before)
		default:
			err = invalidf("no history of this kind")
		}
		if err != nil {
			return p, &Error{Op: "prune", Kind: string(h), Err: err}
		}
	}
	return p, nil
}

// Forget removes the history of a key: its jobs, sessions, files, events and usage, in many small transactions. The key itself and the audit
// log stay.
func (s *Store) Forget(ctx context.Context, key string) (Pruned, error) {
	var p Pruned
	var err error
	for _, step := range []func(){
		func() { err = s.dropSessions(ctx, &p, "access_key = ?", key) },
		func() { p.Jobs, err = s.dropRows(ctx, "jobs", "iter", "access_key = ?", key) },
		func() { p.Events, err = s.dropRows(ctx, "events", "seq", "access_key = ?", key) },
		func() { p.Usage, err = s.dropUsage(ctx, "access_key = ?", key) },
	} {
		if step(); err != nil {
			return p, &Error{Op: "forget", Kind: "key", ID: key, Err: err}
		}
	}
	return p, nil
}

// DeleteFiles removes the files of a session, in many small transactions.
func (s *Store) DeleteFiles(ctx context.Context, session string) error {
	if _, err := s.dropFiles(ctx, []string{session}); err != nil {
		return &Error{Op: "delete files of", Kind: "session", ID: session, Err: err}
	}
	return nil
}

// dropRows removes rows by a numeric column that is unique.
func (s *Store) dropRows(ctx context.Context, table, col, cond string, args ...any) (n int64, err error) {
	for {
		ids, err := column[int64](ctx, s, fmt.Sprintf("SELECT %s FROM %s WHERE %s LIMIT %d", col, table, cond, pruneRows), args...)
		if err != nil || len(ids) == 0 {
			return n, err
		}
		var w where
		in(&w, col, ids)
		w.add(cond, args...)
		done, err := s.drop(ctx, "DELETE FROM "+table+w.String(), w.args...)
		n += done
		if err != nil {
			return n, err
		}
	}
}

// dropOldJobs removes jobs that nothing goes on with. It looks at them in the order in which they changed, up to the first that is not old, so that those which stay are not read each time.
func (s *Store) dropOldJobs(ctx context.Context, old int64) (n int64, err error) {
	query := fmt.Sprintf("SELECT iter, updated, EXISTS (SELECT 1 FROM job_specs WHERE job = jobs.id) FROM jobs WHERE iter > ? ORDER BY iter LIMIT %d", pruneRows)
	for after := int64(0); ; {
		var gone []int64
		var seen int
		last := false
		from := after
		err := s.read(ctx, func(q queries) error {
			gone, seen, last = nil, 0, false
			return q.each(ctx, func(rows *sql.Rows) error {
				var iter, updated int64
				var goesOn bool
				if err := rows.Scan(&iter, &updated, &goesOn); err != nil {
					return err
				}
				seen++
				after = iter
				switch {
				case updated >= old:
					last = true
				case !goesOn && !last:
					gone = append(gone, iter)
				}
				return nil
			}, query, from)
		})
		if err != nil {
			return n, err
		}
		if len(gone) > 0 {
			var w where
			in(&w, "iter", gone) // a job that has changed meanwhile has another
			done, err := s.drop(ctx, "DELETE FROM jobs"+w.String(), w.args...)
			n += done
			if err != nil {
				return n, err
			}
		}
		if last || seen < pruneRows {
			return n, nil
		}
	}
}

// dropSessions removes sessions and their files.
func (s *Store) dropSessions(ctx context.Context, p *Pruned, cond string, arg any) error {
	for {
		ids, err := column[string](ctx, s, fmt.Sprintf("SELECT id FROM sessions WHERE %s LIMIT %d", cond, pruneRows), arg)
		if err != nil || len(ids) == 0 {
			return err
		}
		n, err := s.dropFiles(ctx, ids)
		p.Files += n
		if err != nil {
			return err
		}
		var w where
		in(&w, "id", ids)
		w.add(cond, arg)
		n, err = s.drop(ctx, "DELETE FROM sessions"+w.String(), w.args...)
		p.Sessions += n
		if err != nil {
			return err
		}
	}
}

// dropOldFiles removes the files of sessions that ended before. It passes over each session once.
func (s *Store) dropOldFiles(ctx context.Context, p *Pruned, old int64) error {
	query := fmt.Sprintf("SELECT ended, id FROM sessions WHERE ended > 0 AND ended < ? AND (ended, id) > (?, ?) ORDER BY ended, id LIMIT %d", pruneRows)
	var ended int64
	var id string
	for {
		var ids []string
		err := s.read(ctx, func(q queries) error {
			ids = ids[:0]
			return q.each(ctx, func(rows *sql.Rows) error {
				err := rows.Scan(&ended, &id)
				ids = append(ids, id)
				return err
			}, query, old, ended, id)
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		n, err := s.dropFiles(ctx, ids)
		p.Files += n
		if err != nil {
			return err
		}
	}
}

// dropFiles removes all files of the sessions.
func (s *Store) dropFiles(ctx context.Context, sessions []string) (n int64, err error) {
	var w where
	in(&w, "session", sessions)
	query := fmt.Sprintf("SELECT session, seq FROM files%s ORDER BY session, seq LIMIT %d", w.String(), pruneRows)
	for {
		upTo := map[string]int64{}
		err := s.read(ctx, func(q queries) error {
			clear(upTo)
			return q.each(ctx, func(rows *sql.Rows) error {
				var session string
				var seq int64
				err := rows.Scan(&session, &seq)
				upTo[session] = seq
				return err
			}, query, w.args...)
		})
		if err != nil || len(upTo) == 0 {
			return n, err
		}
		var gone int64
		err = s.write(ctx, func(q queries) error {
			gone = 0
			for session, seq := range upTo {
				done, err := q.exec(ctx, "DELETE FROM files WHERE session = ? AND seq <= ?", session, seq)
				if err != nil {
					return err
				}
				gone += done
			}
			return nil
		})
		if err != nil {
			return n, err
		}
		n += gone
	}
}

// dropUsage removes an hour in each transaction.
func (s *Store) dropUsage(ctx context.Context, cond string, arg any) (n int64, err error) {
	for {
		hours, err := column[int64](ctx, s, "SELECT hour FROM usage_hours WHERE "+cond+" ORDER BY hour LIMIT 1", arg)
		if err != nil || len(hours) == 0 {
			return n, err
		}
		done, err := s.drop(ctx, "DELETE FROM usage_hours WHERE hour = ? AND "+cond, hours[0], arg)
		n += done
		if err != nil {
			return n, err
		}
	}
}

// cutAudit moves the beginning of the chain behind the records that are older. What it cuts off it verifies, so that cutting hides nothing.
func (s *Store) cutAudit(ctx context.Context, p *Pruned, before time.Time) error {
	for {
		cut := 0
		err := s.Update(ctx, func(tx *Tx) error {
			return tx.write(ctx, func(q queries) error {
				c, _, err := loadChain(ctx, q)
				if err != nil {
					return err
				}
				as, _, err := tx.Audits(ctx, AuditFilter{}, Page{Limit: pruneRows})
				if err != nil {
					return err
				}
				cut = slices.IndexFunc(as, func(a Audit) bool { return !a.Time.Before(before) })
				if cut < 0 {
					cut = len(as)
				}
				if cut == 0 {
					return nil
				}
				l := link{c.anchor, c.anchorHash}
				for i := range as[:cut] {
					if err := l.follow(&as[i]); err != nil {
						return err
					}
				}
				if l.seq > c.head {
					return &AuditError{l.seq, "it is behind what should be the last"}
				}
				if _, err := q.exec(ctx, "UPDATE audit_chain SET anchor_seq = ?, anchor_hash = ? WHERE id = 1", l.seq, l.hash); err != nil {
					return err
				}
				_, err = q.exec(ctx, "DELETE FROM audit WHERE seq <= ?", l.seq)
				return err
			})
		})
		if err != nil || cut == 0 {
			return err
		}
		p.Audit += int64(cut)
	}
}

// drop runs one statement in a transaction and returns how many rows it removed.
func (s *Store) drop(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = s.write(ctx, func(q queries) (err error) {
		n, err = q.exec(ctx, query, args...)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// column reads a column of values.
func column[V any](ctx context.Context, s *Store, query string, args ...any) ([]V, error) {
	var vs []V
	err := s.read(ctx, func(q queries) error {
		vs = vs[:0]
		return q.each(ctx, func(rows *sql.Rows) error {
			var v V
			err := rows.Scan(&v)
			vs = append(vs, v)
			return err
		}, query, args...)
	})
	return vs, err
}
