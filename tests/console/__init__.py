"""The operator's console: pages and actions against a live gateway, in process; ``browser`` is in real Chromium."""
