"""Pacing of work for many charge points: a rate at which it is begun, and how much of it goes on at once.

Pure: times are given, in seconds of any clock that only rises.
"""

from gateway.domain.fleet import Pace


class Pacing:
    """Places and times at which the next piece of work may begin. A rate that was not used is not saved up."""

    def __init__(self, pace: Pace) -> None:
        self._interval = 60.0 / pace.per_minute
        self._places = pace.at_once
        self._next = float("-inf")

    def wait(self, under_way: int, now: float) -> float | None:
        """Seconds until the next piece may begin; 0: now; None: not before another one has ended."""
        return None if under_way >= self._places else max(self._next - now, 0.0)

    def begun(self, now: float) -> None:
        """One has begun."""
        self._next = max(self._next, now) + self._interval
