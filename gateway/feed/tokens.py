"""Resume tokens: where a watcher is in which store's history, as bytes that mean nothing to anybody else.

Version 1: one byte of version, 16 of the store id's digest, 8 of sequence, 4 of checksum. Not a secret and not signed:
a forged token reads no more than its holder may read anyway. The checksum catches what was cut or mangled on the way.
"""

import hashlib
import struct
import zlib
from functools import lru_cache

from attrs import frozen

VERSION = 1
_FORMAT = struct.Struct(">B16sQ")
_CHECKSUM = struct.Struct(">I")
LENGTH = _FORMAT.size + _CHECKSUM.size

MAX_SEQUENCE = 2**63 - 1


@frozen
class BadToken:
    """These bytes are no token of this store. ``reason`` is for the one who sent them."""

    reason: str


def encode(store_id: str, sequence: int) -> bytes:
    """The token for "everything up to ``sequence`` has been seen" (0 to MAX_SEQUENCE)."""
    if not 0 <= sequence <= MAX_SEQUENCE:
        raise ValueError(f"{sequence} is no sequence")
    head = _FORMAT.pack(VERSION, _digest(store_id), sequence)
    return head + _CHECKSUM.pack(zlib.crc32(head))


def decode(token: bytes, store_id: str) -> int | BadToken:
    """The sequence in a token of this store's, or why there is none."""
    if not token or token[0] != VERSION:
        return BadToken("the resume token is not one of this service, or of a later version of it")
    if len(token) != LENGTH:
        return BadToken(f"the resume token has {len(token)} bytes instead of {LENGTH}")
    head = token[: _FORMAT.size]
    if _CHECKSUM.unpack(token[_FORMAT.size :]) != (zlib.crc32(head),):
        return BadToken("the resume token is damaged: its checksum is wrong")
    _, digest, sequence = _FORMAT.unpack(head)
    if digest != _digest(store_id):
        return BadToken("the resume token belongs to another store: its events can't be found here")
    if sequence > MAX_SEQUENCE:
        return BadToken("the resume token is damaged: its position is out of range")
    return int(sequence)


@lru_cache(maxsize=8)
def _digest(store_id: str) -> bytes:
    return hashlib.blake2b(store_id.encode(), digest_size=16).digest()
