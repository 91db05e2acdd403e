ALTER TABLE progress ADD COLUMN ocpp_request_id INTEGER;     -- OCPP's requestId of the command; NULL: it has none
