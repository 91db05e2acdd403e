-- What the operator decides for one charge point; NULL: as the settings say for all.
ALTER TABLE charge_point ADD COLUMN own_requests INTEGER;
ALTER TABLE charge_point ADD COLUMN accept_hex_password INTEGER;

-- How often a key of the platform's configuration has been asked of the present firmware.
ALTER TABLE boot_configuration ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
