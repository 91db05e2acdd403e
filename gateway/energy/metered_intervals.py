"""Energies that a meter counted interval by interval: those of one series, and to hold a register against them."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Final

from gateway.domain.metering import MOST_MWH, IntervalSample
from gateway.domain.registers import SLACK
from gateway.energy.power import COMPARED_SHARE, DISAGREES, LEAST_COMPARED_MWH

EVEN: Final = 2
"""Intervals of a series are of one length; where one gap is longer than another by more than this factor, some of them
are missing."""


def series_of_intervals(
    intervals: Iterable[IntervalSample], begin: datetime, end: datetime | None
) -> Mapping[datetime, int]:
    """The energies of intervals of a session by the moment at which each ended, in order: of one context and place,
    those with the most, for others count the same energy again. Empty where there are none, or more than was ever
    measured: each may be of any size that fits 64 bits."""
    last = None if end is None else end + SLACK
    groups: dict[tuple[str, str], dict[datetime, int]] = {}
    for each in intervals:
        if each.at > begin and (last is None or each.at <= last):
            moments = groups.setdefault((each.context, each.place), {})
            moments[each.at] = max(each.mwh, moments.get(each.at, 0))
    if not groups:
        return {}
    moments = groups[min(groups, key=lambda key: (-len(groups[key]), key))]
    return dict(sorted(moments.items())) if sum(moments.values()) <= MOST_MWH else {}


def intervals_disagree(moments: Mapping[datetime, int], begin: datetime, end: datetime, mwh: int) -> bool:
    """Return true if a register's energy and the energies of intervals can't be of one meter (E10, E20). ``moments`` as
    ``series_of_intervals`` gives them."""
    times, energies = list(moments), list(moments.values())
    # The first may have begun before the session.
    if (least := sum(energies[1:])) >= LEAST_COMPARED_MWH and least > DISAGREES * mwh:
        return True
    gaps = [after - before for before, after in pairwise(times)]
    if mwh < LEAST_COMPARED_MWH or not gaps or max(gaps) > EVEN * min(gaps):
        return False
    return times[-1] - times[0] >= COMPARED_SHARE * (end - begin) and mwh > DISAGREES * sum(energies)
