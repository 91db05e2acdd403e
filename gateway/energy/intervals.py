"""The energy of a session by clock-aligned interval, which sums exactly to its total.

Energy is divided evenly over the time between two readings. Each border is given the energy from the start until then,
rounded to whole milliwatt-hours, halves up; an interval has the difference of its two borders. So nothing is lost or
made up, however finely it is divided, and intervals that are joined have the sum of their parts.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Final

from attrs import frozen

from gateway.energy.calendar import DAY_SECONDS, borders
from gateway.energy.quality import Quality, worst
from gateway.energy.session import Point, SessionEnergy

HALF_HOUR: Final = 1_800
"""Seconds of an interval unless another is asked for: what energy is traded in."""

MICROSECOND: Final = timedelta(microseconds=1)


@frozen
class Interval:
    """The energy of a session within an interval of local time. ``start`` and ``end`` are the interval's; the session
    may begin later in it, or end before."""

    start: datetime
    end: datetime
    mwh: int
    quality: Quality


def divides_a_day(seconds: int) -> bool:
    """Return whether intervals of so many seconds can be aligned to midnight."""
    return 0 < seconds <= DAY_SECONDS and DAY_SECONDS % seconds == 0


def energy_by_interval(energy: SessionEnergy, zone: tzinfo, seconds: int = HALF_HOUR) -> tuple[Interval, ...]:
    """The intervals that a session touches, in order and without gaps, empty ones included; none where its energy is
    not known. ``seconds``: as ``divides_a_day``; else ValueError.

    At the moment at which the clocks change, see ``calendar.borders``.
    """
    if not divides_a_day(seconds):
        raise ValueError(f"{seconds} seconds do not divide a day")
    if energy.total_mwh is None:
        return ()
    points = energy.points
    edges = borders(zone, seconds, points[0].at, points[-1].at)
    return pieces(points, edges)


def pieces(points: Sequence[Point], edges: Sequence[datetime]) -> tuple[Interval, ...]:
    """The energy between rising ``edges``, of which the first one is at or before the first point, and the last one at
    or after the last point."""
    known = Curve(points)
    energies = [0, *(known.until(edge) for edge in edges[1:])]
    return tuple(
        Interval(start, end, after - before, known.quality(start, end))
        for (start, end), (before, after) in zip(pairwise(edges), pairwise(energies), strict=True)
    )


class Curve:
    """Look-ups in the points of a session: at least one, in order."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = points
        self._times = [point.at for point in points]

    def until(self, at: datetime) -> int:
        """The energy from the start until a moment, what came at that very moment included."""
        index = bisect_right(self._times, at)
        if index == 0:
            return 0
        before = self._points[index - 1]
        if index == len(self._points) or before.at == at:
            return before.mwh
        after = self._points[index]
        part, whole = (at - before.at) // MICROSECOND, (after.at - before.at) // MICROSECOND
        return before.mwh + (2 * (after.mwh - before.mwh) * part + whole) // (2 * whole)

    def quality(self, start: datetime, end: datetime) -> Quality:
        """The quality of the energy between two moments."""
        times = self._times
        begin, until = max(start, times[0]), min(end, times[-1])
        # The step that leads to a point is found by the point's index; a step at one moment belongs to what ends there.
        first = 1 if start <= times[0] else max(bisect_right(times, begin), 1)
        last = min(max(bisect_left(times, until), bisect_right(times, until) - 1), len(times) - 1)
        steps = range(first, last + 1)
        qualities = [self._points[index].quality for index in steps]
        moving = [index for index in (first, last) if index in steps and self._cut(index, begin, until)]
        if moving:
            none_inside = first == last and self._points[first].at > until and self._points[first - 1].at < begin
            qualities.append(Quality.ESTIMATED if none_inside else Quality.INTERPOLATED)
        return worst(qualities)

    def _cut(self, index: int, begin: datetime, until: datetime) -> bool:
        """Return true if a border lies within a step that brings energy."""
        before, after = self._points[index - 1], self._points[index]
        return after.mwh > before.mwh and (before.at < begin < after.at or before.at < until < after.at)
