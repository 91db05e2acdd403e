"""Subscriptions on committed events."""
