"""``ProcessSupervisor``: several processes kept running as one service, drained and reloaded together."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol

import structlog
import trio
from attrs import define, field

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds until a process that ended is begun anew, doubled each time: one that can't start keeps no core busy."""

STEADY_SECONDS = 60.0
"""A process that ran for so long is begun anew as if it had never ended."""

GRACE_SECONDS = 10.0
"""Behind the deadline of the drain, before a process is killed that has not ended."""

log = structlog.get_logger()


class Child(Protocol):
    """A process that was begun."""

    ready: trio.Event
    """Set once it serves."""

    async def wait(self) -> int:
        """Its exit code, when it has ended; negative: the signal that ended it."""
        ...

    def send_signal(self, number: int) -> None:
        """Do nothing where it has ended."""
        ...


Launch = Callable[[], Awaitable[Child]]


@define(eq=False)
class Part:
    """One of the processes. ``aside``: it serves the others, and ends after them."""

    name: str
    launch: Launch
    aside: bool = False
    child: Child | None = None
    ready: trio.Event = field(factory=trio.Event)
    ended: trio.Event = field(factory=trio.Event)
    reload_due: bool = False
    """Asked for while its process began: one that is just starting is ended by the signal."""


class ProcessSupervisor:
    """Keeps parts running until a signal to stop. ``drain_seconds``: what each has for its own drain. ``all_ready`` is
    called once, when all of them serve."""

    def __init__(
        self, parts: Sequence[Part], drain_seconds: float, all_ready: Callable[[], None] = lambda: None
    ) -> None:
        self._parts = parts
        self._drain_seconds = drain_seconds
        self._all_ready = all_ready
        self._stopping = trio.Event()
        self._failed = False

    async def run(self, received: AsyncIterator[int]) -> int:
        """Run until SIGTERM or SIGINT was received, or a part did not get through its first start; the exit code.
        SIGHUP goes to all parts. Cancelling leaves them running."""
        async with trio.open_nursery() as nursery:
            for part in self._parts:
                nursery.start_soon(self._keep, part)
            nursery.start_soon(self._say_ready)
            nursery.start_soon(self._heed, received)
            await self._stopping.wait()
            await self._stop()
            nursery.cancel_scope.cancel()
        return int(self._failed)

    async def _heed(self, received: AsyncIterator[int]) -> None:
        async for number in received:
            log.info("signal for all processes", signal=signal.Signals(number).name)
            if number == signal.SIGHUP:
                self._reload()
            elif not self._stopping.is_set():
                self._stopping.set()
            else:
                self._send(number)  # cuts their drains short

    async def _say_ready(self) -> None:
        for part in self._parts:
            await part.ready.wait()
        self._all_ready()

    async def _keep(self, part: Part) -> None:
        pause = FIRST_PAUSE
        try:
            while not self._stopping.is_set():
                began = trio.current_time()
                code = await self._run(part)
                if self._stopping.is_set():
                    return
                if not part.ready.is_set():
                    log.error("process did not start", process=part.name, code=code)
                    self._failed = True
                    self._stopping.set()
                    return
                if trio.current_time() - began >= STEADY_SECONDS:
                    pause = FIRST_PAUSE
                log.error("process ended", process=part.name, code=code, again_in_seconds=pause)
                with trio.move_on_after(pause):
                    await self._stopping.wait()
                pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            part.ended.set()

    async def _run(self, part: Part) -> int:
        """Run a part once; its exit code."""
        part.child = child = await part.launch()
        try:
            if self._stopping.is_set() and not part.aside:
                child.send_signal(signal.SIGTERM)  # the others were signalled while it began
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_ready, part, child)
                code = await child.wait()
                nursery.cancel_scope.cancel()
            return code
        finally:
            part.child = None

    def _reload(self) -> None:
        for part in self._parts:
            if part.child is None or part.aside:
                continue
            if part.child.ready.is_set():
                part.child.send_signal(signal.SIGHUP)
            else:
                part.reload_due = True

    def _send(self, number: int, *, aside: bool = False) -> None:
        for part in self._parts:
            if part.child is not None and part.aside is aside:
                part.child.send_signal(number)

    async def _stop(self) -> None:
        """End the parts, and those aside after the others; kill what does not end."""
        for aside, seconds in ((False, self._drain_seconds + GRACE_SECONDS), (True, GRACE_SECONDS)):
            self._send(signal.SIGTERM, aside=aside)
            own = [part for part in self._parts if part.aside is aside]
            with trio.move_on_after(seconds) as late:
                for part in own:
                    await part.ended.wait()
            if late.cancelled_caught:
                log.error("process killed", processes=[part.name for part in own if part.child is not None])
                self._send(signal.SIGKILL, aside=aside)
                for part in own:
                    await part.ended.wait()


async def _until_ready(part: Part, child: Child) -> None:
    await child.ready.wait()
    part.ready.set()
    if part.reload_due:
        part.reload_due = False
        child.send_signal(signal.SIGHUP)
