"""The power at a message's newest moment, for every message: quickly where it is sent as one value, which is usual.

The rules are those of ``gateway.domain.power.powers``, which is asked about all other shapes; a test holds the two
together.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, TypeAlias

from gateway.domain.dialects import samples_of
from gateway.domain.measurements import HOUR, LEAST_SLOPE, MAX_SLOPE
from gateway.domain.power import LivePower, Power, PowerSource, powers
from gateway.domain.readings import MAX_MAGNITUDE, POWER_IMPORT, Sample
from gateway.domain.registers import MAX_SAMPLES
from gateway.domain.values import JSON

MAX_ELEMENTS: Final = 16
"""Elements of one moment that are looked at: some chargers put each sample into one of its own."""

Register: TypeAlias = tuple[float, datetime]
"""Wh, and their time."""

STEPS: Final = (100.0, 10.0, 1.0)
"""Wh: steps in which registers count. One whose values are whole hundreds may count in hundreds."""

COARSE: Final = 300.0
"""W: a step of a register in so short a time that it makes more than that shows nothing."""

_MEASURED: Final = PowerSource.MEASURED

_UNITS: Final = ("W", "kW")

_CONTEXTS: Final = ("Sample.Periodic", "Sample.Clock", "Trigger")

_MOST: Final = float(MAX_MAGNITUDE)


def plain_power(electrical: Sequence[JSON], at: datetime) -> LivePower | None:
    """The power at ``at``, if it is one value among the samples of one moment; None: ask ``newest_power``. For every
    message, so it calls next to nothing."""
    found: JSON = None
    for sent in electrical:
        if sent["measurand"] == POWER_IMPORT:
            if found is not None:
                return None
            found = sent
        elif " " in sent["measurand"]:
            return None
    if found is None or "phase" in found or "value" not in found:
        return None
    value, context = found["value"], found["context"] if "context" in found else "Sample.Periodic"  # noqa: SIM401
    unit = found["unit"] if "unit" in found else "W"  # noqa: SIM401 - no call, here and above
    if (
        unit not in _UNITS
        or context not in _CONTEXTS
        or ("location" in found and found["location"] != "Outlet")
        or ("format" in found and found["format"] != "Raw")
        or value.__class__ is not str
        or "_" in value  # which float takes
        or not value.isascii()
    ):
        return None
    try:
        watts = float(value if unit == "W" else value + "e3")  # times 1000 would round twice: .1101 kW are 110.1 W
    except ValueError:
        return None
    return (watts, at, False, _MEASURED) if -_MOST <= watts <= _MOST else None


def newest_power(meter_value: Sequence[JSON], raw: str | None, at: datetime, dialect: str) -> LivePower | None:
    """The power at the moment that a message calls ``raw`` and that is ``at``; None: it has none, or none is readable.

    ``raw`` None: no element names a time. Never raises.
    """
    elements = [_untimed(each) for each in meter_value if _is_of(each, raw)]
    found = live_power_w(samples_of(dialect, elements[:MAX_ELEMENTS], at))
    return None if found is None else (found.watts, found.at, found.estimated, found.source)


def slope_power(before: Register, after: Register) -> LivePower | None:
    """The mean power between two states of one register, at the time of the later one. None: they are too near or too
    far apart, or it has fallen (E16); or it counts in steps that are too coarse for so short a time."""
    span = after[1] - before[1]
    if not LEAST_SLOPE <= span <= MAX_SLOPE or after[0] < before[0]:
        return None
    hours = span / HOUR
    step = next(step for step in STEPS if (after[0] % step == 0 and before[0] % step == 0) or step == STEPS[-1])
    if step / hours > COARSE:
        return None
    return (after[0] - before[0]) / hours, after[1], True, PowerSource.REGISTER_SLOPE


def live_power_w(found: Iterable[Sample]) -> Power | None:
    """The power at the newest moment that has one; None if it is not known."""
    return next(reversed(powers(found)), None)


def _is_of(element: JSON, raw: str | None) -> bool:
    """Return whether an element is of the moment that is called ``raw``."""
    if element.__class__ is not dict:
        return False
    named = element.get("timestamp")
    return bool(named == raw or (raw is None and named.__class__ is not str))


def _untimed(element: JSON) -> JSON:
    """An element with no more samples than are looked at, of one moment with all others."""
    sampled = element.get("sampledValue")
    return {"sampledValue": sampled[:MAX_SAMPLES] if sampled.__class__ is list else sampled}
