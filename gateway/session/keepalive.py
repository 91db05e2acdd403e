"""Silent chargers: a ping, and then the end. One timer watches over all sessions.

A timer of each session's own would have to be moved with every frame that it hears; a task of its own would cost more
memory than the rest of an idle session's. Here a session is looked at when its silence would be up, and not before.
"""

import math
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import TypeAlias

import structlog
import trio
from attrs import define

from gateway.session.context import CLOSE_GOING_AWAY, SessionContext
from gateway.session.task_group import TaskGroup
from gateway.transport.api import ConnectionClosed

Look: TypeAlias = Callable[[], float]
"""Looks after something; says when to look again, in Trio's time. One that raises is logged and asked again later."""

LOOKS_AT_ONCE = 100
"""Between two checkpoints: a fraction of a millisecond."""

TOGETHER = 0.25
"""Seconds that a look may be late: what is due within them is looked after in one turn of the loop. The times looked
after are seconds and minutes."""

AFTER_FAILURE = 60.0
"""Seconds until a look that failed is tried again."""

log = structlog.get_logger()

MAX_LEFT = 1_000
"""Places in the queue of sessions that are over, before the queue is tidied up."""


@define(order=False, eq=False)
class Timer:
    """A place in the queue."""

    at: float
    look: Look | None

    def __lt__(self, other: "Timer") -> bool:
        return self.at < other.at


class TimerQueue:
    """Calls each ``look`` when it is time to, from the one task that is in ``run``."""

    def __init__(self) -> None:
        self._queue: list[Timer] = []
        self._left = 0
        self._earlier = trio.lowlevel.ParkingLot()

    def add(self, look: Look, at: float) -> Timer:
        """Have ``look`` called at ``at``, and whenever it asks for after that, until it is removed."""
        watched = Timer(at, look)
        self._push(watched)
        return watched

    def remove(self, watched: Timer) -> None:
        """Call it no more, and let go of it."""
        watched.look = None
        self._left += 1
        if self._left > max(MAX_LEFT, len(self._queue) // 2):
            self._queue = [each for each in self._queue if each.look is not None]
            heapify(self._queue)
            self._left = 0

    def __len__(self) -> int:
        """Number of timers."""
        return len(self._queue) - self._left

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch until cancelled."""
        task_status.started()
        while True:
            with trio.move_on_at(self._wake_at()):
                await self._earlier.park()
            for _ in range(LOOKS_AT_ONCE):
                if not self._queue or self._queue[0].at > trio.current_time():
                    break
                self._next()

    def _wake_at(self) -> float:
        """Return when to look at what is due first, with what else is due by then."""
        at = self._queue[0].at if self._queue else math.inf
        return at if at == math.inf else math.ceil(at / TOGETHER) * TOGETHER

    def _next(self) -> None:
        watched = heappop(self._queue)
        if watched.look is None:
            self._left -= 1
        else:
            try:
                watched.at = watched.look()
            except Exception:  # a bug of one session's supervision: all the others still have theirs
                log.exception("look failed")
                watched.at = trio.current_time() + AFTER_FAILURE
            self._push(watched)

    def _push(self, watched: Timer) -> None:
        heappush(self._queue, watched)
        if self._queue[0] is watched:
            self._earlier.unpark()


class Keepalive:
    """One session's: what is heard of it, and what is done when that is nothing (A6.5); and what it hears of
    the gateway, for some chargers give up a connection on which nothing has come for two minutes."""

    __slots__ = ("_context", "_kept_alive_at", "_pinged_at", "_tasks")

    def __init__(self, context: SessionContext, tasks: TaskGroup) -> None:
        self._context = context
        self._tasks = tasks
        self._pinged_at = -math.inf
        self._kept_alive_at = -math.inf

    def due(self) -> float:
        """Return the time at which there is something to do, if nothing happens until then. Every frame moves it."""
        return min(self._silent_at(), self._quiet_at())

    def _silent_at(self) -> float:
        """Return the Trio time at which the charger counts as silent."""
        heard, limits = self._context.transport.last_heard, self._context.limits
        return self._pinged_at + limits.ping_grace if self._pinged_at > heard else heard + limits.silence

    def _quiet_at(self) -> float:
        """Return the Trio time by which the charger must hear something again."""
        interval = self._context.limits.ping_interval
        return max(self._context.transport.last_said, self._kept_alive_at) + interval if interval else math.inf

    def look(self) -> float:
        """As ``Look``: silence brings a ping, further silence the end."""
        context, now = self._context, trio.current_time()
        if now >= self._silent_at():
            if self._pinged_at > context.transport.last_heard:
                context.observer.count("silent_sessions")
                context.end("silent", code=CLOSE_GOING_AWAY)
                return math.inf
            self._pinged_at = self._kept_alive_at = now
            self._ping()
        elif now >= self._quiet_at():
            self._kept_alive_at = now
            self._ping()
        return self.due()

    def _ping(self) -> None:
        try:
            sent = self._context.transport.ping_nowait()
        except ConnectionClosed as closed:
            self._context.connection_closed(closed)
        else:
            if not sent:  # nearly never: only then a task is started
                self._tasks.start(self._flush)

    async def _flush(self) -> None:
        with trio.move_on_after(self._context.limits.ping_grace):
            await self._context.transport.flush()
