"""Pages of lists: sizes, tokens, and a bound on the bytes of one response."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import orjson
from attrs import frozen
from google.protobuf.message import Message

from gateway.control.errors import invalid
from gateway.domain.commands import FieldViolation
from gateway.store.lists import Found

R = TypeVar("R")
M = TypeVar("M", bound=Message)

DEFAULT_SIZE, MAX_SIZE = 100, 1000
"""Items of a page: what a person reads; what the store gives at once."""

MAX_BYTES = 2_000_000
"""Of one page: half of the 4 MB that a gRPC client takes by default. A single item may exceed it."""

PART_BYTES, PART_OVERHEAD = 1_000_000, 8
"""Of a response of a snapshot; and what each message in it costs besides: a tag, and its length. The rest of a MiB is
for the token."""

MAX_TOKEN = 1000
"""Characters of a token: a key, a digest, and what base64 makes of them."""


@frozen
class Page:
    """Requested page of a list. ``after``: the last key of the page before, empty for the first."""

    after: str
    size: int
    digest: str

    def cut(self, records: Iterable[R], key: Callable[[R], str], convert: Callable[[R], M]) -> tuple[list[M], str]:
        """The messages of one page and the next page's token: none, if these were fewer than asked for."""
        messages: list[M] = []
        last, size = "", 0
        for record in records:
            message = convert(record)
            size += message.ByteSize()
            if messages and size > MAX_BYTES:
                return messages, self._token(last)
            messages.append(message)
            last = key(record)
        return messages, self._token(last) if len(messages) >= self.size else ""

    def cut_found(self, found: Found[R], convert: Callable[[R], M]) -> tuple[list[M], str]:
        """The same of a page that says where the next one begins."""
        messages: list[M] = []
        size, place = 0, ""
        for record, its_place in zip(found.records, found.places, strict=True):
            message = convert(record)
            size += message.ByteSize()
            if messages and size > MAX_BYTES:
                return messages, self._token(place)
            messages.append(message)
            place = its_place
        return messages, self._token(found.after) if found.after else ""

    def _token(self, after: str) -> str:
        return base64.urlsafe_b64encode(orjson.dumps([self.digest, after])).decode()


def in_parts(messages: Sequence[M]) -> Iterator[list[M]]:
    """Messages of a snapshot for one response after the other, at least one: each below 1 MiB, but for a single one
    that is larger."""
    part: list[M] = []
    room = PART_BYTES
    for message in messages:
        room -= message.ByteSize() + PART_OVERHEAD
        if part and room < 0:
            yield part
            part, room = [], PART_BYTES - message.ByteSize() - PART_OVERHEAD
        part.append(message)
    yield part


def page(size: int, token: str, *filters: object, max_size: int = MAX_SIZE) -> Page:
    """Read a page's size and token; ``filters`` must be the same from page to page. Raises Failure."""
    if size < 0:
        raise invalid(FieldViolation("page_size", "must not be negative"))
    digest = hashlib.blake2b(repr(filters).encode(), digest_size=6).hexdigest()
    after = _after(token, digest) if token else ""
    return Page(after, min(size, max_size) or DEFAULT_SIZE, digest)


def _after(token: str, digest: str) -> str:
    try:
        known, after = orjson.loads(base64.b64decode(token[:MAX_TOKEN], altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError):
        raise invalid(FieldViolation("page_token", "is not a token of this list")) from None
    if known != digest:
        raise invalid(FieldViolation("page_token", "belongs to other filters or another list"))
    if not isinstance(after, str) or not after:
        raise invalid(FieldViolation("page_token", "is not a token of this list"))
    return after
