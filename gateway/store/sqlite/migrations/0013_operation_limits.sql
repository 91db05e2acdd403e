-- The limit that an operation asks for, and until when; the wanted state that it has made is found by its request.
ALTER TABLE operation ADD COLUMN limit_value TEXT;             -- NULL: none
ALTER TABLE operation ADD COLUMN limit_unit TEXT;
ALTER TABLE operation ADD COLUMN limit_phases INTEGER;
ALTER TABLE operation ADD COLUMN until INTEGER;
ALTER TABLE operation ADD COLUMN pause_below_minimum INTEGER NOT NULL DEFAULT 0;
