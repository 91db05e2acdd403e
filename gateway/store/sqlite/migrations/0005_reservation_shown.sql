-- Whether a status of its connector has shown that the charger holds the reservation (gateway.domain.reservations).
ALTER TABLE reservation ADD COLUMN shown INTEGER NOT NULL DEFAULT 0;
