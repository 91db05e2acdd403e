-- Firmware updates and uploads of diagnostics: the newest command of each kind, and the last status.
CREATE TABLE progress (
    charge_point      INTEGER NOT NULL REFERENCES charge_point (key),
    work              TEXT NOT NULL,
    command_id        TEXT NOT NULL,             -- '': none was sent yet
    succeeded         INTEGER NOT NULL,
    status            TEXT NOT NULL,             -- '': none was reported yet
    status_command_id TEXT NOT NULL,             -- '': it belongs to none
    reported_at       INTEGER,
    PRIMARY KEY (charge_point, work)
) STRICT, WITHOUT ROWID;
