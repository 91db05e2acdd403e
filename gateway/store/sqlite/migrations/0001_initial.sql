-- Times are microseconds since 1970 in UTC, energy is Wh, structured values are JSON as gateway.domain.codec writes it.
-- A charge point, a transaction and an event type are referred to by small integers: 26 million rows a day repeat them.

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta (name, value) VALUES
    ('floor', 0),        -- events at or below are gone, but for those of transactions that were open at the time
    ('next_number', 1),  -- the next transaction number that was never given out
    ('probe', x'');

-- Every identity that ever was: a deleted one keeps its row (deleted_at), so that its epoch goes on rising.
CREATE TABLE charge_point (
    key                INTEGER PRIMARY KEY,
    identity           TEXT NOT NULL UNIQUE,
    epoch              INTEGER NOT NULL DEFAULT 0,
    revision           INTEGER NOT NULL DEFAULT 1,
    registration       TEXT NOT NULL,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL,
    deleted_at         INTEGER,
    description        TEXT NOT NULL DEFAULT '',
    assume_subprotocol INTEGER NOT NULL DEFAULT 0,
    ever_accepted      INTEGER NOT NULL DEFAULT 0,
    boot               BLOB,
    booted_at          INTEGER,
    connected          INTEGER NOT NULL DEFAULT 0,
    connection_since   INTEGER,
    remote_address     TEXT NOT NULL DEFAULT '',
    security_profile   INTEGER NOT NULL DEFAULT 0,
    last_heard         INTEGER
) STRICT;

CREATE INDEX charge_point_connected ON charge_point (identity) WHERE connected = 1;

CREATE TABLE credential (
    charge_point  INTEGER NOT NULL REFERENCES charge_point (key),
    credential_id TEXT NOT NULL,
    kind          TEXT NOT NULL,
    salt          BLOB NOT NULL,
    verifier      BLOB NOT NULL,
    not_before    INTEGER NOT NULL,
    not_after     INTEGER,
    PRIMARY KEY (charge_point, credential_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE connector (
    charge_point      INTEGER NOT NULL REFERENCES charge_point (key),
    evse              INTEGER NOT NULL,
    connector         INTEGER NOT NULL,
    status            TEXT NOT NULL,
    error_code        TEXT NOT NULL,
    reported_at       INTEGER NOT NULL,
    info              TEXT,
    vendor_id         TEXT,
    vendor_error_code TEXT,
    PRIMARY KEY (charge_point, evse, connector)
) STRICT, WITHOUT ROWID;

CREATE TABLE boot_configuration (
    charge_point     INTEGER NOT NULL REFERENCES charge_point (key),
    name             TEXT NOT NULL,
    value            TEXT NOT NULL,
    status           TEXT NOT NULL,
    firmware_version TEXT,
    at               INTEGER NOT NULL,
    PRIMARY KEY (charge_point, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE configuration (
    charge_point INTEGER NOT NULL REFERENCES charge_point (key),
    name         TEXT NOT NULL,
    value        TEXT,
    PRIMARY KEY (charge_point, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE id_tag (
    folded           TEXT NOT NULL PRIMARY KEY,  -- as gateway.domain.transactions.folded has it
    id_tag           TEXT NOT NULL,
    status           TEXT NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    expiry_date      INTEGER,
    parent_id_tag    TEXT,
    allow_concurrent INTEGER NOT NULL,
    description      TEXT NOT NULL,
    revision         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE txn (
    key               INTEGER PRIMARY KEY,
    transaction_id    TEXT NOT NULL UNIQUE,
    number            INTEGER NOT NULL UNIQUE,
    charge_point      INTEGER NOT NULL REFERENCES charge_point (key),
    evse              INTEGER NOT NULL,
    connector         INTEGER NOT NULL,
    id_tag            TEXT NOT NULL,
    folded_tag        TEXT NOT NULL,
    status            TEXT NOT NULL,
    state             TEXT NOT NULL,
    meter_start       INTEGER NOT NULL,
    started_at        INTEGER NOT NULL,
    start_received_at INTEGER NOT NULL,
    start_sequence    INTEGER NOT NULL,
    start_raw         TEXT,
    start_key         TEXT NOT NULL,
    reservation_id    INTEGER,
    meter_stop        INTEGER,
    stopped_at        INTEGER,
    stop_received_at  INTEGER,
    stop_raw          TEXT,
    stop_sequence     INTEGER,
    stop_reason       TEXT,
    stop_id_tag       TEXT,
    energy            INTEGER,
    flags             TEXT NOT NULL DEFAULT '',
    last_sequence     INTEGER NOT NULL           -- its newest event, once it is not open any more
) STRICT;

CREATE INDEX txn_start_key ON txn (charge_point, start_key);
CREATE INDEX txn_started ON txn (started_at, key);
CREATE INDEX txn_of_charge_point ON txn (charge_point, started_at, key);
CREATE INDEX txn_of_tag ON txn (folded_tag, started_at, key);
CREATE INDEX txn_open ON txn (charge_point) WHERE state = 'OPEN';
CREATE INDEX txn_open_of_tag ON txn (folded_tag) WHERE state = 'OPEN';
CREATE INDEX txn_closed ON txn (last_sequence) WHERE state <> 'OPEN';

CREATE TABLE command (
    key           INTEGER PRIMARY KEY,
    command_id    TEXT NOT NULL UNIQUE,
    charge_point  INTEGER NOT NULL REFERENCES charge_point (key),
    request_id    TEXT NOT NULL,
    operation     TEXT NOT NULL,
    arguments     BLOB NOT NULL,
    fingerprint   TEXT NOT NULL,
    state         TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    sent_at       INTEGER,
    finished_at   INTEGER,
    answer        BLOB,
    error         BLOB,
    late          INTEGER NOT NULL DEFAULT 0,
    reason        TEXT NOT NULL DEFAULT '',
    last_sequence INTEGER NOT NULL               -- its newest event
) STRICT;

CREATE UNIQUE INDEX command_request ON command (charge_point, request_id) WHERE request_id <> '';
CREATE INDEX command_of_charge_point ON command (charge_point, key);
CREATE INDEX command_unfinished ON command (charge_point) WHERE state IN ('QUEUED', 'SENT');
CREATE INDEX command_finished ON command (last_sequence) WHERE state NOT IN ('QUEUED', 'SENT');

-- Codes are for ever. Types that came after this migration get theirs when the store is opened.
CREATE TABLE event_type (
    code INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

INSERT INTO event_type (code, name) VALUES
    (1, 'transaction.started'),
    (2, 'transaction.stopped'),
    (3, 'meter_values.reported'),
    (4, 'transaction.orphaned');

-- The history. One row and one index entry for each MeterValues: the index on (charge_point, sequence), the rowid being
-- the sequence, serves watchers of one charge point and, between a transaction's start and end, its readings.
CREATE TABLE event (
    sequence     INTEGER PRIMARY KEY,
    charge_point INTEGER NOT NULL,
    epoch        INTEGER NOT NULL,
    type         INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    txn          INTEGER,                        -- txn.key; 0: named in the body, but not known here
    received_at  INTEGER NOT NULL,
    reported_at  INTEGER,
    reported_raw TEXT,
    flags        TEXT NOT NULL,
    cause        TEXT NOT NULL,
    body         BLOB NOT NULL
) STRICT;

CREATE INDEX event_of_charge_point ON event (charge_point);
CREATE INDEX event_orphan ON event (type) WHERE type = 4;
CREATE INDEX event_orphan_of_charge_point ON event (charge_point) WHERE type = 4;
