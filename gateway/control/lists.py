"""Lists that clients filter and put in order, with the position that they are true for (Trio's side)."""

from collections.abc import AsyncGenerator, Callable
from typing import Generic, TypeVar

from attrs import frozen

from gateway.control.errors import invalid
from gateway.domain.commands import FieldViolation
from gateway.feed import encode
from gateway.store.api import Store, generation_at
from gateway.store.lists import Found
from gateway.store.reads import Reads

R = TypeVar("R")
M = TypeVar("M")


@frozen
class At(Generic[R]):
    """A result, and a resume token: nothing of what came up to there is missing in it."""

    found: R
    token: bytes


def token_of(reads: Reads, position: int) -> bytes:
    """The resume token of a position."""
    return encode(reads.store_id, position, generation_at(reads.generations, position))


async def at_head(reads: Reads, read: Callable[[Store], R]) -> At[R]:
    """The result of ``read(store)``, in a thread. Raises ``StoreUnavailable``; cancelling is safe."""
    head, found = await reads.run(_after_head, read)
    return At(found, token_of(reads, head))


async def token_at_head(reads: Reads) -> bytes:
    """The resume token of now. Raises ``StoreUnavailable``."""
    return token_of(reads, (await reads.bounds()).head)


async def pages_at_head(
    reads: Reads, find: Callable[[Store, str], Found[R]], build: Callable[[Store, bytes, list[R]], list[M]]
) -> AsyncGenerator[list[M], None]:
    """The messages of all pages of a list, made in the thread that reads: ``find(store, after)``, and
    ``build(store, token, records)`` with the resume token of before all of them. To be closed when it is no longer
    read."""
    token, after = await token_at_head(reads), ""

    def page(store: Store) -> tuple[list[M], str]:
        found = find(store, after)
        return build(store, token, found.records), found.after

    while True:
        messages, after = await reads.run(page)
        yield messages
        if not after:
            return


async def page_at_head(reads: Reads, read: Callable[[Store], Found[R]]) -> At[Found[R]]:
    """The same of a page; ``Failure`` if its token is none."""
    try:
        return await at_head(reads, read)
    except ValueError:
        raise invalid(FieldViolation("page_token", "is not a token of this list")) from None


def _after_head(store: Store, read: Callable[[Store], R]) -> tuple[int, R]:
    # In this order: what is committed in between is in what is read, and is shown once more by a watch from the head.
    head = store.bounds().head
    return head, read(store)
