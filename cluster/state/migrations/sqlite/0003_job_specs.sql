-- +goose Up

-- What a job was given, sealed: large, and read only when the job runs.
CREATE TABLE job_specs (
    job    TEXT NOT NULL PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    sealed BLOB NOT NULL
) STRICT;
