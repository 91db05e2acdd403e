"""Count of the values of a message and of their nesting, before anything reads it. Sans-I/O.

Counting takes a few milliseconds a megabyte and the memory of one piece, whatever the bytes are. Reading costs far
more for each value than for each byte: half a million lists in a megabyte took every session's answers two seconds.
What stands within strings is text and counts for nothing.
"""

from itertools import accumulate
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

_SIGNS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[{]}")


class Scan:
    """Counts through a message, given piece by piece in order.

    For JSON ``nodes`` is the number of its values (one too many for each empty list or object) and ``deepest`` its
    nesting; for what is no JSON both are just bounded by its length. Never raises.
    """

    __slots__ = ("_held", "_in_string", "deepest", "depth", "nodes")

    def __init__(self) -> None:
        self.nodes = 1
        self.deepest = 0
        self.depth = 0
        self._in_string = False
        self._held = b""  # a backslash at the end of a piece: what it escapes comes with the next one

    def add(self, piece: bytes) -> None:
        """Count the next piece, of any length."""
        if self._held:
            piece, self._held = self._held + piece, b""
        if b"\\" in piece:
            if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
                piece, self._held = piece[:-1], b"\\"
            piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        parts = piece.split(b'"')
        outside = b"".join(parts[1::2] if self._in_string else parts[::2])
        if len(parts) % 2 == 0:
            self._in_string = not self._in_string
        self.nodes += outside.count(b",") + outside.count(b"[") + outside.count(b"{")
        signs = outside.translate(_SIGNS, _NO_BRACKETS)
        if signs:
            depths = list(accumulate(memoryview(signs).cast("b"), initial=self.depth))
            deepest = max(depths)
            self.deepest = max(self.deepest, deepest)
            self.depth = depths[-1]

    @property
    def closed(self) -> bool:
        """Return whether every string, list and object that was begun has ended."""
        return not self._in_string and not self.depth and not self._held


def nodes_at_most(data: bytes) -> int:
    """No message of these bytes has more values: what stands within strings is counted too. Takes 1 µs a kilobyte."""
    return 1 + data.count(b",") + data.count(b"[") + data.count(b"{")
