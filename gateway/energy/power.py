"""Energy from power over time: where there are no two registers to tell, and to hold a register against it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from gateway.domain.metering import PowerSample

HOUR: Final = timedelta(hours=1)
MICROSECOND: Final = timedelta(microseconds=1)

MAX_POWER_GAP: Final = timedelta(minutes=15)
"""Two values of power further apart tell nothing of the time between them: chargers send one every minute."""

LEAST_COMPARED_MWH: Final = 1_000_000
"""Below a kilowatt-hour, register and power may differ by their rounding alone."""

DISAGREES: Final = 10
"""A register that differs from the power over time by this factor is stuck, or counts in another unit (E10)."""

COMPARED_SHARE: Final = 0.8
"""Of a session's time, power must be known for so much before it is held against the register."""


Step = tuple[datetime, datetime, int]
"""From one value of power to the next, and the milliwatt-hours that it brings."""


def power_steps(powers: Iterable[PowerSample], begin: datetime, end: datetime | None) -> list[Step]:
    """The steps between values of power within a session that are near enough to each other, in order."""
    values = _milliwatts(powers, begin, end)
    return [
        (before[0], after[0], _trapezoid(before, after))
        for before, after in pairwise(values)
        if after[0] - before[0] <= MAX_POWER_GAP
    ]


def power_disagrees(powers: Iterable[PowerSample], begin: datetime, end: datetime, mwh: int) -> bool:
    """Return true if a register's energy and the power over time can't be of one meter (E10)."""
    steps = power_steps(powers, begin, end)
    covered = sum((until - since for since, until, _ in steps), timedelta())
    if not steps or covered < COMPARED_SHARE * (end - begin):
        return False
    flowed = sum(brought for *_, brought in steps)
    return max(mwh, flowed) >= LEAST_COMPARED_MWH and not flowed <= DISAGREES * mwh <= DISAGREES**2 * flowed


def _milliwatts(powers: Iterable[PowerSample], begin: datetime, end: datetime | None) -> list[tuple[datetime, int]]:
    """Power in whole milliwatts by moment, of several the highest; none below 0."""
    values: dict[datetime, int] = {}
    for each in powers:
        if begin <= each.at and (end is None or each.at <= end):
            milliwatts = max(round(min(each.watts, 1e9) * 1000), 0)
            values[each.at] = max(milliwatts, values.get(each.at, 0))
    return sorted(values.items())


def _trapezoid(before: tuple[datetime, int], after: tuple[datetime, int]) -> int:
    """Milliwatt-hours between two values of power in milliwatts, rounded down."""
    return (before[1] + after[1]) * ((after[0] - before[0]) // MICROSECOND) // (2 * (HOUR // MICROSECOND))
