"""Measurements of the gateway as a process, under load: ``python -m bench --help``."""
