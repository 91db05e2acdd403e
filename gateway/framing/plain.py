"""The quick way in for plain frames: whole, masked text messages, which is nearly all that a charger sends.

The library reads a frame in a generator, which takes longer than decrypting it. So a read that is exactly one frame
that leaves no question, or several of them, is read here, and everything else by the library, which thus sees an
unbroken sequence of frames and decides about whatever is odd. One can change over between two frames only;
``Boundary`` knows when that is.
"""

from collections.abc import Callable
from typing import Final

TEXT_AND_FINAL: Final = 0x81
_MASKED: Final = 0x80
_LENGTH: Final = 0x7F
_TWO_BYTES, _EIGHT_BYTES = 126, 127
_MASK_BYTES: Final = 4
_LONGEST_HEAD: Final = 2 + 8 + _MASK_BYTES


def plain_text(data: bytes, apply_mask: Callable[[bytes, bytes], bytes]) -> bytes | None:
    """The payload, if ``data`` is exactly one final text frame from a client, of at most 65,535 bytes and with its
    length in the shortest spelling (RFC 6455 §5.2); else None. Whether it is UTF-8 is not looked at.

    ``apply_mask`` is the library's."""
    size = len(data)
    if size < 2 + _MASK_BYTES or data[0] != TEXT_AND_FINAL:
        return None
    length = data[1] - _MASKED  # negative if there is no mask
    if length == _TWO_BYTES:
        length = (data[2] << 8) | data[3]
        mask_at = 4
        if length < _TWO_BYTES:
            return None
    elif 0 <= length < _TWO_BYTES:
        mask_at = 2
    else:
        return None
    start = mask_at + _MASK_BYTES
    if size != start + length:
        return None
    return apply_mask(data[start:], data[mask_at:start])


def plain_texts(data: bytes, apply_mask: Callable[[bytes, bytes], bytes]) -> list[bytes] | None:
    """The payloads, if ``data`` is nothing but frames as ``plain_text`` reads one; else None. A charger's answer and
    the message that it was asked for come like this, and what it says in a burst."""
    texts = []
    at, size = 0, len(data)
    while at < size:
        if size - at < 2 + _MASK_BYTES or data[at] != TEXT_AND_FINAL:
            return None
        length = data[at + 1] - _MASKED
        start = at + 2 + _MASK_BYTES
        if length == _TWO_BYTES:
            length = (data[at + 2] << 8) | data[at + 3]
            start += 2
            if length < _TWO_BYTES:
                return None
        elif not 0 <= length < _TWO_BYTES:
            return None
        at = start + length
        if at > size:
            return None
        texts.append(apply_mask(data[start:at], data[start - _MASK_BYTES : start]))
    return texts


def text_frame(data: bytes) -> bytes:
    """A final text frame of a server (RFC 6455 §5.2: without a mask)."""
    size = len(data)
    if size < _TWO_BYTES:
        return bytes((TEXT_AND_FINAL, size)) + data
    if size <= 0xFFFF:
        return bytes((TEXT_AND_FINAL, _TWO_BYTES, size >> 8, size & 0xFF)) + data
    return bytes((TEXT_AND_FINAL, _EIGHT_BYTES)) + size.to_bytes(8, "big") + data


class Boundary:
    """Follows a client's frames by their announced lengths, as far as to tell when one of them ends."""

    __slots__ = ("_head", "_owed", "announced")

    def __init__(self) -> None:
        self._head = b""  # the beginning of a head that is not complete: at most 13 bytes
        self._owed = 0  # what is still to come of the frame whose head was complete
        self.announced = 0
        """The payload's length by the last frame head, whether or not its mask has arrived."""

    @property
    def reached(self) -> bool:
        """True between two frames."""
        return not self._owed and not self._head

    @property
    def arriving(self) -> int:
        """The payload's length of the frame that has begun and not ended, 0 between two frames."""
        return self.announced if self._owed else 0

    def follow(self, data: bytes) -> int | None:
        """These bytes came. Where among them a head begins that doesn't spell its length in the fewest bytes that
        hold it (RFC 6455 §5.2), else None; a negative place lies in what came before."""
        at = self._owed
        while at < len(data):
            begun = len(self._head)
            head = self._head + data[at : at + _LONGEST_HEAD - begun]
            if not _spelled_well(head):
                return at - begun
            size = _frame_bytes(head)
            if size is None:
                self._head, self._owed = head, 0
                if _tells_length(head):  # the library judges by it before the mask has come
                    self.announced = _payload_bytes(head)
                return None
            self._head = b""
            self.announced = _payload_bytes(head)
            at += size - begun
        self._owed = at - len(data)
        return None


def _spelled_well(head: bytes) -> bool:
    """Return true if the length, as far as received, is in the fewest bytes that hold it."""
    length = head[1] & _LENGTH if len(head) > 1 else 0
    if length == _TWO_BYTES and len(head) >= 4:
        return int.from_bytes(head[2:4], "big") >= _TWO_BYTES
    if length == _EIGHT_BYTES and len(head) >= 10:
        return int.from_bytes(head[2:10], "big") > 0xFFFF
    return True


def _tells_length(head: bytes) -> bool:
    """Return true if the whole length was received."""
    if len(head) < 2:
        return False
    length = head[1] & _LENGTH
    return len(head) >= (2 if length < _TWO_BYTES else 4 if length == _TWO_BYTES else 10)


def _payload_bytes(head: bytes) -> int:
    """The length at which a head is complete, by what it says."""
    length = head[1] & _LENGTH
    if length < _TWO_BYTES:
        return length
    return int.from_bytes(head[2 : 4 if length == _TWO_BYTES else 10], "big")


def _frame_bytes(head: bytes) -> int | None:
    """Return the size of a whole frame in bytes; None while its head is incomplete."""
    if len(head) < 2:
        return None
    length = head[1] & _LENGTH
    at = 2
    if length >= _TWO_BYTES:
        at = 4 if length == _TWO_BYTES else 10
        if len(head) < at:
            return None
        length = _payload_bytes(head)
    if head[1] & _MASKED:
        at += _MASK_BYTES
    return at + length if len(head) >= at else None
