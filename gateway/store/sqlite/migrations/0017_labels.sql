-- The operator's labels, as a JSON object of texts, its keys in order.
ALTER TABLE charge_point ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
