"""One call from asyncio into Trio."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Generic, TypeVar

import trio

from gateway.bridge.mailbox import Interrupted, Lanes, Unavailable

T = TypeVar("T")


class BridgeCall(Generic[T]):
    """``future`` belongs to asyncio and gets the outcome; ``ended`` is called there once nothing runs in Trio.

    A failed call is no reference cycle: the exception knows, by its traceback, the frames that it went through, so none
    of these may know the exception, nor the future that has it.
    """

    def __init__(
        self,
        lanes: Lanes,
        fn: Callable[..., Awaitable[T]],
        args: tuple[Any, ...],
        timeout: float | None,
        future: "asyncio.Future[T]",
        ended: "Callable[[BridgeCall[T]], None]",
    ) -> None:
        self._future: asyncio.Future[T] | None = future
        self._lanes = lanes
        self._fn = fn
        self._args = args
        self._timeout = timeout
        self._ended = ended
        self._scope = trio.CancelScope()  # Trio's

    # --- in asyncio -------------------------------------------------------------------------------------------

    def withdraw(self) -> None:
        """Cancel what runs in Trio: the caller has given up."""
        if self._future is not None:
            self._lanes.request(self._scope.cancel)

    def interrupt(self) -> None:
        """End the waiting with ``Interrupted`` and cancel what runs in Trio. Repeating it does nothing."""
        if self._future is not None and not self._future.done():
            self._future.set_exception(Interrupted("the gateway is stopping"))
            self.withdraw()

    def _settle(self, result: T | None, error: BaseException | None) -> None:
        self._ended(self)
        future, self._future = self._future, None
        if future is None or future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    # --- in Trio ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin, as a task."""
        if self._lanes.nursery is None:
            self._report(None, Unavailable("the gateway is stopping"))
        else:
            self._lanes.nursery.start_soon(self._run)

    async def _run(self) -> None:
        if self._timeout is not None:
            self._scope.deadline = trio.current_time() + self._timeout
        result: T | None = None
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
            self._report(None, Interrupted("the gateway is stopping"))
            raise
        try:
            self._report(result, error)
        finally:
            error = None

    def _report(self, result: T | None, error: BaseException | None) -> None:
        self._lanes.report(partial(self._settle, result, error))
