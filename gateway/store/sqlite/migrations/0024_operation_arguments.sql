-- What an operation's command was given, secrets redacted, as JSON ('': it is given nothing); and a keyed digest of it.
ALTER TABLE operation ADD COLUMN arguments TEXT NOT NULL DEFAULT '';
ALTER TABLE operation ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';
