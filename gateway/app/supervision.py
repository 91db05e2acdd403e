"""Keeping the gateway's long-lived tasks going: a failure of one is logged and counted, and the task begins again.

Each of them is needed for as long as the process serves, and none is worth the sessions of all chargers. Errors that
make a start impossible (``GatewayError`` before anything serves) are not for this: they end the process by name.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
import trio

from gateway.session.ports import Counter

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until a task that failed begins again; doubled with each failure that follows the last one closely."""

log = structlog.get_logger()


class Supervisor:
    """Runs tasks that must not end. Failures are counted as ``task_failures`` by the task's name."""

    def __init__(self, observer: Counter) -> None:
        self._observer = observer

    async def keep(self, name: str, task: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Run ``task(*args)`` until it returns; an exception is logged, and after a pause it is run again. Cancelling
        ends it."""
        pause = FIRST_PAUSE
        while True:
            began = trio.current_time()
            if await self._run(name, task, *args):
                return
            if trio.current_time() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            await trio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def once(self, name: str, task: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Run ``task(*args)`` once; an exception is logged and counted, and ends nothing else."""
        await self._run(name, task, *args)

    async def _run(self, name: str, task: Callable[..., Awaitable[None]], *args: Any) -> bool:
        failed = False
        try:
            await task(*args)
        except* Exception:
            failed = True
            log.exception("task failed", task=name)
            self._observer.count("task_failures", name)
        return not failed
