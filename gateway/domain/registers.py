"""Energy registers over time: whether one runs backwards, and whether a session's registers agree with its samples.

Nothing here corrects a value: what contradicts itself is flagged, so that it is not billed unseen (E10, E12 to
E16, B5.8).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

from attrs import frozen

from gateway.domain.dialects import samples_of
from gateway.domain.events import FIRST_DIALECT
from gateway.domain.power import ELECTRICAL
from gateway.domain.readings import ENERGY_IMPORT_REGISTER, POWER_IMPORT, register_wh
from gateway.domain.times import read_time
from gateway.domain.values import JSON

MAX_POWER: Final = 500_000
"""W: no charge point gives more. What exceeds it over a time is no energy of that time, but, say, a lifetime register
on top of a start of 0 (E15b)."""

SLACK: Final = timedelta(minutes=1)
"""Times have a resolution of seconds and taken at either side of the register's reading."""

JITTER: Final = 1
"""Wh by which a register may be lower than before: chargers round."""

TOLERANCE_WH: Final = Decimal(100)
TOLERANCE_SHARE: Final = Decimal("0.01")
"""By how much, the larger of both, a stop's register may be below the last sample's: the two come from different
readings, and some chargers round to kWh tenths."""

WHOLE_KWH: Final = Decimal(1000)
"""Wh that a register loses, or gains, where it counts in whole kWh."""

SUDDEN: Final = 10
"""Energy that came so many times faster than in the rest of a session was there before, and is none of it."""

LEAST_SUDDEN_W: Final = 22_000
"""Below this, faster than in the rest is no sign of anything: a vehicle slows down unasked."""

LEAST_SUDDEN_WH: Final = 100_000
"""Nor is less than this: a car takes it from a fast charger between two samples, and waits or is full in the rest."""

LEAST_SUDDEN_APART_WH: Final = 25_000
"""The same at the stop where the samples count the session alone: two registers then disagree about one session."""

LEAST_JUMP_WH: Final = MAX_POWER / 60
"""What a charge point can have given at once, by ``SLACK``: less needs no look at the times."""

_REGISTER: Final = (ENERGY_IMPORT_REGISTER, None, "")
"""What names the import register: it is the default (S §7.43)."""

_ELECTRICAL: Final = tuple(ELECTRICAL)
"""To be compared with whatever stands in the place of a name."""

_EXPORT_REGISTER: Final = "Energy.Active.Export.Register"

_FACTORS: Final[dict[str | None, float]] = {
    **dict.fromkeys(("Wh", "wh", "WH", None, ""), 1.0),
    **dict.fromkeys(("kWh", "kwh", "KWh", "KWH", "Kwh"), 1000.0),
}

MOST_WH: Final = 1e15
"""Beyond it nothing was measured; NaN and infinity are beyond it, too."""


@frozen
class RegisterReading:
    """A sample of the import register. ``at`` is None where its time is missing or suspect."""

    wh: Decimal
    at: datetime | None


MAX_MOMENTS: Final = 128
"""Moments of one message that are looked at, evenly spread over all of them and the last one among them; 0.1 ms each.
An hour's samples every half a minute are all looked at; ten hours every ten seconds are a message of megabytes."""

MAX_SAMPLES: Final = 32
"""Samples of one moment that are looked at: three phases of everything."""


def thinned(meter_value: Sequence[JSON], moments: int = MAX_MOMENTS) -> Sequence[JSON]:
    """Meter values with no more moments and samples than are looked at."""
    if len(meter_value) > moments:
        step = -(-len(meter_value) // moments)
        meter_value = [*meter_value[:-1:step], meter_value[-1]]
    return [_thinned(element) for element in meter_value]


def _thinned(element: JSON) -> JSON:
    sampled = element.get("sampledValue") if type(element) is dict else None
    if type(sampled) is not list or len(sampled) <= MAX_SAMPLES:
        return element
    return {"timestamp": element.get("timestamp"), "sampledValue": sampled[:MAX_SAMPLES]}


def register_readings(
    meter_value: Sequence[JSON], received_at: datetime, dialect: str = FIRST_DIALECT
) -> list[RegisterReading]:
    """The import register at each moment of a message's meter values, in the order of time, else as sent."""
    by_moment: dict[datetime | None, list[Any]] = {}
    for sample in samples_of(dialect, thinned(meter_value), received_at):
        by_moment.setdefault(sample.timestamp, []).append(sample)
    found = [RegisterReading(wh, at) for at, each in by_moment.items() if (wh := register_wh(each)) is not None]
    return sorted(found, key=lambda each: each.at or received_at)


def newest_registers(
    meter_value: Sequence[JSON], now: datetime | None = None, electrical: list[JSON] | None = None
) -> tuple[tuple[tuple[str, float], ...], bool]:
    """The energy registers of a message's newest moment in Wh, and whether they contradict those of its older ones.

    Each by its place, that of a phase apart from the total; where a moment has several, the highest; exports by their
    magnitude, as some count them below 0. For every message, so it calls next to nothing. Registers of a transaction's
    begin, signed ones and what can't be read are passed over. ``now`` as for ``read_time``.

    ``electrical`` is given the samples that are of power, or another one from which power may be worked out, if the
    message has one element only.
    """
    if len(meter_value) == 1:
        return tuple(_highest({}, meter_value[0], electrical).items()), False
    if len(meter_value) > MAX_MOMENTS:
        meter_value = thinned(meter_value)
    moments: dict[datetime | None, dict[str, float]] = {}
    for element in meter_value:
        raw = element.get("timestamp") if type(element) is dict else None
        at = read_time(raw, now).trusted if type(raw) is str else None
        _highest(moments.setdefault(at, {}), element)
    undated = moments.pop(None, {})  # of no moment: before or after the others, as it may be
    newest: dict[str, tuple[float, datetime]] = {}
    contradict = False
    for at in sorted(each for each in moments if each is not None):
        for place, wh in moments[at].items():
            if place in newest:
                contradict = contradict or not follows(wh, at, *newest[place])
            newest[place] = (wh, at)
    found = {place: wh for place, (wh, _) in newest.items()}
    for place, wh in undated.items():
        found[place] = max(wh, found.get(place, wh))
    return tuple(found.items()), contradict


def _highest(highest: dict[str, float], element: JSON, electrical: list[JSON] | None = None) -> dict[str, float]:
    """Add the registers of one element of meter values to those of its moment."""
    try:
        sampled: Any = element["sampledValue"]
    except (KeyError, TypeError, IndexError):
        return highest
    if sampled.__class__ is not list:
        sampled = [sampled]  # as ``samples`` takes it
    for sent in sampled[:MAX_SAMPLES]:
        if sent.__class__ is not dict:
            continue
        export = False
        if "measurand" in sent and sent["measurand"] not in _REGISTER:
            measurand = sent["measurand"]
            if measurand != _EXPORT_REGISTER:
                if electrical is not None and (
                    measurand == POWER_IMPORT
                    or (not electrical and measurand in _ELECTRICAL)
                    or (measurand.__class__ is str and " " in measurand)
                ):
                    electrical.append(sent)
                continue
            export = True
        if "context" in sent and sent["context"] == "Transaction.Begin":
            continue
        if "format" in sent and sent["format"] == "SignedData":
            continue
        try:
            factor = _FACTORS[sent["unit"]] if "unit" in sent else 1.0
            wh = float(sent["value"]) * factor
        except (KeyError, TypeError, ValueError, OverflowError):
            continue
        place = sent["location"] if "location" in sent and sent["location"].__class__ is str else "Outlet"
        if "phase" in sent and sent["phase"] and sent["phase"].__class__ is str:
            place = f"{place} {sent['phase']}"
        if export:
            place, wh = f"{place} export", abs(wh)
        if -MOST_WH < wh < MOST_WH and (place not in highest or wh > highest[place]):
            highest[place] = wh
    return highest


def follows(wh: float, at: datetime | None, before: float, then: datetime | None) -> bool:
    """Return whether a register can read ``wh`` after it read ``before``: not lower, nor higher than a charge point
    gives."""
    if wh < before - JITTER:
        return False
    return wh - before <= LEAST_JUMP_WH or _possible(Decimal(wh - before), then, at)


def begins_anew(start: int, before: int) -> bool:
    """Return whether a transaction's start contradicts its connector's register before (Wh; E12, E18). A register of
    the session begins at 0 with each, and one in whole kWh loses what is less than one."""
    slack = WHOLE_KWH - 1 if start % WHOLE_KWH == 0 else TOLERANCE_WH
    return TOLERANCE_WH < start < before - slack


def contradicts(
    start: int, started: datetime | None, stop: int, stopped: datetime | None, readings: Sequence[RegisterReading]
) -> bool:
    """Return whether the registers at a session's start and stop (Wh) can't both be true beside its samples.

    ``readings`` in any order; the session's first and last ones do. Times are None where they are suspect: then only
    values are compared, in the order of receipt, and no rates.
    """
    inside = [each for each in readings if each.at is None or stopped is None or each.at <= stopped + SLACK]
    if all(each.at is not None for each in inside):
        inside.sort(key=_moment)  # a queue may bring older ones later
    if not inside:
        return False
    if any(later.wh < earlier.wh - JITTER for earlier, later in pairwise(inside)):
        return True  # reset or swapped on the way (E16)
    base, coarse = Decimal(start), _in_whole_kwh(start, stop, inside)
    apart = inside[-1].wh < base - max(
        TOLERANCE_WH, coarse
    )  # samples of the session alone, beside lifetime registers (E15)
    if apart:
        base = Decimal(0)
    energy, sampled = Decimal(stop - start), inside[-1].wh - base
    if sampled > energy + max(TOLERANCE_WH, coarse, abs(sampled) * TOLERANCE_SHARE):
        return True  # the stop's register did not move with the samples
    reported = [RegisterReading(base, started), *inside, RegisterReading(base + energy, stopped)]
    if any(not _possible(later.wh - earlier.wh, earlier.at, later.at) for earlier, later in pairwise(reported)):
        return True  # more than a charge point gives in that time (E15b)
    return _sudden(reported, apart)


def _in_whole_kwh(start: int, stop: int, readings: Sequence[RegisterReading]) -> Decimal:
    """By how much registers at either end and samples may differ because one of them counts in whole kWh; else 0."""
    whole = all(each.wh % WHOLE_KWH == 0 for each in readings) or (start % WHOLE_KWH == 0 == stop % WHOLE_KWH)
    return WHOLE_KWH if whole else Decimal(0)


def _moment(reading: RegisterReading) -> tuple[datetime, Decimal]:
    """Place in the order of time; of two readings at one moment, as of a second in which both lie, the lower first."""
    assert reading.at is not None
    return reading.at, reading.wh


def _possible(wh: Decimal, begin: datetime | None, end: datetime | None) -> bool:
    """Return whether a charge point can have given so much between two moments; if one is not known it can."""
    if begin is None or end is None:
        return True
    return wh <= MAX_POWER * _hours(end - begin)


def _sudden(reported: Sequence[RegisterReading], apart: bool) -> bool:
    """Return whether one step of a session's registers, from its start to its stop, brought much, many times faster
    than any other (E15b). ``apart``: the one at the stop is of another register than the samples.

    A step on the way that takes longer than all others together is no ground: of a long session only the samples at
    either end are looked at.
    """
    steps = [
        (later.wh - earlier.wh, _hours(later.at - earlier.at))
        for earlier, later in pairwise(reported)
        if earlier.at is not None and later.at is not None
    ]
    if len(steps) < 2:
        return False
    rates = [wh / hours for wh, hours in steps]
    fastest = max(range(len(steps)), key=rates.__getitem__)
    wh, hours = steps[fastest]
    at_stop = fastest == len(steps) - 1
    if wh < (LEAST_SUDDEN_APART_WH if apart and at_stop else LEAST_SUDDEN_WH):
        return False
    if fastest > 0 and not at_stop and hours > sum((each for _, each in steps), -hours):
        return False
    rest = max(rate for index, rate in enumerate(rates) if index != fastest)
    return rates[fastest] > max(Decimal(LEAST_SUDDEN_W), SUDDEN * rest)


def _hours(span: timedelta) -> Decimal:
    return Decimal((max(span, timedelta()) + SLACK) / timedelta(hours=1))
