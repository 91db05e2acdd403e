-- What the last event of a connector's charging state said; without a row its status alone says what it is.
CREATE TABLE charging_state (
    charge_point INTEGER NOT NULL REFERENCES charge_point (key),
    evse         INTEGER NOT NULL,
    connector    INTEGER NOT NULL,
    state        TEXT NOT NULL,
    basis        TEXT NOT NULL,
    since        INTEGER NOT NULL,
    PRIMARY KEY (charge_point, evse, connector)
) STRICT, WITHOUT ROWID;

-- The newest readings of its connectors (gateway.domain.latest), as the last session that recorded its end left them,
-- and that session's epoch. Of a later one, which did not, they are read from its events.
ALTER TABLE charge_point ADD COLUMN latest TEXT NOT NULL DEFAULT '';
ALTER TABLE charge_point ADD COLUMN latest_epoch INTEGER NOT NULL DEFAULT 0;
