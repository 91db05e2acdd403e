"""`gateway simulate`: simulated chargers against a running gateway."""
