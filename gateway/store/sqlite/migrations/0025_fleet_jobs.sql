-- Jobs for many charge points, and what has become of each of them.
CREATE TABLE fleet_job (
    key          INTEGER PRIMARY KEY,
    job_id       TEXT NOT NULL UNIQUE,
    request_id   TEXT NOT NULL UNIQUE,
    kind         TEXT NOT NULL,
    per_minute   REAL NOT NULL,
    at_once      INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    caller       TEXT NOT NULL,
    cancelled_at INTEGER,
    ended        TEXT,                           -- NULL: it has not
    ended_at     INTEGER
) STRICT;

CREATE TABLE fleet_item (
    job          INTEGER NOT NULL REFERENCES fleet_job (key),
    identity     TEXT NOT NULL,
    operation_id TEXT NOT NULL DEFAULT '',
    outcome      TEXT,                           -- NULL: it has not ended
    reason       TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (job, identity)
) STRICT, WITHOUT ROWID;
