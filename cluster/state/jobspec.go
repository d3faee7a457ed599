package state

import (
	"context"
)

// jobSpec is the large part of a job, which lists of jobs leave out. It goes with its job.
type jobSpec struct {
	job    string
	sealed []byte
}

var jobSpecs = kind[jobSpec]{
	name: "job specification", table: "job_specs", keys: 1,
	cols: []string{"job", "sealed"},
	fields: func(j *jobSpec) []field {
		return []field{text{p: &j.job, must: true, ref: true}, blob{&j.sealed}}
	},
}

// SetJobSpec keeps what the caller sealed with a job, up to 1 MiB, in place of what was there; nothing removes it. Errors: ErrReference if the job is not there, ErrInvalid.
func (o ops) SetJobSpec(ctx context.Context, job string, sealed []byte) error {
	j := jobSpec{job, sealed}
	err := o.write(ctx, func(q queries) error {
		if err := jobSpecs.check(&j); err != nil {
			return err
		}
		if _, err := q.exec(ctx, "DELETE FROM job_specs WHERE job = ?", job); err != nil || len(sealed) == 0 {
			return err
		}
		return jobSpecs.insert(ctx, q, []jobSpec{j})
	})
	if err != nil {
		return jobSpecs.fail("set", &j, err)
	}
	return nil
}

// JobSpec returns what SetJobSpec has kept with a job. Errors: ErrNotFound.
func (o ops) JobSpec(ctx context.Context, job string) ([]byte, error) {
	j, err := get(ctx, o, &jobSpecs, jobSpec{job: job})
	return j.sealed, err
}
