"""A session's register readings in order, split into segments of one counter each.

What can't be of one counter: a fall (a reset, a swap, a stop that did not move), a rise beyond what a charge point
gives, or one that is many times faster than the rest of the session.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from attrs import evolve, field, frozen

from gateway.domain.metering import Metering
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
from gateway.energy.quality import Doubt

HOUR: Final = timedelta(hours=1)
JITTER_MWH: Final = JITTER * 1000
TOLERANCE_MWH: Final = int(TOLERANCE_WH * 1000)
WHOLE_KWH_MWH: Final = int(WHOLE_KWH * 1000)

MAX_OUTLIERS: Final = 2
"""Readings in a row that may be left out, where the register comes back to its line behind them. More of them are a
series of their own, such as a register that began anew."""

MAX_SUDDEN: Final = 4
"""Segments that are ended because one step was many times faster than the rest: each search goes through all steps."""

_PLACES: Final = {"Outlet": 0, "Inlet": 1, "Cable": 2, "Body": 3, "EV": 4}
"""Preference among places with equally many samples (E21)."""


@frozen
class Register:
    """A reading in the series that energy is taken from. ``edge``: "start", "stop", or empty for a sample."""

    at: datetime
    mwh: int
    edge: str = ""
    timed: bool = True
    assumed: bool = False
    """Whether the value is an assumption."""


@frozen
class Series:
    """The readings of a session in order, by time, with what is odd about them."""

    readings: tuple[Register, ...]
    coarse_mwh: int = 0
    doubts: frozenset[Doubt] = frozenset()
    apart: bool = False
    """Whether the samples are of another register than the stop."""


@frozen
class Chain:
    """Readings split into segments of one counter each. ``breaks``: why each of them but the first begins anew.
    ``outliers``: readings that were left out."""

    segments: tuple[tuple[Register, ...], ...]
    breaks: tuple[Doubt, ...]
    outliers: tuple[Register, ...] = field(factory=tuple)


# --- which readings -------------------------------------------------------------------------------------------


def series_of(metering: Metering, begin: datetime, end: datetime | None) -> Series:
    """The session's readings in the order of time: its start, its samples, its stop."""
    samples, doubts = _samples(metering, begin, end)
    start, stop = metering.start, metering.stop
    first = None if start.mwh is None else Register(begin, start.mwh, "start", start.timed)
    last = None
    if stop is not None and stop.mwh is not None and end is not None:
        last = Register(end, stop.mwh, "stop", stop.timed)
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
    return Series(readings, coarse, doubts, apart)


def _assumed_zero(first: Register, others: Sequence[Register]) -> Register | None:
    """A start at 0, for a register that counts the session alone or has begun anew; None where so much can't have come
    in that time, beside what came afterwards: then its value at the start is not known."""
    rest = max((_watts(before, after) for before, after in pairwise(others)), default=0.0)
    zero = evolve(first, mwh=0, assumed=True)
    return zero if _watts(zero, others[0]) <= max(LEAST_SUDDEN_W, 2 * rest) else None


def _watts(before: Register, after: Register) -> float:
    return (after.mwh - before.mwh) / 1000 / ((after.at - before.at + SLACK) / HOUR)


def _samples(metering: Metering, begin: datetime, end: datetime | None) -> tuple[list[Register], frozenset[Doubt]]:
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
    return [Register(at, mwh, timed=bool(timed)) for at, mwh in found], doubts


def _coarse(first: Register | None, last: Register | None, samples: Sequence[Register]) -> int:
    """The difference allowed between start, stop and samples because one of them counts in whole kWh; else 0."""
    edges = [each for each in (first, last) if each is not None]
    whole = (len(edges) == 2 and all(each.mwh % WHOLE_KWH_MWH == 0 for each in edges)) or (
        bool(samples) and all(each.mwh % WHOLE_KWH_MWH == 0 for each in samples)
    )
    return WHOLE_KWH_MWH if whole else 0


# --- segments -------------------------------------------------------------------------------------------------


def split(series: Series, meter_changes: Sequence[datetime]) -> Chain:
    """The readings as segments of one counter each."""
    changes = sorted(meter_changes)
    segments: list[list[Register]] = []
    breaks: list[Doubt] = []
    outliers: list[Register] = []
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
    return Chain(tuple(tuple(each) for each in segments), tuple(breaks), tuple(outliers))


def _misfit(before: Register, after: Register, series: Series, segment: Sequence[Register]) -> Doubt | None:
    """Name the reason why one register can't have read both, in this order; None: it can."""
    if after.mwh < before.mwh - _fall_allowed(before, after, series, segment):
        return Doubt.RESET
    return Doubt.JUMP if after.mwh - before.mwh > _most_mwh(after.at - before.at) else None


def _fall_allowed(before: Register, after: Register, series: Series, segment: Sequence[Register]) -> int:
    """The fall that is no contradiction: rounding between samples, and more towards the readings of start and
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
    """The most energy that a charge point gives in a time."""
    return int(MAX_POWER * 1000 * ((span + SLACK) / HOUR))


def _away(before: Register, readings: Sequence[Register], index: int) -> int:
    """Count the outliers from ``index`` on: they leave the register's line, and the next one is back on it.
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


def _split_at_sudden(segments: list[list[Register]], breaks: list[Doubt], series: Series) -> bool:
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
