-- What a charge point said last (gateway.domain.repeats): keys of 16 bytes, one after the other, and what its clock has
-- shown. Small rows of their own, for they change with nearly every message.
CREATE TABLE memory (
    charge_point      INTEGER NOT NULL PRIMARY KEY,
    readings          BLOB NOT NULL,
    messages          BLOB NOT NULL,
    clock             INTEGER,
    clock_before_boot INTEGER,
    ran_back          INTEGER NOT NULL
) STRICT;
