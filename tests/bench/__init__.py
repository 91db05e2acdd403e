"""The bench's own rules and parts; measurements are no tests."""
