"""Times of receipt that retention goes by: which of them are credible, and the tolerance between clocks."""

from datetime import datetime, timedelta

from gateway.store.encoding import to_micros

TOLERANCE = 5 * 60 * 1_000_000
"""Microseconds by which times may be out of order: clocks are set by seconds."""

EARLIEST = 1_577_836_800 * 1_000_000
"""2020: no gateway ran before, and an earlier time is of a clock that was not set yet."""

MARK_EVERY = timedelta(hours=1)
"""How often it is noted where the floor is."""


class Times:
    """Which times are credible, ``now`` being so; None: it is not known which are."""

    def __init__(self, now: datetime | None, passed: int) -> None:
        self._latest = None if now is None else to_micros(now) + TOLERANCE
        self.passed = passed
        if self._latest is not None and passed > self._latest:
            self.passed = 0  # of a clock that ran ahead

    @property
    def range(self) -> tuple[int, int]:
        """From when to when times are credible."""
        return max(self.passed - TOLERANCE, EARLIEST), -1 if self._latest is None else self._latest

    def credible(self, at: int) -> bool:
        earliest, latest = self.range
        return earliest <= at <= latest

    def passes(self, at: int) -> None:
        if self.credible(at):
            self.passed = max(self.passed, at)
