"""Observability of the running gateway: metrics, frames, refused connections, deviations from the standard."""
