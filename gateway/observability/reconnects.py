"""Charge points that come and go: counted by their connects that were let in, listed, and slowed where they are many.

A charger with a broken link or firmware reconnects every few seconds for days; each time costs a handshake, two commits
and an event. It is listed, and served: between two connects it charges. Only one that
takes a noticeable share of the processor by it is answered 503, with a time to come again, before anything is looked
up. Only connects whose password or certificate was right count: a stranger who uses a charge point's name makes none of
it flap.
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Final

import trio
from attrs import define

from gateway.domain.diagnostics import FlappingChargePoint
from gateway.domain.values import Clock

WINDOW_SECONDS: Final = 600.0
"""The time over which connects are counted."""

CONNECTS: Final = 20
"""In that time, for a charge point to be listed; one every half minute. A charger that was moved to another network or
that boots twice after an update stays far below."""

SLOWED_CONNECTS: Final = 1_000
"""In that time, for it to be kept out: half a percent of a core, and a commit of its own for each. A bad link makes
fewer: a charger waits some seconds before it tries again."""

LEAST_PAUSE: Final = 10.0
MOST_PAUSE: Final = 60.0
"""Seconds for which one is kept out after it was there: the least at first, doubled each time. No longer, for a driver
may stand before it."""

MAX_KEPT: Final = 20_000
"""Charge points that are counted: those that connected last. 300 bytes each."""


@define(eq=False)
class _Counted:
    """Connects of the present window and the one before it, from which those of the last ten minutes are estimated."""

    began: float
    present: int
    before: int
    pause: float
    until: float
    since: datetime | None
    last: datetime

    def add(self, now: float) -> None:
        """Count a connect, in another window where the present one is over."""
        windows = (now - self.began) // WINDOW_SECONDS
        if windows:
            self.before = self.present if windows == 1 else 0
            self.present = 0
            self.began += windows * WINDOW_SECONDS
        self.present += 1

    def connects(self, now: float) -> float:
        """The connects of the last ten minutes. Changes nothing."""
        share = (now - self.began) / WINDOW_SECONDS
        if share < 1:
            return self.present + self.before * (1 - share)
        return self.present * max(0.0, 2 - share)


class Flapping:
    """Belongs to the Trio loop, but for its length. ``clock`` is the wall clock; ``now`` gives seconds that
    never go back, in any thread where a length is asked for in any."""

    def __init__(self, clock: Clock, now: Callable[[], float] = trio.current_time) -> None:
        self._clock = clock
        self._now = now
        self._counted: OrderedDict[str, _Counted] = OrderedDict()

    def __len__(self) -> int:
        """Those that flap now. For any thread: a scrape counts them."""
        return sum(map(self._flaps, tuple(self._counted.values())))

    def connected(self, identity: str) -> None:
        """A charge point was let in."""
        now, clock = self._now(), self._clock()
        counted = self._counted.pop(identity, None)
        if counted is None:
            if len(self._counted) >= MAX_KEPT:
                self._counted.popitem(last=False)
            counted = _Counted(now, 0, 0, LEAST_PAUSE, now, None, clock)
        self._counted[identity] = counted
        counted.add(now)
        counted.last = clock
        connects = counted.connects(now)
        counted.since = None if connects < CONNECTS else counted.since or clock
        if connects >= SLOWED_CONNECTS:
            counted.until = now + counted.pause
            counted.pause = min(MOST_PAUSE, counted.pause * 2)
        else:
            counted.pause = LEAST_PAUSE

    def kept_out(self, identity: str) -> int:
        """Seconds for which a charge point is to stay away; 0: it may come."""
        counted = self._counted.get(identity)
        if counted is None or not self._flaps(counted):
            return 0
        return max(0, round(counted.until - self._now()))

    def entries(self) -> list[FlappingChargePoint]:
        """Those that flap now, the one with the most connects first."""
        now = self._now()
        found = [
            FlappingChargePoint(identity, round(each.connects(now)), each.since, each.last, max(0.0, each.until - now))
            for identity, each in self._counted.items()
            if each.since is not None and self._flaps(each)
        ]
        return sorted(found, key=lambda each: (-each.connects, each.identity))

    def _flaps(self, counted: _Counted) -> bool:
        return counted.since is not None and counted.connects(self._now()) > CONNECTS / 2
