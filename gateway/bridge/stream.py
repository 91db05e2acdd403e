"""One stream from Trio into asyncio."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Any, Generic, NoReturn, TypeVar

import trio

from gateway.bridge.mailbox import Interrupted, Lanes, Unavailable

T = TypeVar("T")


class Stream(Generic[T]):
    """Items of a generator in Trio, for one reader in asyncio.

        async with bridge.stream(fn, *args) as items:
            async for item in items: ...

    Iteration raises what the generator raised, after its items; ``Unavailable`` if the gateway stops. Cancelling the
    reader is safe: an item is lost only if it was already returned. Leaving the block cancels the generator.

    The reader's pace goes back without a message per item: each side counts, and only a generator that has found no
    room asks for a wake-up. It says so before it looks again, and the reader counts before it looks for that: one of
    them sees the other.
    """

    def __init__(
        self,
        lanes: Lanes,
        fn: Callable[..., AsyncGenerator[T, None]],
        args: tuple[Any, ...],
        depth: int,
        ended: Callable[[], None],
    ) -> None:
        self._lanes = lanes
        self._fn = fn
        self._args = args
        self._report_ended = ended
        self._depth = depth
        # asyncio's
        self._taken = 0
        self._items: deque[T] = deque()
        self._ended = False
        self.finished = False
        """Whether the generator returned or raised before ``close`` was called."""
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None
        # Trio's
        self._scope = trio.CancelScope()
        self._handed_over = 0
        self._asked = False
        """Whether the generator waits for room. Set in Trio, reset by the reader, which wakes it."""
        self._room = trio.lowlevel.ParkingLot()

    # --- in asyncio -------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Items that were handed over and not yet taken."""
        return len(self._items)

    async def __aenter__(self) -> "Stream[T]":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> "Stream[T]":
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._ended:
                self._raise_end()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        item = self._items.popleft()
        self._taken += 1
        if self._asked:
            self._asked = False
            self._lanes.request(self._room.unpark)
        return item

    def _raise_end(self) -> NoReturn:
        error, self._error = self._error, None
        try:
            raise StopAsyncIteration if error is None else error
        finally:
            del error  # it knows this frame, which must not know it: no cycle

    def close(self) -> None:
        """Cancel the generator and end the iteration, without waiting; what was handed over is still returned."""
        self._ended = True
        self._error = None
        self._wake()
        self._lanes.request(self._scope.cancel)

    def _receive(self, item: T) -> None:
        if not self._ended:
            self._items.append(item)
            waiter = self._waiter
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def _end(self, error: BaseException | None) -> None:
        self._report_ended()
        if not self._ended:
            self._ended = self.finished = True
            self._error = error
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- in Trio ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin, as a task."""
        if self._lanes.nursery is None:
            self._report_end(Unavailable("the gateway is stopping"))
        else:
            self._lanes.nursery.start_soon(self._run)

    async def _run(self) -> None:
        """Advance the generator only where there is room for what it gives: the reader sets the pace."""
        error: BaseException | None = None
        try:
            with self._scope:
                async with aclosing(self._fn(*self._args)) as items:
                    while True:
                        if self._handed_over - self._taken >= self._depth:
                            await self._make_room()
                        try:
                            item = await anext(items)
                        except StopAsyncIteration:
                            break
                        self._handed_over += 1
                        self._lanes.report(self._receive, item)
        except Exception as raised:
            error = raised
        except BaseException:
            self._report_end(Interrupted("the gateway is stopping"))
            raise
        try:
            self._report_end(error)
        finally:
            error = None  # as in ``_raise_end``

    async def _make_room(self) -> None:
        while self._full:
            self._asked = True
            if self._full:  # still, now that the reader can know
                await self._room.park()
        self._asked = False

    @property
    def _full(self) -> bool:
        return self._handed_over - self._taken >= self._depth

    def _report_end(self, error: BaseException | None) -> None:
        self._lanes.report(self._end, error)
