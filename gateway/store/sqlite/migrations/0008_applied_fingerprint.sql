-- What tells a value of the platform's configuration that is a secret from another; '' where the value is kept whole.
ALTER TABLE boot_configuration ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';
