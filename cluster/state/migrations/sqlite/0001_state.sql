-- +goose Up

-- "TWDS": tells this database from other SQLite files.
PRAGMA application_id = 1414997075;

-- What was counted so far, by name: iter, event, permission. A number is never given twice.
CREATE TABLE counters (
    name  TEXT    NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE tenants (
    id      TEXT    NOT NULL PRIMARY KEY,
    name    TEXT    NOT NULL,
    doc     TEXT    NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    rev     INTEGER NOT NULL
) STRICT;
CREATE INDEX tenants_name ON tenants (name, id);

CREATE TABLE access_keys (
    id       TEXT    NOT NULL PRIMARY KEY,
    tenant   TEXT    REFERENCES tenants (id),
    status   TEXT    NOT NULL,
    disabled INTEGER NOT NULL,
    secret   BLOB,
    storage  BLOB,
    doc      TEXT    NOT NULL,
    created  INTEGER NOT NULL,
    updated  INTEGER NOT NULL,
    rev      INTEGER NOT NULL
) STRICT;
CREATE INDEX access_keys_tenant ON access_keys (tenant, id);

CREATE TABLE users (
    kind    TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    tenant  TEXT    REFERENCES tenants (id),
    secret  BLOB,
    doc     TEXT    NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    rev     INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT;
CREATE INDEX users_tenant ON users (tenant, kind, name);

-- Jobs, sessions, events and usage are history, and outlive the tenants and keys that they name.

CREATE TABLE jobs (
    id         TEXT    NOT NULL PRIMARY KEY,
    tenant     TEXT    NOT NULL,
    access_key TEXT    NOT NULL,
    status     TEXT    NOT NULL,
    next_try   INTEGER NOT NULL,
    doc        TEXT    NOT NULL,
    report     TEXT    NOT NULL,
    created    INTEGER NOT NULL,
    updated    INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    iter       INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX jobs_iter ON jobs (iter);
CREATE INDEX jobs_tenant ON jobs (tenant, iter);
CREATE INDEX jobs_key ON jobs (access_key, iter);
CREATE INDEX jobs_status ON jobs (status, iter);
CREATE INDEX jobs_tenant_status ON jobs (tenant, status, iter);
CREATE INDEX jobs_key_status ON jobs (access_key, status, iter);
CREATE INDEX jobs_due ON jobs (next_try, id);

CREATE TABLE sessions (
    id         TEXT    NOT NULL PRIMARY KEY,
    job        TEXT    NOT NULL,
    tenant     TEXT    NOT NULL,
    access_key TEXT    NOT NULL,
    status     TEXT    NOT NULL,
    started    INTEGER NOT NULL,
    ended      INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    doc        TEXT    NOT NULL,
    rev        INTEGER NOT NULL,
    iter       INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX sessions_iter ON sessions (iter);
CREATE INDEX sessions_tenant ON sessions (tenant, iter);
CREATE INDEX sessions_key ON sessions (access_key, iter);
CREATE INDEX sessions_status ON sessions (status, iter);
CREATE INDEX sessions_tenant_status ON sessions (tenant, status, iter);
CREATE INDEX sessions_key_status ON sessions (access_key, status, iter);
CREATE INDEX sessions_job ON sessions (job, iter);
CREATE INDEX sessions_ended ON sessions (ended, id);

-- Paths and names are bytes: not every file system wants UTF-8.
CREATE TABLE files (
    session TEXT    NOT NULL REFERENCES sessions (id),
    seq     INTEGER NOT NULL,
    path    BLOB    NOT NULL,
    size    INTEGER NOT NULL,
    bytes   INTEGER NOT NULL,
    status  TEXT    NOT NULL,
    code    INTEGER NOT NULL,
    doc     TEXT    NOT NULL,
    PRIMARY KEY (session, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    seq        INTEGER NOT NULL PRIMARY KEY,
    time       INTEGER NOT NULL,
    tenant     TEXT    NOT NULL,
    access_key TEXT    NOT NULL,
    type       TEXT    NOT NULL,
    doc        TEXT    NOT NULL
) STRICT;
CREATE INDEX events_tenant ON events (tenant, seq);
CREATE INDEX events_key ON events (access_key, seq);
CREATE INDEX events_time ON events (time, seq);

CREATE TABLE audit (
    seq    INTEGER NOT NULL PRIMARY KEY,
    time   INTEGER NOT NULL,
    actor  TEXT    NOT NULL,
    action TEXT    NOT NULL,
    object TEXT    NOT NULL,
    tenant TEXT    NOT NULL,
    doc    TEXT    NOT NULL,
    prev   BLOB    NOT NULL,
    hash   BLOB    NOT NULL
) STRICT;
CREATE INDEX audit_tenant ON audit (tenant, seq);

-- One row: where the chain begins, which is behind what was cut off, and where it ends.
CREATE TABLE audit_chain (
    id          INTEGER NOT NULL PRIMARY KEY,
    anchor_seq  INTEGER NOT NULL,
    anchor_hash BLOB    NOT NULL,
    head_seq    INTEGER NOT NULL,
    head_hash   BLOB    NOT NULL
) STRICT;

CREATE TABLE usage_hours (
    hour       INTEGER NOT NULL,
    tenant     TEXT    NOT NULL,
    access_key TEXT    NOT NULL,
    bytes_in   INTEGER NOT NULL,
    bytes_out  INTEGER NOT NULL,
    files_in   INTEGER NOT NULL,
    files_out  INTEGER NOT NULL,
    sessions   INTEGER NOT NULL,
    PRIMARY KEY (hour, tenant, access_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_hours_tenant ON usage_hours (tenant, hour, access_key);
CREATE INDEX usage_hours_key ON usage_hours (access_key, hour, tenant);

-- The id that was given last in each place. It stays when the place is emptied, so that ids are never given twice.
CREATE TABLE places (
    place TEXT    NOT NULL PRIMARY KEY,
    last  INTEGER NOT NULL
) STRICT;

CREATE TABLE file_ids (
    place  TEXT    NOT NULL,
    id     INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    name   BLOB    NOT NULL,
    PRIMARY KEY (place, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX file_ids_name ON file_ids (place, parent, name);

CREATE TABLE permissions (
    id         INTEGER NOT NULL PRIMARY KEY,
    place      TEXT    NOT NULL,
    file       INTEGER NOT NULL,
    tenant     TEXT    NOT NULL,
    access_key TEXT    NOT NULL,
    access     TEXT    NOT NULL,
    doc        TEXT    NOT NULL,
    created    INTEGER NOT NULL,
    updated    INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    FOREIGN KEY (place, file) REFERENCES file_ids (place, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX permissions_file ON permissions (place, file, access, id);
CREATE INDEX permissions_place ON permissions (place, id);
CREATE INDEX permissions_tenant ON permissions (tenant, id);
CREATE INDEX permissions_key ON permissions (access_key, id);
