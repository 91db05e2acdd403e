-- Operations on charging: how far each has come, and how it ended.
CREATE TABLE operation (
    key            INTEGER PRIMARY KEY,
    operation_id   TEXT NOT NULL UNIQUE,
    charge_point   INTEGER NOT NULL REFERENCES charge_point (key),
    request_id     TEXT NOT NULL,
    kind           TEXT NOT NULL,
    evse           INTEGER,                      -- NULL: none was named
    connector      INTEGER,
    id_tag         TEXT NOT NULL,
    named          TEXT NOT NULL,                -- the transaction that the caller named; '' if none
    insist         INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    stages         TEXT NOT NULL,                -- JSON: [stage, time, sequence] of each, in order
    command_id     TEXT NOT NULL DEFAULT '',
    transaction_id TEXT NOT NULL DEFAULT '',
    ended          TEXT,                         -- NULL: it has not
    reason         TEXT NOT NULL DEFAULT '',
    ended_at       INTEGER,
    last_sequence  INTEGER NOT NULL              -- its newest event
) STRICT;

CREATE UNIQUE INDEX operation_request ON operation (charge_point, request_id);
CREATE INDEX operation_of_charge_point ON operation (charge_point, key);
CREATE INDEX operation_open ON operation (charge_point) WHERE ended IS NULL;
CREATE INDEX operation_ended ON operation (last_sequence) WHERE ended IS NOT NULL;
