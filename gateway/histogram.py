"""A histogram of plain numbers: one thread observes, for less than a microsecond, and another reads at a scrape."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

LATENCY_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds. The gateway commits and answers in some milliseconds, and a charger gives up after 30 s."""

ROUND_TRIP_BOUNDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0)
"""Seconds, for a CALL to a charger: a mobile link's 100 ms up to the time-out of 40 s."""

MAX_SERIES: Final = 100
"""Values of a histogram's label that are kept apart; further ones are observed as ``other``. Actions and operations of
OCPP are some forty, so this guards against a bug."""

BATCH_BOUNDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Writes in one transaction of the store, up to the journal's ``MAX_BATCH``."""

LAG_BOUNDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds that a loop is late."""


class Histogram:
    """One series: a count for each bound, one above all bounds, and the sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value; one that equals a bound is below it, as Prometheus has it. (Where each call counts, its two
        lines stand in the caller.)"""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as Prometheus' format has them."""
        found, so_far = [], 0
        for bound, count in zip((*map(str, map(float, self.bounds)), "+Inf"), tuple(self.counts), strict=True):
            so_far += count
            found.append((bound, float(so_far)))
        return found


def series_of(kept: dict[str, Histogram], value: str, bounds: Sequence[float]) -> Histogram:
    """The series of a label's value, made if need be, of at most ``MAX_SERIES``."""
    series = kept.get(value)
    if series is None:
        if len(kept) >= MAX_SERIES:
            value = "other"
        series = kept.setdefault(value, Histogram(bounds))
    return series


class Latencies:
    """Histograms of the charge points of one make and firmware, by action.

    ``answers``: of their CALLs until the gateway's answer; ``calls``: of the gateway's CALLs until their answer.
    """

    __slots__ = ("answers", "calls")

    def __init__(self) -> None:
        self.answers: dict[str, Histogram] = {}
        self.calls: dict[str, Histogram] = {}
