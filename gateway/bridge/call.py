"""One call from asyncio into Trio."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import trio
from attrs import define, field

from gateway.bridge.mailbox import Interrupted, Lanes, Unavailable

T = TypeVar("T")


@define(eq=False)
class BridgeCall(Generic[T]):
    """``future`` belongs to asyncio and gets the outcome; ``ended`` is called there once nothing runs in Trio.

    A failed call is no reference cycle: the exception knows, by its traceback, the frames that it went through, so none
    of these may know the exception, nor the future that has it.
    """

    _lanes: Lanes
    _fn: Callable[..., Awaitable[T]]
    _args: tuple[Any, ...]
    _timeout: float | None
    _future: "asyncio.Future[T] | None"
    _ended: "Callable[[BridgeCall[T]], None]"
    _scope: trio.CancelScope = field(factory=trio.CancelScope, init=False)  # Trio's

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
            self._lanes.report(self._settle, None, Unavailable("the gateway is stopping"))
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
            self._lanes.report(self._settle, None, Interrupted("the gateway is stopping"))
            raise
        try:
            self._lanes.report(self._settle, result, error)
        finally:
            error = None
