"""Resume tokens: where a watcher is in which store's history, as bytes that are opaque to clients.

Version 2: one byte of version, 16 of the store id's digest, 8 of the generation in which the event at the position was
recorded (0: before there were generations), 8 of sequence, 4 of checksum. Version 1 had no generation. Not a secret and
not signed: a forged token reads no more than its holder may read anyway. The checksum catches what was cut or mangled
on the way; the generation distinguishes the copies of one store, which give out the same sequences.
"""

import hashlib
import struct
import zlib
from functools import lru_cache

from attrs import frozen

VERSION, FIRST_VERSION = 2, 1
_FORMAT = struct.Struct(">B16sQQ")
_FIRST_FORMAT = struct.Struct(">B16sQ")
_CHECKSUM = struct.Struct(">I")
LENGTH = _FORMAT.size + _CHECKSUM.size

MAX_SEQUENCE = 2**63 - 1


@frozen
class BadToken:
    """These bytes are no token of this store. ``reason`` is for the one who sent them."""

    reason: str


@frozen
class Position:
    """Everything up to ``sequence``, which was recorded in ``generation``, has been seen."""

    sequence: int
    generation: int = 0


def encode(store_id: str, sequence: int, generation: int = 0) -> bytes:
    """The token for "everything up to ``sequence`` has been seen" (0 to MAX_SEQUENCE), ``generation`` being that of
    the event at it."""
    if not 0 <= sequence <= MAX_SEQUENCE:
        raise ValueError(f"{sequence} is no sequence")
    head = _FORMAT.pack(VERSION, _digest(store_id), generation, sequence)
    return head + _CHECKSUM.pack(zlib.crc32(head))


def decode(token: bytes, store_id: str) -> Position | BadToken:
    """The position in a token of this store's, or why there is none."""
    if not token or token[0] not in (VERSION, FIRST_VERSION):
        return BadToken("the resume token is not one of this service, or of a later version of it")
    form = _FORMAT if token[0] == VERSION else _FIRST_FORMAT
    if len(token) != form.size + _CHECKSUM.size:
        return BadToken(f"the resume token has {len(token)} bytes instead of {form.size + _CHECKSUM.size}")
    head = token[: form.size]
    if _CHECKSUM.unpack(token[form.size :]) != (zlib.crc32(head),):
        return BadToken("the resume token is damaged: its checksum is wrong")
    _, digest, *generation, sequence = form.unpack(head)
    if digest != _digest(store_id):
        return BadToken("the resume token belongs to another store: its events can't be found here")
    if sequence > MAX_SEQUENCE:
        return BadToken("the resume token is damaged: its position is out of range")
    return Position(int(sequence), *map(int, generation))


@lru_cache(maxsize=8)
def _digest(store_id: str) -> bytes:
    return hashlib.blake2b(store_id.encode(), digest_size=16).digest()
