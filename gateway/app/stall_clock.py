"""Trio's clock for a process that may stand still: what it slept through counts for no deadline.

When the loop is held up for seconds (the process is stopped, its machine paused, a core is taken away, one task takes
too long) every deadline that passed meanwhile would fire at once, before anything is read that came in time: chargers
would be closed as silent, commits taken for hung, handshakes for abandoned, though it was the gateway that was late. So
a stall is taken out of the time, and after it time stands still for a moment in which what waits is read.

What must hold in real time reads ``stalled`` (``session.stalls``): a command is not sent after its caller's deadline.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Final

import structlog
import trio

STALL_SECONDS: Final = 1.0
"""Later than this is a stall. A loop under full load is some tens of milliseconds late."""

GRACE_SECONDS: Final = 2.0
"""For reading what came meanwhile: thousands of chargers' messages, and the answers of the journal's thread."""

JUST_BEFORE: Final = 0.001
"""Seconds before the deadline that was slept for: that is where time stands still if a stall went past it."""

OFFSET: Final = 1_000.0
"""Trio's time at the start, so that it is not mistaken for another clock's."""

log = structlog.get_logger()


class StallClock(trio.abc.Clock):
    """Never goes back. ``now`` is what is measured by; it may run on while the process doesn't."""

    def __init__(
        self,
        now: Callable[[], float] = perf_counter,
        *,
        stall: float = STALL_SECONDS,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self._now = now
        self._stall = stall
        self._grace = grace
        self._began = self._seen = now()
        self._late_after = stall
        self._still_until = self._seen
        self._ahead = OFFSET - self._began
        self.stalled = 0.0
        """Seconds taken out of the time so far."""
        self.stalls = 0
        """How often the loop was held up."""

    def start_clock(self) -> None:
        """The run begins now."""
        self._began = self._seen = self._still_until = self._now()
        self._ahead = OFFSET - self._began - self.stalled

    def current_time(self) -> float:
        """Trio's time. Asked for in every turn of the loop, and by every task that looks at a clock."""
        now = self._now()
        if now - self._seen > self._late_after or self._seen < self._still_until:
            self._take_out(now)
        self._seen = now
        self._late_after = self._stall
        return now + self._ahead

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Return how long the loop may sleep, in real seconds. It is not late before that."""
        sleep = deadline - self.current_time()
        if sleep > 0:
            sleep += max(0.0, self._still_until - self._seen)
            self._late_after = sleep + self._stall
        return sleep

    def _take_out(self, now: float) -> None:
        """Take a stall, or what passes while time stands still, out of the time."""
        step = now - self._seen
        if step > self._late_after:
            self._held_up(now, step)
        else:
            self.stalled += min(now, self._still_until) - self._seen
        self._ahead = OFFSET - self._began - self.stalled

    def _held_up(self, now: float, step: float) -> None:
        """Of a step that took too long only the sleep that was asked for counts, up to just before its end."""
        slept = self._late_after - self._stall
        still = max(0.0, min(slept, self._still_until - self._seen))
        counted = max(0.0, slept - still - JUST_BEFORE)
        self.stalled += step - counted
        self.stalls += 1
        self._still_until = now + self._grace
        log.warning("the loop stood still", seconds=round(step - slept, 1))
