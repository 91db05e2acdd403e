-- oldest: 1
-- The least security profile with which the charge point is let in; 0: any that a listener admits.
ALTER TABLE charge_point ADD COLUMN minimum_security_profile int4 NOT NULL DEFAULT 0;
