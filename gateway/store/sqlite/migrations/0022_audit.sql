-- The caller of what is recorded; '': it had no name, as everything of before.
ALTER TABLE command ADD COLUMN caller TEXT NOT NULL DEFAULT '';
ALTER TABLE operation ADD COLUMN caller TEXT NOT NULL DEFAULT '';
ALTER TABLE txn ADD COLUMN closed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE id_tag ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
ALTER TABLE id_tag ADD COLUMN updated_by TEXT NOT NULL DEFAULT '';
CREATE INDEX command_of_caller ON command (caller, key) WHERE caller <> '';
CREATE INDEX operation_of_caller ON operation (caller, key) WHERE caller <> '';

-- An index of what callers did (gateway.domain.audit), written together with what it points at. It goes with the event
-- that it follows from, or with the one that came after it, where it follows from none.
CREATE TABLE audit (
    key          INTEGER PRIMARY KEY,
    sequence     INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    caller       TEXT NOT NULL,
    action       TEXT NOT NULL,                -- the RPC, by its name
    charge_point INTEGER,                      -- NULL: of none
    kind         TEXT NOT NULL,                -- of the subject; '': there is none but the charge point
    subject      TEXT NOT NULL,
    denied       TEXT NOT NULL DEFAULT '',     -- why it was refused; '': it was not
    omitted      INTEGER NOT NULL DEFAULT 0    -- refusals before this one that have no row
) STRICT;

CREATE INDEX audit_at ON audit (at, key);
CREATE INDEX audit_of_caller ON audit (caller, at, key);
CREATE INDEX audit_of_charge_point ON audit (charge_point, at, key) WHERE charge_point IS NOT NULL;
CREATE INDEX audit_of_action ON audit (action, at, key);
CREATE INDEX audit_sequence ON audit (sequence);
CREATE INDEX audit_denied ON audit (key) WHERE denied <> '';
