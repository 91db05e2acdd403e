"""Lag of the loops: what a task waits for beyond the time that it asked for, measured once a second.

A loop that is late makes every charger and every caller wait. The two loops share one interpreter, so that what keeps
one busy delays the other; measured apart, they show which one it is.
"""

from collections.abc import Callable
from typing import Final

import trio

from gateway.histogram import LAG_BOUNDS
from gateway.observability.metrics import Metrics
from gateway.ticks import next_tick

PROBE_SECONDS: Final = 1.0
"""Between two probes: a minute has sixty, which is enough for a quantile and costs nothing."""


class LoopLag:
    """The lag of both loops, in a histogram. ``run`` probes Trio's; the control interface has its own probe, and
    reports to ``asyncio``. ``now``: seconds by a clock that never goes back."""

    def __init__(self, metrics: Metrics, now: Callable[[], float]) -> None:
        family = metrics.histogram(
            "gateway_loop_lag_seconds", "How late a loop wakes a task that slept for a second.", LAG_BOUNDS, "loop"
        )
        self._now = now
        self._trio = family.of("trio")
        self.asyncio = family.of("asyncio")

    async def run(self) -> None:
        """Probe until cancelled."""
        while True:
            at = next_tick(PROBE_SECONDS)
            due = self._now() + at - trio.current_time()
            await trio.sleep_until(at)
            self._trio.observe(max(0.0, self._now() - due))
