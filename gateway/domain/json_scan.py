"""Count of the values of a JSON text and of their nesting, on its bytes, before anything reads it. Sans-I/O.

Counting takes a few milliseconds a megabyte and the memory of one piece, whatever the bytes are. Reading costs far
more for each value than for each byte. What stands within strings is text and counts for nothing.
"""

from itertools import accumulate
from typing import Final

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
