-- oldest: 1
-- The server's timeline on which a generation was begun: another one begins another generation.
ALTER TABLE generation ADD COLUMN timeline int8 NOT NULL DEFAULT 0;
