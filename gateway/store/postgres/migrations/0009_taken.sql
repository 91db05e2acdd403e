-- oldest: 1
-- Since when the slot's process has it; for a process that does not say so the holder is another one.
ALTER TABLE node ADD COLUMN taken_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE node ADD COLUMN taken_holder int8 NOT NULL DEFAULT 0;
