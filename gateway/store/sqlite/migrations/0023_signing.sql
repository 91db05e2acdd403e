-- Open requests of chargers to have a key certified; and the certificate that each charger was last known to have.
CREATE TABLE signing (
    charge_point INTEGER PRIMARY KEY REFERENCES charge_point (key),
    signing_id   TEXT NOT NULL UNIQUE,
    csr          TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    chain        TEXT NOT NULL DEFAULT ''        -- '': it waits for the signing service
) STRICT;

CREATE INDEX signing_expiry ON signing (expires_at);

CREATE TABLE charger_certificate (
    charge_point  INTEGER PRIMARY KEY REFERENCES charge_point (key),
    serial_number TEXT NOT NULL,
    not_after     INTEGER NOT NULL,
    warned        INTEGER NOT NULL DEFAULT 0     -- 1: its end is near; 2: it is past; events say so
) STRICT;

CREATE INDEX charger_certificate_expiry ON charger_certificate (not_after) WHERE warned < 2;
