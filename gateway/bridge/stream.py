"""One stream from Trio into asyncio."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Any, Generic, TypeVar

import trio

from gateway.bridge.errors import Unavailable
from gateway.bridge.lanes import Lanes

T = TypeVar("T")


class Stream(Generic[T]):
    """Items of a generator in Trio, for one reader in asyncio.

        async with bridge.stream(fn, *args) as items:
            async for item in items: ...

    Iteration raises what the generator raised, after its items; ``Unavailable`` if the gateway stops. Cancelling the
    reader is safe: an item is lost only if it was already returned. Leaving the block cancels the generator.
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
        # asyncio's
        self._items: deque[T] = deque()
        self._ended = False
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None
        # Trio's
        self._scope = trio.CancelScope()
        self._credit = trio.Semaphore(depth)

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
                error, self._error = self._error, None
                raise StopAsyncIteration if error is None else error
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._lanes.request(self._credit.release)
        return self._items.popleft()

    def close(self) -> None:
        """Cancel the generator and end the iteration, without waiting; what was handed over is still returned."""
        self._ended = True
        self._wake()
        self._lanes.request(self._scope.cancel)

    def _receive(self, item: T) -> None:
        if not self._ended:
            self._items.append(item)
            self._wake()

    def _end(self, error: BaseException | None) -> None:
        self._report_ended()
        if not self._ended:
            self._ended = True
            self._error = error
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- in Trio ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin, as a task."""
        if not self._lanes.spawn(self._run):
            self._tell_end(Unavailable("the gateway is stopping"))

    async def _run(self) -> None:
        error: BaseException | None = None
        try:
            with self._scope:
                await self._produce()
        except Exception as raised:
            error = raised
        except BaseException:
            self._tell_end(Unavailable("the gateway is stopping"))
            raise
        self._tell_end(error)

    async def _produce(self) -> None:
        """Advance the generator only where there is room for what it gives: it is the reader who sets the pace."""
        async with aclosing(self._fn(*self._args)) as items:
            while True:
                await self._credit.acquire()
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
                self._hand_over(item)

    def _hand_over(self, item: T) -> None:
        self._lanes.report(lambda: self._receive(item))

    def _tell_end(self, error: BaseException | None) -> None:
        self._lanes.report(lambda: self._end(error))
