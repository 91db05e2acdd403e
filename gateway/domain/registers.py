"""Energy registers over time: whether one runs backwards, and whether a session's registers agree with its samples.

Nothing here corrects a value: what contradicts itself is flagged, so that it is not billed unseen (OCPP.md E10, E12 to
E16, B5.8).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

from attrs import frozen

from gateway.domain.readings import ENERGY_IMPORT_REGISTER, register_wh, samples
from gateway.domain.values import JSON

MAX_POWER: Final = 500_000
"""W: no charge point gives more. What exceeds it over a time is no energy of that time, but, say, a lifetime register
on top of a start of 0 (OCPP.md E15b)."""

SLACK: Final = timedelta(minutes=1)
"""Times have a resolution of seconds and taken at either side of the register's reading."""

JITTER: Final = 1
"""Wh by which a register may be lower than before: chargers round."""

TOLERANCE_WH: Final = Decimal(100)
TOLERANCE_SHARE: Final = Decimal("0.01")
"""By how much, the larger of both, a stop's register may be below the last sample's: the two come from different
readings, and some chargers round to kWh tenths."""

SUDDEN: Final = 10
"""A start of 0 after which energy came so many times faster than between the samples was no start of this register."""

LEAST_SUDDEN_W: Final = 22_000
"""Below this, faster than between the samples is no sign of anything: a car slows down by itself."""

_REGISTER: Final = (ENERGY_IMPORT_REGISTER, None, "")
"""What names the import register: it is the default (S §7.43)."""

_FACTORS: Final = {"Wh": 1.0, "kWh": 1000.0, None: 1.0, "": 1.0}

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


def thinned(meter_value: Sequence[JSON]) -> Sequence[JSON]:
    """Meter values with no more moments and samples than are looked at."""
    if len(meter_value) > MAX_MOMENTS:
        step = -(-len(meter_value) // MAX_MOMENTS)
        meter_value = [*meter_value[:-1:step], meter_value[-1]]
    return [_thinned(element) for element in meter_value]


def _thinned(element: JSON) -> JSON:
    sampled = element.get("sampledValue") if type(element) is dict else None
    if type(sampled) is not list or len(sampled) <= MAX_SAMPLES:
        return element
    return {"timestamp": element.get("timestamp"), "sampledValue": sampled[:MAX_SAMPLES]}


def register_readings(meter_value: Sequence[JSON], received_at: datetime) -> list[RegisterReading]:
    """The import register at each moment of a message's meter values, in the order of time, else as sent."""
    by_moment: dict[datetime | None, list[Any]] = {}
    for sample in samples(thinned(meter_value), received_at):
        by_moment.setdefault(sample.timestamp, []).append(sample)
    found = [RegisterReading(wh, at) for at, each in by_moment.items() if (wh := register_wh(each)) is not None]
    return sorted(found, key=lambda each: each.at or received_at)


def newest_registers(meter_value: Sequence[JSON]) -> tuple[tuple[str, float], ...]:
    """The highest total import register of a message for each location, in Wh: of several moments the newest one.

    For every message, so it calls next to nothing. Registers by phase, of a transaction's begin, signed ones and what
    can't be read are passed over.
    """
    if len(meter_value) > MAX_MOMENTS:
        meter_value = thinned(meter_value)
    highest: dict[str, float] = {}
    for element in meter_value:
        try:
            sampled: Any = element["sampledValue"]
        except (KeyError, TypeError, IndexError):
            continue
        if sampled.__class__ is not list:
            continue
        for sent in sampled[:MAX_SAMPLES]:
            if sent.__class__ is not dict or ("measurand" in sent and sent["measurand"] not in _REGISTER):
                continue
            if sent.get("phase") or ("context" in sent and sent["context"] == "Transaction.Begin"):
                continue
            if "format" in sent and sent["format"] == "SignedData":
                continue
            try:
                factor = _FACTORS[sent["unit"]] if "unit" in sent else 1.0
                wh = float(sent["value"]) * factor
            except (KeyError, TypeError, ValueError, OverflowError):
                continue
            place = sent["location"] if "location" in sent and sent["location"].__class__ is str else "Outlet"
            if -MOST_WH < wh < MOST_WH and (place not in highest or wh > highest[place]):
                highest[place] = wh
    return tuple(highest.items()) if highest else ()


def contradicts(
    start: int, started: datetime | None, stop: int, stopped: datetime | None, readings: Sequence[RegisterReading]
) -> bool:
    """Whether the registers at a session's start and stop (Wh) can't both be true beside its samples.

    ``readings`` in any order; the session's first and last ones do. Times are None where they are suspect: then only
    values are compared, in the order of receipt, and no rates.
    """
    inside = [each for each in readings if each.at is None or stopped is None or each.at <= stopped + SLACK]
    if all(each.at is not None for each in inside):
        inside.sort(key=_moment)  # a queue may bring older ones later
    if not inside:
        return False
    first, last = inside[0], inside[-1]
    if any(later.wh < earlier.wh - JITTER for earlier, later in pairwise(inside)):
        return True  # reset or swapped on the way (E16)
    base = Decimal(start)
    if first.wh < base and last.wh < base:
        base = Decimal(0)  # samples of the session alone, beside lifetime registers (E15)
    energy = Decimal(stop - start)
    sampled = last.wh - base
    if sampled > energy + max(TOLERANCE_WH, abs(sampled) * TOLERANCE_SHARE):
        return True  # the stop's register did not move with the samples
    if not _possible(energy - sampled, last.at, stopped):
        return True
    return not _possible(first.wh - base, started, first.at) or _sudden(first.wh - base, started, inside)


def _moment(reading: RegisterReading) -> datetime:
    assert reading.at is not None
    return reading.at


def _possible(wh: Decimal, begin: datetime | None, end: datetime | None) -> bool:
    """Whether a charge point can have given so much between two moments; if one is not known it can."""
    if begin is None or end is None:
        return True
    return wh <= MAX_POWER * _hours(end - begin)


def _sudden(wh: Decimal, started: datetime | None, readings: Sequence[RegisterReading]) -> bool:
    """Whether the energy before the first sample came many times faster than any after it (E15b)."""
    if started is None or len(readings) < 2:
        return False
    rates = [
        (later.wh - earlier.wh) / _hours(later.at - earlier.at)
        for earlier, later in pairwise(readings)
        if earlier.at is not None and later.at is not None
    ]
    first = readings[0].at
    if not rates or first is None:
        return False
    return wh / _hours(first - started) > max(Decimal(LEAST_SUDDEN_W), SUDDEN * max(rates))


def _hours(span: timedelta) -> Decimal:
    return Decimal((max(span, timedelta()) + SLACK) / timedelta(hours=1))
