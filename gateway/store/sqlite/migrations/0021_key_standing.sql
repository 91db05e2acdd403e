-- How far it is known that the charger has taken a key.
ALTER TABLE credential ADD COLUMN standing TEXT NOT NULL DEFAULT 'SETTLED';
