-- oldest: 1
-- For lists with filters and orders, and for counts.
CREATE INDEX charge_point_counted ON charge_point (registration, connected) WHERE deleted_at IS NULL;
CREATE INDEX charge_point_created ON charge_point (created_at, key) WHERE deleted_at IS NULL;
CREATE INDEX charge_point_updated ON charge_point (updated_at, key) WHERE deleted_at IS NULL;
CREATE INDEX txn_of_state ON txn (state, started_at, start_sequence);
CREATE INDEX command_of_request ON command (request_id) WHERE request_id <> '';
