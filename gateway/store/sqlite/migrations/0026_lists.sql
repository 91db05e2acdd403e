-- For lists with filters and orders, and for counts, of a hundred thousand charge points and their records.

-- Labels, one row for each: what a list by label, or a caller's scope, is looked up in. Kept by the triggers alone.
CREATE TABLE label (
    key          TEXT NOT NULL,
    value        TEXT NOT NULL,
    charge_point INTEGER NOT NULL REFERENCES charge_point (key),
    PRIMARY KEY (key, value, charge_point)
) STRICT, WITHOUT ROWID;

CREATE INDEX label_of_charge_point ON label (charge_point, key);

INSERT INTO label (key, value, charge_point)
    SELECT l.key, l.value, c.key FROM charge_point c, json_each(c.labels) l WHERE c.labels <> '{}';

CREATE TRIGGER label_of_new AFTER INSERT ON charge_point WHEN new.labels <> '{}' BEGIN
    INSERT INTO label (key, value, charge_point) SELECT l.key, l.value, new.key FROM json_each(new.labels) l;
END;

CREATE TRIGGER label_of_changed AFTER UPDATE OF labels ON charge_point WHEN new.labels <> old.labels BEGIN
    DELETE FROM label WHERE charge_point = new.key;
    INSERT INTO label (key, value, charge_point) SELECT l.key, l.value, new.key FROM json_each(new.labels) l;
END;

CREATE INDEX charge_point_counted ON charge_point (registration, connected) WHERE deleted_at IS NULL;
CREATE INDEX charge_point_created ON charge_point (created_at, key) WHERE deleted_at IS NULL;
CREATE INDEX charge_point_updated ON charge_point (updated_at, key) WHERE deleted_at IS NULL;
CREATE INDEX txn_of_state ON txn (state, started_at, key);
CREATE INDEX command_of_request ON command (request_id) WHERE request_id <> '';
