-- The charge point's own values of its quirk profile, by name; its three switches of before are among them.
ALTER TABLE charge_point ADD COLUMN quirks TEXT NOT NULL DEFAULT '{}';
UPDATE charge_point SET quirks = json_patch('{}', '{"assume_subprotocol":'
    || CASE assume_subprotocol WHEN 0 THEN 'null' ELSE 'true' END
    || ',"own_requests":' || CASE own_requests WHEN 0 THEN 'false' WHEN 1 THEN 'true' ELSE 'null' END
    || ',"accept_hex_password":' || CASE accept_hex_password WHEN 0 THEN 'false' WHEN 1 THEN 'true' ELSE 'null' END
    || '}')
    WHERE assume_subprotocol != 0 OR own_requests IS NOT NULL OR accept_hex_password IS NOT NULL;
ALTER TABLE charge_point DROP COLUMN assume_subprotocol;
ALTER TABLE charge_point DROP COLUMN own_requests;
ALTER TABLE charge_point DROP COLUMN accept_hex_password;
