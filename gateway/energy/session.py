"""The energy of one session from its registers: a curve over time whose end is the total.

Registers are readings of one counter that only rises. Where they can't all be of one counter, the readings are split
into segments, each of which is, and the energy is the sum over the segments (OCPP.md E16): never a negative number,
and nothing for a gap of which no register tells. What contradicts itself is named in ``doubts`` and in the quality of
the steps that it concerns; it is never corrected silently.

In this order:

1. Samples of one place only, the one with the most (E21); of one moment the highest.
2. A register of the session alone beside a lifetime register (E15): the samples count from 0.
3. One or two readings that leave the others' line and come back to it are outliers, and left out.
4. A fall (a reset, a swap, a stop that did not move), a rise beyond what a charge point gives, or one that is many
   times faster than the rest of the session (a lifetime register after a start of 0, E15b), ends a segment.
5. What stop and start tell is the energy if both are of one segment (E13); else the segments' sum; else, where there
   are no registers, the power over time.

Which readings came when, how often and in which order makes no difference.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final

from attrs import evolve, field, frozen

from gateway.domain.metering import Edge, Metered, PowerSample, RegisterSample
from gateway.domain.registers import (
    JITTER,
    LEAST_SUDDEN_APART_WH,
    LEAST_SUDDEN_W,
    LEAST_SUDDEN_WH,
    MAX_POWER,
    SLACK,
    SUDDEN,
    TOLERANCE_SHARE,
    TOLERANCE_WH,
    WHOLE_KWH,
)

HOUR: Final = timedelta(hours=1)
MICROSECOND: Final = timedelta(microseconds=1)

JITTER_MWH: Final = JITTER * 1000
TOLERANCE_MWH: Final = int(TOLERANCE_WH * 1000)
WHOLE_KWH_MWH: Final = int(WHOLE_KWH * 1000)

MAX_OUTLIERS: Final = 2
"""Readings in a row that may be left out, where the register comes back to its line behind them. More of them are a
series of their own, such as a register that began anew."""

MAX_SUDDEN: Final = 4
"""Segments that are ended because one step was many times faster than the rest: each search goes through all steps."""

MAX_POWER_GAP: Final = timedelta(minutes=15)
"""Two values of power further apart tell nothing of the time between them: chargers send one every minute."""

LEAST_COMPARED_MWH: Final = 1_000_000
"""Below a kilowatt-hour, register and power may differ by their rounding alone."""

DISAGREES: Final = 10
"""A register that differs from the power over time by this factor is stuck, or counts in another unit (E10)."""

COMPARED_SHARE: Final = 0.8
"""Of a session's time, power must be known for so much before it is held against the register."""

_PLACES: Final = {"Outlet": 0, "Inlet": 1, "Cable": 2, "Body": 3, "EV": 4}
"""Preference among places with equally many samples (E21)."""


class Quality(StrEnum):
    """How well a piece of energy is known, the best first."""

    MEASURED = "measured"
    """A register was read at both of its ends, or did not move between the readings around them."""
    INTERPOLATED = "interpolated"
    """It ends between two readings; their energy is divided evenly over their time."""
    ESTIMATED = "estimated"
    """It rests on an assumption: no reading falls into it, a time is that of receipt, a register is taken to begin at
    0, or it is power over time."""
    MISSING = "missing"
    """For a part of its time no register tells; nothing is counted for that part."""
    CONTRADICTED = "contradicted"
    """The registers around it can't all be true."""


_RANKS: Final = {quality: rank for rank, quality in enumerate(Quality)}


def worst(qualities: Iterable[Quality]) -> Quality:
    """The worst of several; MEASURED for none."""
    return max(qualities, key=_RANKS.__getitem__, default=Quality.MEASURED)


class Basis(StrEnum):
    """How the energy of a session was found."""

    STOP_MINUS_START = "stop-minus-start"
    """The register at its stop less that at its start (E13)."""
    REGISTER_DELTAS = "register-deltas"
    """The last usable register less the first one: an end is missing or can't be used."""
    SEGMENTS = "segments"
    """The sum over several segments, each of one counter (E16)."""
    POWER = "power"
    """Power over time: there are no two registers."""
    UNKNOWN = "unknown"
    """Nothing tells."""


class Doubt(StrEnum):
    """Why to look twice at the energy of a session."""

    START_MISSING = "start-missing"
    """Its start came without a usable register."""
    STOP_MISSING = "stop-missing"
    """It has ended, or is taken to have, without a usable register of its stop."""
    START_LEFT_OUT = "start-left-out"
    """The register of its start contradicts those that follow."""
    STOP_LEFT_OUT = "stop-left-out"
    """The register of its stop contradicts those before."""
    SESSION_REGISTER = "session-register"
    """Its samples count the session alone, beside a lifetime register (E15)."""
    OUTLIERS = "outliers"
    """Single samples lie apart from the others, and were left out."""
    RESET = "reset"
    """A register fell on the way (E16)."""
    JUMP = "jump"
    """A register rose faster than a charge point gives, or many times faster than in the rest (E15b)."""
    METER_CHANGED = "meter-changed"
    """The meter was replaced on the way (E17)."""
    POWER_DISAGREES = "power-disagrees"
    """The register and the power over time differ by a factor of ten or more: one is stuck or in another unit (E10)."""
    CLOCK_SUSPECT = "clock-suspect"
    """A time that it rests on is that of receipt: the charger gave none that can be right."""
    STOP_BEFORE_START = "stop-before-start"
    """Its stop's time lies before its start's; all energy is counted at the start."""
    DOUBTED_WHEN_RECORDED = "doubted-when-recorded"
    """Its start or stop was flagged as implausible when it was recorded."""
    READINGS_DELETED = "readings-deleted"
    """Its readings are gone by retention; start and stop alone are known."""


CONTRADICTIONS: Final = frozenset(
    {
        Doubt.START_LEFT_OUT,
        Doubt.STOP_LEFT_OUT,
        Doubt.OUTLIERS,
        Doubt.RESET,
        Doubt.JUMP,
        Doubt.POWER_DISAGREES,
    }
)
"""Doubts that say that the meter contradicts itself."""


@frozen
class Metering:
    """All that was metered in a session. ``stop`` None: it runs, or its stop was lost. Samples in any order, also
    repeated. ``meter_changes``: when the meter was replaced, as far as that is known by other means."""

    start: Edge
    stop: Edge | None = None
    registers: tuple[RegisterSample, ...] = ()
    powers: tuple[PowerSample, ...] = ()
    meter_changes: tuple[datetime, ...] = ()
    deleted: bool = False
    """Whether its readings are gone by retention."""


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
    """What the registers of stop and start differ by, whether or not that is the energy; None: one is missing."""

    @property
    def contradicted(self) -> bool:
        """Whether its meter contradicts itself: then no bill is right without a look at it."""
        return not CONTRADICTIONS.isdisjoint(self.doubts)


def metering_of(parts: Iterable[Metered], *, start: Edge | None = None) -> Metering | None:
    """What several events say of one session, in any order. ``start`` stands in where none of them holds one; None
    without either. Of several stops the last recorded one counts."""
    ordered = sorted(parts, key=lambda part: part.sequence)
    starts = [part.start for part in ordered if part.start is not None]
    stops = [part.stop for part in ordered if part.stop is not None]
    begun = starts[0] if starts else start
    if begun is None:
        return None
    return Metering(
        begun,
        stops[-1] if stops else None,
        tuple(each for part in ordered for each in part.registers),
        tuple(each for part in ordered for each in part.powers),
        deleted=not starts,
    )


# --- the energy -----------------------------------------------------------------------------------------------


@frozen
class _Register:
    """A reading in the series that energy is taken from. ``edge``: "start", "stop", or empty for a sample."""

    at: datetime
    mwh: int
    edge: str = ""
    timed: bool = True
    assumed: bool = False
    """Whether the value is an assumption."""


@frozen
class _Series:
    """The readings of a session in order, by time, with what is odd about them."""

    readings: tuple[_Register, ...]
    coarse_mwh: int = 0
    doubts: frozenset[Doubt] = frozenset()
    apart: bool = False
    """Whether the samples are of another register than the stop."""


@frozen
class _Chain:
    """Readings split into segments. ``crossed``: moments of outliers, between which nothing is certain."""

    segments: tuple[tuple[_Register, ...], ...]
    breaks: tuple[Doubt, ...]
    outliers: tuple[_Register, ...] = field(factory=tuple)


def session_energy(metering: Metering) -> SessionEnergy:
    """The energy of a session, with how it was found and what is doubtful about it. Never raises."""
    begin, end = metering.start.at, _end(metering)
    doubts = _doubts_of_edges(metering)
    series = _series(metering, begin, end)
    chain = _split(series, metering.meter_changes)
    doubts |= series.doubts | set(chain.breaks) | ({Doubt.OUTLIERS} if chain.outliers else set())
    counted = [segment for segment in chain.segments if len(segment) > 1]
    told = _stop_minus_start(metering)
    if not counted:
        doubts |= _left_out(metering, chain, ())
        return _by_power(metering, begin, end, doubts, told)
    points = tuple(_points(chain, begin, end, metering))
    doubts |= _left_out(metering, chain, counted)
    total = points[-1].mwh
    if _power_disagrees(metering, begin, points[-1].at, total):
        doubts.add(Doubt.POWER_DISAGREES)
    return SessionEnergy(total, _basis(counted, series), points, _sorted(doubts), told)


def _end(metering: Metering) -> datetime | None:
    """When the session ended; None: it runs, as far as is known. A stop before the start counts as at the start."""
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


# --- which readings -------------------------------------------------------------------------------------------


def _series(metering: Metering, begin: datetime, end: datetime | None) -> _Series:
    """The session's readings in the order of time: its start, its samples, its stop."""
    samples, doubts = _samples(metering, begin, end)
    start, stop = metering.start, metering.stop
    first = None if start.mwh is None else _Register(begin, start.mwh, "start", start.timed)
    last = None
    if stop is not None and stop.mwh is not None and end is not None:
        last = _Register(end, stop.mwh, "stop", stop.timed)
    coarse = _coarse(first, last, samples)
    apart = False
    if first is not None and samples and max(each.mwh for each in samples) < first.mwh - max(TOLERANCE_MWH, coarse):
        # Of the session alone, beside a lifetime register; or of one that began anew before the first sample.
        doubts = doubts | {Doubt.SESSION_REGISTER}
        if last is not None and last.mwh >= first.mwh:
            apart = True
            last = evolve(last, mwh=last.mwh - first.mwh)
            first = evolve(first, mwh=0)
        else:
            first = _assumed_zero(first, [*samples, *((last,) if last else ())])
            if last is not None:
                doubts = doubts | {Doubt.START_LEFT_OUT}
    readings = (*((first,) if first else ()), *samples, *((last,) if last else ()))
    return _Series(readings, coarse, doubts, apart)


def _assumed_zero(first: _Register, others: Sequence[_Register]) -> _Register | None:
    """A start at 0, for a register that counts the session alone or has begun anew; None where so much can't have come
    in that time, beside what came afterwards: then nothing tells where it began."""
    rest = max((_watts(before, after) for before, after in pairwise(others)), default=0.0)
    zero = evolve(first, mwh=0, assumed=True)
    return zero if _watts(zero, others[0]) <= max(LEAST_SUDDEN_W, 2 * rest) else None


def _watts(before: _Register, after: _Register) -> float:
    return (after.mwh - before.mwh) / 1000 / ((after.at - before.at + SLACK) / HOUR)


def _samples(metering: Metering, begin: datetime, end: datetime | None) -> tuple[list[_Register], frozenset[Doubt]]:
    """Samples of one place between start and stop. Those without a time of their own only where none has one."""
    inside = [
        each for each in metering.registers if each.at >= begin - SLACK and (end is None or each.at <= end + SLACK)
    ]
    if metering.start.mwh is not None:
        inside = [each for each in inside if each.at > begin]
    timed = [each for each in inside if each.timed]
    doubts = frozenset[Doubt]() if timed or not inside else frozenset({Doubt.CLOCK_SUSPECT})
    by_place: dict[str, dict[datetime, int]] = {}
    for each in timed or inside:
        at = max(each.at, begin) if end is None else min(max(each.at, begin), end)
        moments = by_place.setdefault(each.place, {})
        moments[at] = max(each.mwh, moments.get(at, each.mwh))
    if not by_place:
        return [], doubts
    place = min(by_place, key=lambda name: (-len(by_place[name]), _PLACES.get(name, len(_PLACES)), name))
    found = sorted(by_place[place].items())
    return [_Register(at, mwh, timed=bool(timed)) for at, mwh in found], doubts


def _coarse(first: _Register | None, last: _Register | None, samples: Sequence[_Register]) -> int:
    """By how much start, stop and samples may differ because one of them counts in whole kWh; else 0."""
    edges = [each for each in (first, last) if each is not None]
    whole = (len(edges) == 2 and all(each.mwh % WHOLE_KWH_MWH == 0 for each in edges)) or (
        bool(samples) and all(each.mwh % WHOLE_KWH_MWH == 0 for each in samples)
    )
    return WHOLE_KWH_MWH if whole else 0


# --- segments -------------------------------------------------------------------------------------------------


def _split(series: _Series, meter_changes: Sequence[datetime]) -> _Chain:
    """The readings as segments of one counter each."""
    changes = sorted(meter_changes)
    segments: list[list[_Register]] = []
    breaks: list[Doubt] = []
    outliers: list[_Register] = []
    readings, index = series.readings, 0
    while index < len(readings):
        reading = readings[index]
        if not segments:
            segments.append([reading])
            index += 1
            continue
        before = segments[-1][-1]
        why = _misfit(before, reading, series, segments[-1])
        if any(before.at < change <= reading.at for change in changes):
            why = Doubt.METER_CHANGED
        elif why is not None and (away := _away(before, readings, index)):
            outliers.extend(readings[index : index + away])
            index += away
            continue
        if why is None:
            segments[-1].append(reading)
        else:
            segments.append([reading])
            breaks.append(why)
        index += 1
    for _ in range(MAX_SUDDEN):
        if not _split_at_sudden(segments, breaks, series):
            break
    return _Chain(tuple(tuple(each) for each in segments), tuple(breaks), tuple(outliers))


def _misfit(before: _Register, after: _Register, series: _Series, segment: Sequence[_Register]) -> Doubt | None:
    """Why one register can't have read the one after the other; None: it can."""
    if after.mwh < before.mwh - _fall_allowed(before, after, series, segment):
        return Doubt.RESET
    return Doubt.JUMP if after.mwh - before.mwh > _most_mwh(after.at - before.at) else None


def _fall_allowed(before: _Register, after: _Register, series: _Series, segment: Sequence[_Register]) -> int:
    """By how much a register may seem to fall: rounding between samples, and more towards the readings of start and
    stop, which are taken in another way."""
    edges = {before.edge, after.edge} - {""}
    if edges == {"start", "stop"}:
        return 0
    if edges == {"start"}:
        return max(TOLERANCE_MWH, series.coarse_mwh)
    if edges == {"stop"}:
        share = int((before.mwh - segment[0].mwh) * TOLERANCE_SHARE)
        return max(TOLERANCE_MWH, series.coarse_mwh, share)
    return JITTER_MWH


def _most_mwh(span: timedelta) -> int:
    """What a charge point gives at most in a time."""
    return int(MAX_POWER * 1000 * ((span + SLACK) / HOUR))


def _away(before: _Register, readings: Sequence[_Register], index: int) -> int:
    """How many readings from ``index`` on are outliers: they leave the register's line, and the next one is back on it.
    0: none are. A start or a stop is never one."""
    low = readings[index].mwh < before.mwh
    for count in range(1, MAX_OUTLIERS + 1):
        if index + count >= len(readings) or readings[index + count - 1].edge:
            return 0
        back, last = readings[index + count], readings[index + count - 1]
        returns = back.mwh >= before.mwh - JITTER_MWH and back.mwh - before.mwh <= _most_mwh(back.at - before.at)
        if returns and (low or back.mwh < last.mwh - JITTER_MWH):
            return count
    return 0


def _split_at_sudden(segments: list[list[_Register]], breaks: list[Doubt], series: _Series) -> bool:
    """End a segment at the step that brought much, many times faster than any other one of the session (E15b). False:
    there is none.

    A step on the way that takes longer than all others together is no ground: it is a gap in the samples.
    """
    steps = [
        (number, index, segment[index].mwh - segment[index - 1].mwh, segment[index].at - segment[index - 1].at + SLACK)
        for number, segment in enumerate(segments)
        for index in range(1, len(segment))
    ]
    if len(steps) < 2:
        return False
    watts = [mwh / 1000 / (span / HOUR) for _, _, mwh, span in steps]
    fastest = max(range(len(steps)), key=watts.__getitem__)
    number, index, mwh, span = steps[fastest]
    at_stop = segments[number][index].edge == "stop"
    if mwh < 1000 * (LEAST_SUDDEN_APART_WH if series.apart and at_stop else LEAST_SUDDEN_WH):
        return False
    if 0 < fastest < len(steps) - 1 and span > sum((each[3] for each in steps), -span):
        return False
    rest = max(rate for position, rate in enumerate(watts) if position != fastest)
    if watts[fastest] <= max(LEAST_SUDDEN_W, SUDDEN * rest):
        return False
    segment = segments[number]
    segments[number : number + 1] = [segment[:index], segment[index:]]
    breaks.insert(number, Doubt.JUMP)
    return True


def _left_out(metering: Metering, chain: _Chain, counted: Sequence[Sequence[_Register]]) -> set[Doubt]:
    """Whether start or stop has a register that no counted segment holds."""
    held = {each.edge for segment in counted for each in segment}
    known = {each.edge for segment in chain.segments for each in segment}
    doubts = set[Doubt]()
    if "start" in known - held and chain.breaks:
        doubts.add(Doubt.START_LEFT_OUT)
    if "stop" in known - held and chain.breaks:
        doubts.add(Doubt.STOP_LEFT_OUT)
    return doubts


def _basis(counted: Sequence[Sequence[_Register]], series: _Series) -> Basis:
    if len(counted) > 1:
        return Basis.SEGMENTS
    (segment,) = counted
    edges = segment[0].edge == "start" and segment[-1].edge == "stop"
    return Basis.STOP_MINUS_START if edges and not segment[0].assumed else Basis.REGISTER_DELTAS


# --- the curve ------------------------------------------------------------------------------------------------


def _points(chain: _Chain, begin: datetime, end: datetime | None, metering: Metering) -> Iterator[Point]:
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


def _within(segment: Sequence[_Register], mwh: int) -> int:
    """A reading no higher than the stop that ends its segment, which is the better one, and no lower than its first."""
    if segment[-1].edge == "stop":
        mwh = min(mwh, segment[-1].mwh)
    return max(mwh, segment[0].mwh)


def _quality_of_gap(why: Doubt | None) -> Quality:
    return Quality.MISSING if why is None or why is Doubt.METER_CHANGED else Quality.CONTRADICTED


def _quality_of_step(before: _Register, after: _Register, away: Sequence[datetime]) -> Quality:
    if bisect_left(away, before.at) < bisect_right(away, after.at):
        return Quality.CONTRADICTED
    if before.assumed or not before.timed or not after.timed:
        return Quality.ESTIMATED
    return Quality.MEASURED


# --- power ----------------------------------------------------------------------------------------------------


def _by_power(
    metering: Metering, begin: datetime, end: datetime | None, doubts: set[Doubt], told: int | None
) -> SessionEnergy:
    """Power over time, where there are no two registers to tell; else nothing is known."""
    points = [Point(begin, 0)]
    for before, after in pairwise(_power_values(metering.powers, begin, end)):
        span = after[0] - before[0]
        if points[-1].at < before[0]:
            points.append(Point(before[0], points[-1].mwh, Quality.MISSING))
        if span <= MAX_POWER_GAP:
            points.append(Point(after[0], points[-1].mwh + _trapezoid(before, after), Quality.ESTIMATED))
    known = any(each.quality is Quality.ESTIMATED for each in points)
    if end is not None and points[-1].at < end:
        points.append(Point(end, points[-1].mwh, Quality.MISSING))
    basis = Basis.POWER if known else Basis.UNKNOWN
    return SessionEnergy(points[-1].mwh if known else None, basis, tuple(points), _sorted(doubts), told)


def _power_values(powers: Iterable[PowerSample], begin: datetime, end: datetime | None) -> list[tuple[datetime, int]]:
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


def _power_disagrees(metering: Metering, begin: datetime, end: datetime, total: int) -> bool:
    """Whether the register and the power over time can't be of one meter (E10)."""
    values = _power_values(metering.powers, begin, end)
    steps = [each for each in pairwise(values) if each[1][0] - each[0][0] <= MAX_POWER_GAP]
    covered = sum((after[0] - before[0] for before, after in steps), timedelta())
    if not steps or covered < COMPARED_SHARE * (end - begin):
        return False
    flowed = sum(_trapezoid(*each) for each in steps)
    return max(total, flowed) >= LEAST_COMPARED_MWH and not flowed <= DISAGREES * total <= DISAGREES**2 * flowed
