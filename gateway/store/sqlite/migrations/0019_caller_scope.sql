-- The labels that a charge point has to have for the caller, as a JSON object of texts; {}: all charge points.
ALTER TABLE caller ADD COLUMN scope TEXT NOT NULL DEFAULT '{}';
