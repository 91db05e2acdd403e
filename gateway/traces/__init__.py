"""Traces by OpenTelemetry: from an RPC to the charge point and back. Imported only where the settings ask for them."""
