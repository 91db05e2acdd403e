"""The thread that holds the asyncio loop."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from gateway.bridge.mailbox import Lanes, Mailbox


class Started(Protocol):
    """Reports that the asyncio main function is up; to be called once at most."""

    def __call__(self, value: object = None) -> None: ...


class LoopThread(threading.Thread):
    """Runs ``main`` in a new loop. A daemon: a loop that hangs must not keep the process from exiting.

    ``over`` is called at the end, from this thread; ``error`` is then what ``main`` raised, if it did.
    """

    def __init__(
        self, lanes: Lanes, main: Callable[[Started], Awaitable[None]], started: Started, over: Callable[[], None]
    ) -> None:
        super().__init__(name="asyncio", daemon=True)
        self.error: BaseException | None = None
        self._lanes = lanes
        self._main = main
        self._report_started = started
        self._over = over
        self._lock = threading.Lock()
        self._cancelled = False
        self._task: asyncio.Task[None] | None = None

    def run(self) -> None:
        """The thread's own part."""
        try:
            asyncio.run(self._supervise())
        except asyncio.CancelledError:
            pass  # that is how Trio ends it
        except BaseException as error:
            self.error = error
        try:
            self._over()
        except trio.RunFinishedError:
            pass  # it was left behind, and is not waited for any more

    def cancel(self) -> None:
        """From Trio: cancel ``main``, if need be before it begins."""
        with self._lock:
            self._cancelled = True
            task = self._task
        if task is not None:
            self._lanes.report(task.cancel)

    async def _supervise(self) -> None:
        mailbox = Mailbox(asyncio.get_running_loop().call_soon_threadsafe)
        self._lanes.asyncio = mailbox
        with self._lock:
            if self._cancelled:
                return
            self._task = asyncio.current_task()
        try:
            await self._main(self._report_started)
        finally:
            mailbox.close()
