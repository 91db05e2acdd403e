"""Decisions on OCPP 1.6's messages, grouped by its profiles. ``routing.HANDLERS`` is the table."""
