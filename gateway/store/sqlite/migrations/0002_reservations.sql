-- The gateway's own record of the reservations that hold; those that have ended are in the history.
CREATE TABLE reservation (
    charge_point   INTEGER NOT NULL REFERENCES charge_point (key),
    reservation_id INTEGER NOT NULL,
    evse           INTEGER NOT NULL,             -- 0: any connector
    connector      INTEGER NOT NULL,
    id_tag         TEXT NOT NULL,
    parent_id_tag  TEXT,
    expires_at     INTEGER NOT NULL,
    made_at        INTEGER NOT NULL,
    PRIMARY KEY (charge_point, reservation_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX reservation_expiry ON reservation (expires_at);
