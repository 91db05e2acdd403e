"""The energy of one session from its registers: a curve over time whose end is the total.

Registers are readings of one counter that only rises. Where they can't all be of one counter, the readings are split
into segments, each of which is, and the energy is the sum over the segments (E16): never a negative number,
and nothing for a gap without a reading. What contradicts itself is named in ``doubts`` and in the quality of
the steps that it concerns; it is never corrected silently.

In this order:

1. Samples of one place only, the one with the most (E21); of one moment the highest.
2. What the meter read for the begin is a reading where the start has no register, or one of another counter (E14).
3. A register of the session alone beside a lifetime register (E15): the samples count from 0.
4. One or two readings that leave the others' line and come back to it are outliers, and left out.
5. A fall (a reset, a swap, a stop that did not move), a rise beyond what a charge point gives, or one that is many
   times faster than the rest of the session (a lifetime register after a start of 0, E15b), ends a segment.
6. Stop less start is the energy if both are of one segment (E13); else the segments' sum; else, where there are no
   two registers, the sum of the energies of intervals (E20); else the power over time.

Which readings came when, how often and in which order makes no difference.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final

from attrs import evolve, frozen

from gateway.domain.metering import Metering, RegisterSample
from gateway.domain.registers import SLACK
from gateway.energy.metered_intervals import intervals_disagree, series_of_intervals
from gateway.energy.power import power_disagrees, power_steps
from gateway.energy.quality import CONTRADICTIONS, Basis, Doubt, Quality
from gateway.energy.segments import Chain, Register, Series, series_of, split

RULES_VERSION: Final = 2
"""Rises with each change of the rules that gives other energies, costs or qualities for the same readings: a bill names
the version that it was made by. A test holds results of many sessions against it."""


@frozen
class Point:
    """A moment of a session: the energy from the start until then, and how well the step that leads here is known."""

    at: datetime
    mwh: int
    quality: Quality = Quality.MEASURED


@frozen
class SessionEnergy:
    """The energy of a session. ``points``: at least the start; times and energies never fall; the last one has the
    total. ``total_mwh`` None: not known, and then the points tell of times alone."""

    total_mwh: int | None
    basis: Basis
    points: tuple[Point, ...]
    doubts: tuple[Doubt, ...] = ()
    stop_minus_start_mwh: int | None = None
    """The register at the stop less that at the start, whether or not that is the energy; None: one is missing."""

    @property
    def contradicted(self) -> bool:
        """True if its meter contradicts itself: then no bill is right without a look at it."""
        return not CONTRADICTIONS.isdisjoint(self.doubts)


def session_energy(metering: Metering) -> SessionEnergy:
    """The energy of a session, with how it was found and what is doubtful about it. Never raises."""
    begins = _begins(metering)
    if not begins:
        return _energy(metering)
    begun = evolve(metering, start=evolve(metering.start, mwh=None), registers=(*metering.registers, *begins))
    if metering.start.mwh is None:
        return _energy(begun)
    found = _energy(metering)
    if not {Doubt.START_LEFT_OUT, Doubt.JUMP} <= {*found.doubts}:
        return found
    # A lifetime register after a start of 0 (E15b); the meter's own reading for the begin is nearer than a sample.
    better = _energy(begun)
    doubts = {*found.doubts, *better.doubts} - {Doubt.START_MISSING}
    return evolve(better, doubts=_sorted(doubts), stop_minus_start_mwh=found.stop_minus_start_mwh)


def _begins(metering: Metering) -> list[RegisterSample]:
    """The register of each place as it was read for the begin, at the time of the start: of several the lowest. Those
    with a time of later are of something else."""
    lowest: dict[str, RegisterSample] = {}
    for each in metering.begins:
        if each.mwh == 0 and not metering.registers:
            continue  # as likely a lie as a start of 0 (E15b), and nothing on the way would show it
        if each.timed and abs(each.at - metering.start.at) > SLACK:
            continue
        if each.place not in lowest or each.mwh < lowest[each.place].mwh:
            lowest[each.place] = evolve(each, at=metering.start.at, timed=True)
    return list(lowest.values())


def _energy(metering: Metering) -> SessionEnergy:
    begin, end = metering.start.at, _end(metering)
    doubts = _doubts_of_edges(metering)
    series = series_of(metering, begin, end)
    chain = split(series, metering.meter_changes)
    doubts |= series.doubts | set(chain.breaks) | ({Doubt.OUTLIERS} if chain.outliers else set())
    counted = [segment for segment in chain.segments if len(segment) > 1]
    intervals = series_of_intervals(metering.intervals, begin, end)
    difference = _stop_minus_start(metering)
    if not counted:
        doubts |= _left_out(chain, ())
        if intervals:
            return _by_intervals(intervals, begin, end, doubts, difference)
        return _by_power(metering, begin, end, doubts, difference)
    points = tuple(_points(chain, begin, end))
    doubts |= _left_out(chain, counted)
    total = points[-1].mwh
    if power_disagrees(metering.powers, begin, points[-1].at, total) or intervals_disagree(
        intervals, begin, points[-1].at, total
    ):
        doubts.add(Doubt.POWER_DISAGREES)
    return SessionEnergy(total, _basis(counted, series), points, _sorted(doubts), difference)


def _end(metering: Metering) -> datetime | None:
    """The end of the session; None: it runs, as far as is known. A stop before the start counts as at the start."""
    return None if metering.stop is None else max(metering.stop.at, metering.start.at)


def _doubts_of_edges(metering: Metering) -> set[Doubt]:
    start, stop = metering.start, metering.stop
    doubts = set[Doubt]()
    if metering.deleted:
        doubts.add(Doubt.READINGS_DELETED)
    if start.mwh is None:
        doubts.add(Doubt.START_MISSING)
    if stop is None or stop.mwh is None:
        doubts.add(Doubt.STOP_MISSING)
    if not start.timed or (stop is not None and not stop.timed):
        doubts.add(Doubt.CLOCK_SUSPECT)
    if stop is not None and stop.at < start.at:
        doubts.add(Doubt.STOP_BEFORE_START)
    if stop is not None and stop.by_operator:
        doubts.add(Doubt.BY_OPERATOR)
    if start.doubted or (stop is not None and stop.doubted):
        doubts.add(Doubt.DOUBTED_WHEN_RECORDED)
    return doubts


def _stop_minus_start(metering: Metering) -> int | None:
    if metering.stop is None or metering.stop.mwh is None or metering.start.mwh is None:
        return None
    return metering.stop.mwh - metering.start.mwh


def _sorted(doubts: Iterable[Doubt]) -> tuple[Doubt, ...]:
    order = list(Doubt)
    return tuple(sorted(set(doubts), key=order.index))


def _left_out(chain: Chain, counted: Sequence[Sequence[Register]]) -> set[Doubt]:
    """Find a start or stop whose register no counted segment holds."""
    held = {each.edge for segment in counted for each in segment}
    known = {each.edge for segment in chain.segments for each in segment}
    doubts = set[Doubt]()
    if "start" in known - held and chain.breaks:
        doubts.add(Doubt.START_LEFT_OUT)
    if "stop" in known - held and chain.breaks:
        doubts.add(Doubt.STOP_LEFT_OUT)
    return doubts


def _basis(counted: Sequence[Sequence[Register]], series: Series) -> Basis:
    if len(counted) > 1:
        return Basis.SEGMENTS
    (segment,) = counted
    edges = segment[0].edge == "start" and segment[-1].edge == "stop"
    return Basis.STOP_MINUS_START if edges and not segment[0].assumed else Basis.REGISTER_DELTAS


# --- the curve ------------------------------------------------------------------------------------------------


def _points(chain: Chain, begin: datetime, end: datetime | None) -> Iterator[Point]:
    """The curve from start to stop: each segment's steps, and between them gaps that bring nothing."""
    away = sorted(each.at for each in chain.outliers)
    yield Point(begin, 0)
    at, total = begin, 0
    gaps = (None, *chain.breaks)
    for segment, why in zip(chain.segments, gaps, strict=True):
        first = segment[0]
        if first.at > at or why is not None:
            yield Point(first.at, total, _quality_of_gap(why))
            at = first.at
        base = total
        for before, after in pairwise(segment):
            total = max(total, base + _within(segment, after.mwh) - first.mwh)
            yield Point(after.at, total, _quality_of_step(before, after, away))
            at = after.at
    if end is not None and at < end:
        yield Point(end, total, Quality.MISSING)


def _within(segment: Sequence[Register], mwh: int) -> int:
    """A reading no higher than the stop that ends its segment, which is the better one, and no lower than its first."""
    if segment[-1].edge == "stop":
        mwh = min(mwh, segment[-1].mwh)
    return max(mwh, segment[0].mwh)


def _quality_of_gap(why: Doubt | None) -> Quality:
    return Quality.MISSING if why is None or why is Doubt.METER_CHANGED else Quality.CONTRADICTED


def _quality_of_step(before: Register, after: Register, away: Sequence[datetime]) -> Quality:
    if bisect_left(away, before.at) < bisect_right(away, after.at):
        return Quality.CONTRADICTED
    if before.assumed or not before.timed or not after.timed:
        return Quality.ESTIMATED
    return Quality.MEASURED


def _by_intervals(
    moments: Mapping[datetime, int],
    begin: datetime,
    end: datetime | None,
    doubts: set[Doubt],
    difference: int | None,
) -> SessionEnergy:
    """The energies of intervals, summed up."""
    points = [Point(begin, 0)]
    for at, mwh in moments.items():
        points.append(Point(at if end is None else min(at, end), points[-1].mwh + mwh, Quality.ESTIMATED))
    if end is not None and points[-1].at < end:
        points.append(Point(end, points[-1].mwh, Quality.MISSING))
    return SessionEnergy(points[-1].mwh, Basis.INTERVALS, tuple(points), _sorted(doubts), difference)


def _by_power(
    metering: Metering, begin: datetime, end: datetime | None, doubts: set[Doubt], difference: int | None
) -> SessionEnergy:
    """Power over time, where there are no two registers to tell; else the energy is not known."""
    points = [Point(begin, 0)]
    steps = power_steps(metering.powers, begin, end)
    for since, until, mwh in steps:
        if points[-1].at < since:
            points.append(Point(since, points[-1].mwh, Quality.MISSING))
        points.append(Point(until, points[-1].mwh + mwh, Quality.ESTIMATED))
    if end is not None and points[-1].at < end:
        points.append(Point(end, points[-1].mwh, Quality.MISSING))
    basis = Basis.POWER if steps else Basis.UNKNOWN
    return SessionEnergy(points[-1].mwh if steps else None, basis, tuple(points), _sorted(doubts), difference)
