-- The energy of a transaction that has ended, as it was last recorded (gateway.energy.settlement), and for how long its
-- charge point has been connected and quiet about it. Times of connection are summed per charge point, and a transaction
-- notes the sum at its newest message: the end of a connection changes one row, however many transactions there are.
ALTER TABLE charge_point ADD COLUMN connected_for INTEGER NOT NULL DEFAULT 0;  -- microseconds, connections that are over
ALTER TABLE charge_point ADD COLUMN clock_offset BLOB;

ALTER TABLE txn ADD COLUMN energy_revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE txn ADD COLUMN energy_mwh INTEGER;
ALTER TABLE txn ADD COLUMN energy_basis TEXT NOT NULL DEFAULT '';
ALTER TABLE txn ADD COLUMN energy_doubts TEXT NOT NULL DEFAULT '';
ALTER TABLE txn ADD COLUMN energy_rules INTEGER NOT NULL DEFAULT 0;
ALTER TABLE txn ADD COLUMN energy_digest TEXT NOT NULL DEFAULT '';
ALTER TABLE txn ADD COLUMN energy_sequence INTEGER NOT NULL DEFAULT 0;         -- worked out with events up to this one
ALTER TABLE txn ADD COLUMN heard_at INTEGER;                                   -- its newest message, once it has ended
ALTER TABLE txn ADD COLUMN heard_mark INTEGER NOT NULL DEFAULT 0;              -- connected_for at that time
ALTER TABLE txn ADD COLUMN quiet_before INTEGER NOT NULL DEFAULT 0;
ALTER TABLE txn ADD COLUMN quiet_needed INTEGER;
ALTER TABLE txn ADD COLUMN close_meter INTEGER;
ALTER TABLE txn ADD COLUMN close_meter_at INTEGER;

-- What ended before is not worked out anew: what a charger stopped counts as final, the rest as heard at its end.
UPDATE txn SET energy_sequence = last_sequence, heard_at = coalesce(stop_received_at, closed_at, start_received_at),
    heard_mark = CASE state WHEN 'STOPPED' THEN -86400000000 ELSE 0 END WHERE state <> 'OPEN';

CREATE INDEX txn_energy_due ON txn (heard_at) WHERE state <> 'OPEN' AND last_sequence > energy_sequence;

-- Stops without a transaction that an operator has tied to one.
CREATE TABLE attribution (
    orphan         INTEGER PRIMARY KEY,          -- the sequence of its event
    charge_point   INTEGER NOT NULL,
    transaction_id TEXT NOT NULL,
    request_id     TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX attribution_request ON attribution (charge_point, request_id);
