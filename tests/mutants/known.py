"""Faults that change nothing that anybody could see, each with the reason. Found by their identity, which stays when
lines move and goes when the statement changes."""

KNOWN: dict[str, str] = {}
"""Identity → why it changes nothing."""
