-- oldest: 1
-- Of jobs that rotate keys: whether a charger is reset that needs it, and whether also amid a transaction.
ALTER TABLE fleet_job ADD COLUMN reset int8 NOT NULL DEFAULT 0;
ALTER TABLE fleet_job ADD COLUMN insist int8 NOT NULL DEFAULT 0;
