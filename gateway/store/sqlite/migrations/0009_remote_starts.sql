-- Remote starts of which a transaction may still come, and the one that a transaction came of.
CREATE TABLE pending_start (
    charge_point INTEGER NOT NULL REFERENCES charge_point (key),
    command_id   TEXT NOT NULL,
    id_tag       TEXT NOT NULL,
    evse         INTEGER,                        -- NULL: the charger chooses a connector
    connector    INTEGER,
    queued_at    INTEGER NOT NULL,
    sent_at      INTEGER,                        -- NULL: not sent yet
    accepted_at  INTEGER,
    PRIMARY KEY (charge_point, command_id)
) STRICT, WITHOUT ROWID;

ALTER TABLE txn ADD COLUMN start_command_id TEXT NOT NULL DEFAULT '';
