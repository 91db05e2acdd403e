"""The requests of a stream that a client sends: each awaited for a bounded time, and no longer than the gateway serves.

A client that is cancelled and one that has ended its side look the same here: what must be whole says how much it is.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from gateway.control.errors import Failure, Status
from gateway.control.services.deserialization import Unreadable
from gateway.control.services.rpc import stopping

T = TypeVar("T")

PATIENCE_SECONDS = 30.0
"""For the next request of a caller who is expected to send one."""


class RequestStream(Generic[T]):
    """The requests of one stream. ``stopped`` is set when the gateway stops."""

    def __init__(self, requests: AsyncIterator[T], stopped: asyncio.Event, patience: float = PATIENCE_SECONDS) -> None:
        self._requests = aiter(requests)
        self._stopped = stopped
        self._patience = patience

    async def rest(self) -> AsyncIterator[T]:
        """All further requests, for as long as it takes: from a client that may have nothing to say. Raises
        ``Failure`` for one that can't be read."""
        async for request in self._requests:
            yield _read(request)

    async def next(self) -> T | None:
        """The next request, or None if the client has ended its side.

        Raises ``Failure``: UNAVAILABLE if the gateway stops, DEADLINE_EXCEEDED if nothing comes, another one if it
        can't be read. The stream is of no use after that, nor after a cancellation.
        """
        coming = asyncio.ensure_future(anext(self._requests, None))
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait((coming, stopped), timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                return _read(coming.result())
        finally:
            coming.cancel()
            stopped.cancel()
        if self._stopped.is_set():
            raise stopping()
        raise Failure(Status.DEADLINE_EXCEEDED, "NOTHING_SENT", f"nothing more came within {self._patience:g} seconds")


def _read(request: T) -> T:
    if isinstance(request, Unreadable):
        raise request.failure
    return request
