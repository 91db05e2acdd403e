"""Examples for integrators; each is run as a test."""
