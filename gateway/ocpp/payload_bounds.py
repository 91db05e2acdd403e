"""Bounds of the values of a message and of their nesting, which hold before anything reads it. Sans-I/O.

Reading costs far more for each value than for each byte: half a million lists in a megabyte took every session's
answers two seconds. ``gateway.domain.json_scan`` counts.
"""

from typing import Final

MAX_DEPTH: Final = 32
"""Levels. The deepest 1.6 message nests 7; the rest is room for vendors' data. orjson writes no more than 254."""

MAX_NODES: Final = 32_768
"""Values of a message that is not recorded for billing. The largest real ones, configurations and local lists, have
some 2,000; this many take some 10 ms to read."""

MAX_RECORDED_NODES: Final = 262_144
"""Values of a message that must be recorded. A StopTransaction of 4 MiB, ten hours of samples, has some 250,000."""

PIECE_BYTES: Final = 64 * 1024
"""What is counted at a time: a millisecond at most."""

SMALL_BYTES: Final = 16 * 1024
"""Messages up to here can't exceed MAX_NODES, and are read at once: a millisecond or two where all are brackets."""


def nodes_at_most(data: bytes) -> int:
    """No message of these bytes has more values: what stands within strings is counted too. Takes 1 µs a kilobyte."""
    return 1 + data.count(b",") + data.count(b"[") + data.count(b"{")
