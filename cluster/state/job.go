package state

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"
	"time"
)

// Job is a transfer that was asked for, which may take several sessions.
type Job struct {
	ID, Tenant, Key, Status string
	NextTry                 time.Time       // when it wants to be looked at; zero if never
	Doc                     json.RawMessage // the request
	Report                  json.RawMessage // the last state

	Created, Updated time.Time // set by the store
	Rev              int64     // set by the store
	Iter             int64     // set by the store at each change: greater than that of every change of a job or session before
}

// JobFilter chooses jobs; empty fields choose all.
type JobFilter struct {
	Tenant, Key, Status string
	Since               int64 // only those with a greater Iter
	Newest              bool  // those that were changed last come first; otherwise those that were changed first
}

var jobs = kind[Job]{
	name: "job", table: "jobs", keys: 1,
	cols: []string{"id", "tenant", "access_key", "status", "next_try", "doc", "report", "created", "updated", "rev", "iter"},
	fields: func(j *Job) []field {
		return []field{
			text{p: &j.ID, must: true},
			text{p: &j.Tenant},
			text{p: &j.Key},
			text{p: &j.Status},
			instant{&j.NextTry},
			document{&j.Doc},
			document{&j.Report},
			instant{&j.Created},
			instant{&j.Updated},
			number{&j.Rev},
			number{&j.Iter},
		}
	},
	stamps: func(j *Job) stamps {
		return stamps{created: &j.Created, updated: &j.Updated, rev: &j.Rev, iter: &j.Iter}
	},
}

// CreateJob adds a job and returns it as it is kept. Errors: ErrExists, ErrInvalid.
func (o ops) CreateJob(ctx context.Context, j Job) (Job, error) { return create(ctx, o, &jobs, j) }

// Job returns the job of this id. Errors: ErrNotFound.
func (o ops) Job(ctx context.Context, id string) (Job, error) { return get(ctx, o, &jobs, Job{ID: id}) }

// UpdateJob replaces the job if it is still at j.Rev, and returns it as it is kept. Errors: ErrNotFound, ErrConflict, ErrInvalid.
func (o ops) UpdateJob(ctx context.Context, j Job) (Job, error) { return update(ctx, o, &jobs, j) }

// DeleteJob deletes the job if it is still at rev; 0 stands for any. Errors: ErrNotFound, ErrConflict. Its sessions stay.
func (o ops) DeleteJob(ctx context.Context, id string, rev int64) error {
	return remove(ctx, o, &jobs, Job{ID: id}, rev)
}

// Jobs returns a page of jobs by their last change, and the cursor of the next page. What changes while pages are read moves to the end of the
// newest; deleted jobs are not told of.
func (o ops) Jobs(ctx context.Context, f JobFilter, p Page) ([]Job, string, error) {
	return list(ctx, o, &jobs, f.where(), newest(f.Newest, "iter"), p)
}

func (f JobFilter) where() (w where) {
	w.is("tenant", f.Tenant)
	w.is("access_key", f.Key)
	w.is("status", f.Status)
	if f.Since > 0 {
		w.add("iter > ?", f.Since)
	}
	return w
}

// CountJobs returns how many jobs match, without reading them; it stops counting at most.
func (o ops) CountJobs(ctx context.Context, f JobFilter, most int) (n int, err error) {
	w := f.where()
	err = o.read(ctx, func(q queries) error {
		return q.one(ctx, []any{&n}, "SELECT COUNT(*) FROM (SELECT 1 FROM jobs"+w.String()+q.d.limit+") AS some", append(w.args, most)...)
	})
	if err != nil {
		return 0, &Error{Op: "count", Kind: "job", Err: err}
	}
	return n, nil
}

// DueJobs returns jobs that wanted to be looked at by now, those that waited longest first, 1 to 1000 of them, and none of the keys except.
func (o ops) DueJobs(ctx context.Context, now time.Time, limit int, except ...string) ([]Job, error) {
	var js []Job
	cond, with := "", []any{micros(now)}
	if len(except) > 0 {
		cond = " AND access_key NOT IN (?" + strings.Repeat(", ?", len(except)-1) + ")"
		for _, key := range except {
			with = append(with, key)
		}
	}
	limit, err := Page{Limit: limit}.limit()
	if err == nil {
		err = o.read(ctx, func(q queries) error {
			js = js[:0]
			return q.each(ctx, func(rows *sql.Rows) error {
				var j Job
				if err := rows.Scan(args(jobs.fields(&j))...); err != nil {
					return err
				}
				js = append(js, j)
				return nil
			}, jobs.selects()+" WHERE next_try > 0 AND next_try <= ?"+cond+" ORDER BY next_try, id"+q.d.limit, append(with, limit)...)
		})
	}
	if err != nil {
		return nil, &Error{Op: "list", Kind: "due job", Err: err}
	}
	return js, nil
}
