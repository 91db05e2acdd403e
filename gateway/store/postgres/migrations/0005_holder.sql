-- oldest: 1
-- Who holds a slot, by a number drawn each time it is taken: a gateway whose taking was not answered finds its own there.
ALTER TABLE node ADD COLUMN holder int8 NOT NULL DEFAULT 0;
