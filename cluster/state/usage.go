package state

import (
	"context"
	"time"
)

// Usage is what a key moved in one hour, under one id.
type Usage struct {
	Key, Tenant       string
	ID                string    // under which an application counts; empty if it gave none
	Hour              time.Time // any time in the hour; kept as its beginning in UTC
	BytesIn, BytesOut int64
	FilesIn, FilesOut int64
	Sessions          int64
}

// UsageFilter chooses hours; empty fields choose all.
type UsageFilter struct {
	Key, Tenant string
	ID          string
	From, To    time.Time // From inclusive, To exclusive
}

func (f UsageFilter) where() (w where) {
	w.is("access_key", f.Key)
	w.is("tenant", f.Tenant)
	w.is("usage_id", f.ID)
	w.between("hour", f.From, f.To)
	return w
}

var usages = kind[Usage]{
	name: "usage", table: "usage_hours", keys: 4,
	cols: []string{"hour", "tenant", "access_key", "usage_id", "bytes_in", "bytes_out", "files_in", "files_out", "sessions"},
	fields: func(u *Usage) []field {
		return []field{
			instant{&u.Hour},
			text{p: &u.Tenant},
			text{p: &u.Key},
			text{p: &u.ID},
			number{&u.BytesIn},
			number{&u.BytesOut},
			number{&u.FilesIn},
			number{&u.FilesOut},
			number{&u.Sessions},
		}
	},
}

// AddUsage adds to the hours' sums, at most 10,000 in a call, all or none. Errors: ErrInvalid.
func (o ops) AddUsage(ctx context.Context, us []Usage) error {
	err := checkBatch(len(us))
	if err == nil {
		err = o.write(ctx, func(q queries) error {
			for _, u := range us {
				if err := addUsage(ctx, q, u); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return &Error{Op: "add", Kind: "usage", Err: err}
	}
	return nil
}

// addUsage changes the row that is there, else adds one: each dialect has another word for doing both at once.
func addUsage(ctx context.Context, q queries, u Usage) error {
	if u.Hour.IsZero() {
		return invalidf("no hour is given")
	}
	u.Hour = u.Hour.UTC().Truncate(time.Hour)
	if err := usages.check(&u); err != nil {
		return err
	}
	fs := usages.fields(&u)
	as := append(args(fs[4:]), args(fs[:4])...)
	n, err := q.exec(ctx, "UPDATE usage_hours SET bytes_in = bytes_in + ?, bytes_out = bytes_out + ?, files_in = files_in + ?, "+
		"files_out = files_out + ?, sessions = sessions + ? WHERE hour = ? AND tenant = ? AND access_key = ? AND usage_id = ?", as...)
	if err != nil || n > 0 {
		return err
	}
	return usages.insert(ctx, q, []Usage{u})
}

// Usage returns a page of hours by time, tenant, key and id, and the cursor of the next page.
func (o ops) Usage(ctx context.Context, f UsageFilter, p Page) ([]Usage, string, error) {
	return list(ctx, o, &usages, f.where(), order{cols: []string{"hour", "tenant", "access_key", "usage_id"}}, p)
}

// UsageTotal returns the sums over all hours that match. Key, Tenant and ID are those of the filter, and Hour is From.
func (o ops) UsageTotal(ctx context.Context, f UsageFilter) (Usage, error) {
	u := Usage{Key: f.Key, Tenant: f.Tenant, ID: f.ID, Hour: f.From}
	w := f.where()
	err := o.read(ctx, func(q queries) error {
		return q.one(ctx, args(usages.fields(&u)[4:]), "SELECT COALESCE(SUM(bytes_in), 0), COALESCE(SUM(bytes_out), 0), COALESCE(SUM(files_in), 0), "+
			"COALESCE(SUM(files_out), 0), COALESCE(SUM(sessions), 0) FROM usage_hours"+w.String(), w.args...)
	})
	if err != nil {
		return Usage{}, &Error{Op: "sum", Kind: "usage", Err: err}
	}
	return u, nil
}
