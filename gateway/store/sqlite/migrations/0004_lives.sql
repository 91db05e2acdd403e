-- Each start of a gateway on this database begins a generation. The token is random: it tells copies of one database
-- apart, which go on from the same place. Events before the first row are of versions that kept no generations.
CREATE TABLE generation (
    number         INTEGER PRIMARY KEY,
    token          INTEGER NOT NULL,             -- 1 to 2^63 - 1
    first_sequence INTEGER NOT NULL              -- the first that can be one of its events
) STRICT;

-- What is remembered of the clock (gateway.store.api.ClockRecord); one row at most.
CREATE TABLE clock (
    key            INTEGER PRIMARY KEY CHECK (key = 1),
    seen_at        INTEGER NOT NULL,
    doubted        INTEGER NOT NULL,
    reason         TEXT NOT NULL,
    steady_seconds REAL NOT NULL,
    head           INTEGER NOT NULL
) STRICT;

-- When the floor stood where: what is below has been without its events since then. Finished transactions and commands
-- are kept for some time after that, so that what is repeated late is recognised.
CREATE TABLE floor_mark (
    at    INTEGER PRIMARY KEY,
    floor INTEGER NOT NULL
) STRICT;

-- Whether the events are gone that were kept below the floor while the transaction was open.
ALTER TABLE txn ADD COLUMN cleared INTEGER NOT NULL DEFAULT 0;
CREATE INDEX txn_to_clear ON txn (last_sequence) WHERE state <> 'OPEN' AND cleared = 0;

-- The newest time of an event that retention has passed: nothing above the floor happened before it.
INSERT INTO meta (name, value) VALUES ('floor_time', 0);
