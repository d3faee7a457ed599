-- +goose Up

-- When the key of an event was made, 0 if that is unknown: another key may have the same id.
ALTER TABLE events ADD COLUMN key_made INTEGER NOT NULL DEFAULT 0;
