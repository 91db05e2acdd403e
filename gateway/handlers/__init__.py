"""Decisions: pure functions from a charge point's state and a charger's request to events and a reply."""
