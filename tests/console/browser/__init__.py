"""`make test-console`: the console in real Chromium, against gateways with simulated chargers and with 10,000."""
