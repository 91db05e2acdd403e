"""One call from asyncio into Trio."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import trio

from gateway.bridge.errors import Unavailable
from gateway.bridge.lanes import Lanes

T = TypeVar("T")


class Call(Generic[T]):
    """``future`` belongs to asyncio and gets the outcome; ``ended`` is called there once nothing runs in Trio."""

    def __init__(
        self,
        lanes: Lanes,
        fn: Callable[..., Awaitable[T]],
        args: tuple[Any, ...],
        timeout: float | None,
        ended: Callable[[], None],
    ) -> None:
        self.future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._lanes = lanes
        self._fn = fn
        self._args = args
        self._timeout = timeout
        self._ended = ended
        self._scope = trio.CancelScope()  # Trio's

    # --- in asyncio -------------------------------------------------------------------------------------------

    def withdraw(self) -> None:
        """Nobody waits any more: cancel what runs in Trio."""
        if self.future.done() and not self.future.cancelled():
            self.future.exception()  # it came too late to be raised; without this asyncio would complain
            return
        self._lanes.request(self._scope.cancel)

    def _settle(self, result: T | None, error: BaseException | None) -> None:
        self._ended()
        if self.future.done():
            return
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)  # type: ignore[arg-type]

    # --- in Trio ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin, as a task."""
        if not self._lanes.spawn(self._run):
            self._tell(None, Unavailable("the gateway is stopping"))

    async def _run(self) -> None:
        if self._timeout is not None:
            self._scope.deadline = trio.current_time() + self._timeout
        result = None
        error: BaseException | None = None
        try:
            with self._scope:
                result = await self._fn(*self._args)
            if self._scope.cancelled_caught:
                error = TimeoutError(f"no result within {self._timeout} s")
        except Exception as raised:
            error = raised
        except BaseException:
            # The bridge is cancelled, or the whole program is being interrupted.
            self._tell(None, Unavailable("the gateway is stopping"))
            raise
        self._tell(result, error)

    def _tell(self, result: T | None, error: BaseException | None) -> None:
        self._lanes.report(lambda: self._settle(result, error))
