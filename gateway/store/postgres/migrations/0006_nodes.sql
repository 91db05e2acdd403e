-- oldest: 1
-- Several nodes on one database.
ALTER TABLE notice ADD COLUMN position int8 NOT NULL DEFAULT 0;   -- where the sequences begin of what was written
ALTER TABLE notice ADD COLUMN caller text NOT NULL DEFAULT '';

CREATE INDEX charge_point_of_node ON charge_point (node) WHERE node IS NOT NULL;

-- What one of the nodes does for all of them, and until when it does unless it says so again.
CREATE TABLE chores (
    single int         PRIMARY KEY DEFAULT 1 CHECK (single = 1),
    node   int         NOT NULL,
    until  timestamptz NOT NULL
);
