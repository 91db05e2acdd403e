-- oldest: 1
-- The charge point's own values of its quirk profile, by name; its three switches of before are among them. Their columns
-- stay for gateways of before, which go on beside this one during an upgrade, and are read no more.
ALTER TABLE charge_point ADD COLUMN quirks text NOT NULL DEFAULT '{}';
UPDATE charge_point SET quirks = jsonb_strip_nulls(jsonb_build_object(
    'assume_subprotocol', CASE assume_subprotocol WHEN 0 THEN NULL ELSE true END,
    'own_requests', own_requests <> 0,
    'accept_hex_password', accept_hex_password <> 0))::text
    WHERE assume_subprotocol <> 0 OR own_requests IS NOT NULL OR accept_hex_password IS NOT NULL;
