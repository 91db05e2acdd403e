-- The last local authorization list that a charger has accepted.
CREATE TABLE local_list (
    charge_point INTEGER PRIMARY KEY REFERENCES charge_point (key),
    list_version INTEGER NOT NULL,
    update_type  TEXT NOT NULL,
    command_id   TEXT NOT NULL,
    changed_at   INTEGER NOT NULL
) STRICT;
