-- +goose Up

-- Usage is counted apart for each id that an application gave its transfers, '' for those without.
CREATE TABLE usage_by_id (
    hour       INTEGER NOT NULL,
    tenant     TEXT    NOT NULL,
    access_key TEXT    NOT NULL,
    usage_id   TEXT    NOT NULL,
    bytes_in   INTEGER NOT NULL,
    bytes_out  INTEGER NOT NULL,
    files_in   INTEGER NOT NULL,
    files_out  INTEGER NOT NULL,
    sessions   INTEGER NOT NULL,
    PRIMARY KEY (hour, tenant, access_key, usage_id)
) STRICT, WITHOUT ROWID;
INSERT INTO usage_by_id SELECT hour, tenant, access_key, '', bytes_in, bytes_out, files_in, files_out, sessions FROM usage_hours;
DROP TABLE usage_hours;
ALTER TABLE usage_by_id RENAME TO usage_hours;
CREATE INDEX usage_hours_tenant ON usage_hours (tenant, hour, access_key, usage_id);
CREATE INDEX usage_hours_key ON usage_hours (access_key, hour, tenant, usage_id);
CREATE INDEX usage_hours_id ON usage_hours (usage_id, access_key);
