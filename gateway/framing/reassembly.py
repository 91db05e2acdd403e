"""Reassembly of fragmented text messages, with every bound enforced while the fragments arrive."""

from codecs import getincrementaldecoder

from attrs import define, field, frozen

MAX_FRAGMENTS = 4096
"""Fragments of one message. Microcontroller stacks send 128-byte fragments; 4096 of them are half a megabyte, far
above any OCPP message, while a flood of one-byte fragments ends after a few kilobytes."""

MAX_EMPTY_FRAGMENTS = 16
"""Empty fragments of one message. A stack may flush an empty first or last fragment; more is a flood that the size
limit would never see."""

PIECE_BYTES = 64 * 1024
"""Of a message, what is decoded at a time to see whether it is UTF-8."""

INVALID_PAYLOAD = 1007
POLICY_VIOLATION = 1008
TOO_BIG = 1009


@frozen
class Violation:
    """The message cannot be accepted: the close code (RFC 6455 §7.4.1) and a reason fit for the wire."""

    code: int
    reason: str
    size: int = 0
    """Bytes of the message, as far as they have come, where it is too big."""


@define
class Reassembly:
    """Joins the fragments of one message at a time.

    ``add`` returns the whole message with its last fragment, None before it, or the Violation that must end the
    connection. ``limit`` is in bytes of payload.
    """

    limit: int
    _buffer: bytearray | None = field(default=None, init=False)
    _fragments: int = field(default=0, init=False)
    _empty: int = field(default=0, init=False)

    @property
    def size(self) -> int:
        """Bytes of the message that has begun."""
        return 0 if self._buffer is None else len(self._buffer)

    @property
    def begun(self) -> bool:
        """True between the first and the last fragment of a message."""
        return self._buffer is not None

    def add(self, data: bytes, final: bool) -> bytes | Violation | None:
        if final and self._buffer is None:
            if len(data) > self.limit:
                return Violation(TOO_BIG, "message too big", len(data))
            return _text(data)
        if self._buffer is None:
            self._buffer = bytearray()
            self._fragments = self._empty = 0
        self._fragments += 1
        self._empty += not data
        if len(self._buffer) + len(data) > self.limit:
            return Violation(TOO_BIG, "message too big", len(self._buffer) + len(data))
        if self._fragments > MAX_FRAGMENTS or self._empty > MAX_EMPTY_FRAGMENTS:
            return Violation(POLICY_VIOLATION, "too many fragments")
        self._buffer += data
        if not final:
            return None
        whole, self._buffer = bytes(self._buffer), None
        return _text(whole)


def _check_utf_8(data: bytes) -> None:
    """Decode it piece by piece: as a whole, four megabytes with one rare character would become sixteen."""
    decoder = getincrementaldecoder("utf-8")()
    for at in range(0, len(data), PIECE_BYTES):
        decoder.decode(data[at : at + PIECE_BYTES], at + PIECE_BYTES >= len(data))


def _text(data: bytes) -> bytes | Violation:
    """The check belongs to the whole message: a fragment may end inside a character (RFC 6455 §5.6)."""
    if not data.isascii():  # nearly all OCPP messages are ASCII, and this is ten times cheaper than decoding
        try:
            _check_utf_8(data)
        except UnicodeDecodeError:
            return Violation(INVALID_PAYLOAD, "invalid UTF-8")
    return data
