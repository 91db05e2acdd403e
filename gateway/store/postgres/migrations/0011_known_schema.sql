-- oldest: 1
-- The newest version of the schema that the slot's process knows; of a process that does not say so the holder is another
-- one. A migration that takes away waits for those that know too little.
ALTER TABLE node ADD COLUMN knows int4 NOT NULL DEFAULT 0;
ALTER TABLE node ADD COLUMN knows_holder int8 NOT NULL DEFAULT 0;
