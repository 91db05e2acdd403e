-- oldest: 1
-- Of jobs: a digest of the selection and the time limit that were asked for. Empty: the job is of before.
ALTER TABLE fleet_job ADD COLUMN asked text NOT NULL DEFAULT '';
