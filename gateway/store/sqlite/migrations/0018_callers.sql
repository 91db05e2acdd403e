-- Callers of the control interface. Of a token its SHA-256 alone is kept.
CREATE TABLE caller (
    name             TEXT PRIMARY KEY,
    roles            TEXT NOT NULL,
    created_at       INTEGER NOT NULL,
    token_digest     BLOB UNIQUE,
    certificate_name TEXT UNIQUE
) STRICT;
