-- oldest: 1
-- Of jobs: so many failures end them; 0: none do.
ALTER TABLE fleet_job ADD COLUMN max_failures integer NOT NULL DEFAULT 0;
