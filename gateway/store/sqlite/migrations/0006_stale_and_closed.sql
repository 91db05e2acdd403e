-- What shows that an open transaction is over (gateway.domain.staleness), and its end by an operator.
ALTER TABLE txn ADD COLUMN stale_at INTEGER;
ALTER TABLE txn ADD COLUMN stale_why TEXT NOT NULL DEFAULT '';
ALTER TABLE txn ADD COLUMN closed_at INTEGER;
ALTER TABLE txn ADD COLUMN close_reason TEXT NOT NULL DEFAULT '';
