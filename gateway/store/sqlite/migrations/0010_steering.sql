-- What is wanted of connectors, and how far that has got (gateway.domain.steering); the bodies are JSON.
CREATE TABLE steering (
    charge_point INTEGER NOT NULL REFERENCES charge_point (key),
    evse         INTEGER NOT NULL,
    connector    INTEGER NOT NULL,
    revision     INTEGER NOT NULL,             -- of what is wanted
    state        TEXT NOT NULL,                -- of the steering
    wanted       BLOB NOT NULL,
    steering     BLOB NOT NULL,
    PRIMARY KEY (charge_point, evse, connector)
) STRICT, WITHOUT ROWID;

CREATE INDEX steering_state ON steering (state);

-- The last requests by which that was changed: a repeated one is answered as it was.
CREATE TABLE steering_request (
    charge_point INTEGER NOT NULL REFERENCES charge_point (key),
    request_id   TEXT NOT NULL,
    fingerprint  TEXT NOT NULL,
    evse         INTEGER NOT NULL,
    connector    INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    sequence     INTEGER NOT NULL,
    PRIMARY KEY (charge_point, request_id)
) STRICT, WITHOUT ROWID;

-- The charging profiles that a charge point has accepted (gateway.domain.profiles); the bodies are JSON.
CREATE TABLE charging_profile (
    charge_point INTEGER NOT NULL REFERENCES charge_point (key),
    profile_id   INTEGER NOT NULL,
    body         BLOB NOT NULL,
    PRIMARY KEY (charge_point, profile_id)
) STRICT, WITHOUT ROWID;
