"""Bounds of what a store keeps and answers at once, whichever store it is."""

MAX_LIMIT = 1_000
"""The contract's longest page."""

MAX_CONNECTORS = 256
"""Per charge point, connector 0 included: a charger that counts through connector numbers fills no table."""

MAX_CONFIGURATION_KEYS = 1_000
"""Per charge point; the largest chargers have some 300 keys."""

MAX_REQUESTS = 256
"""Requests for wanted states remembered of a charge point: a day's plans for several connectors, while a caller repeats
a request within minutes."""

AT_ONCE = 5 * 60 * 1_000_000
"""Microseconds. What was heard is written in bulk, and may be so much older than what a connection's end wrote."""

PAGE_BYTES = 4 * 1024 * 1024
"""Of bodies in one page of events; the last one may exceed it. Most have some hundred bytes, and a page's number of
events bounds it; a body may be as large as a message, and a thousand of them would be four gigabytes."""

NEWEST = 64
"""Newest events of a charge point among which its newest meter values are looked for."""

NEWEST_VALUES = 16
"""Of these, the messages that are read: some of each connector."""

NEWEST_BYTES = 65_536
"""Longer bodies are passed over: a page of a thousand charge points is read at once."""

CLEAR = 1_000_000
"""Transaction numbers, and epochs of each charge point, that are left out where a store is recovered: more than were
given out since any backup that is worth restoring. Numbers last for two thousand recoveries."""

MAX_NUMBER = 2**31 - 1
"""The largest transaction number that every charger can hold (B4.4)."""


def bounded(limit: int) -> int:
    """A page length that is in order. Raises ValueError, which is a bug of the caller."""
    if not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"limit is {limit}; it must be between 1 and {MAX_LIMIT}")
    return limit
