-- oldest: 1
-- Of jobs that install firmware: the command that each charger is sent, as JSON. It holds no secret.
ALTER TABLE fleet_job ADD COLUMN firmware text NOT NULL DEFAULT '';
