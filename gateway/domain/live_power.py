"""The power at a message's newest moment, for every message: quickly where it is sent as one value, which is usual.

The rules are those of ``gateway.domain.readings.powers``, which is asked about all other shapes; a test holds the two
together.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from gateway.domain.dialects import samples_of
from gateway.domain.readings import ELECTRICAL, MAX_MAGNITUDE, NUMBER, POWER_IMPORT, Power, live_power_w
from gateway.domain.registers import MAX_SAMPLES
from gateway.domain.values import JSON

MAX_ELEMENTS: Final = 16
"""Elements of one moment that are looked at: some chargers put each sample into one of its own."""

MAX_DIGITS: Final = 40
"""Characters of a value that is read quickly."""

_FACTORS: Final = {"W": 1.0, "kW": 1000.0}

_CONTEXTS: Final = frozenset({"Sample.Periodic", "Sample.Clock", "Trigger"})

_MOST: Final = float(MAX_MAGNITUDE)


def newest_power(meter_value: Sequence[JSON], raw: str | None, at: datetime, dialect: str) -> Power | None:
    """The power at the moment that a message calls ``raw`` and that is ``at``; None: it has none, or none is readable.

    ``raw`` None: no element names a time. Never raises.
    """
    elements: list[JSON] = []
    total: Power | None = None
    plain, electrical = True, False
    for element in meter_value:
        if element.__class__ is not dict:
            continue
        named = element.get("timestamp")
        if (named if named.__class__ is str else None) != raw:
            continue
        if len(elements) == MAX_ELEMENTS:
            break
        elements.append(element)
        sampled = element.get("sampledValue")
        if sampled.__class__ is not list:
            plain, electrical = False, True
            continue
        for sent in sampled[:MAX_SAMPLES]:
            if sent.__class__ is not dict or "measurand" not in sent:
                continue
            measurand = sent["measurand"]
            if measurand.__class__ is not str:
                continue
            if measurand not in ELECTRICAL:
                if measurand.strip() in ELECTRICAL:
                    plain, electrical = False, True
                continue
            electrical = True
            if measurand != POWER_IMPORT:
                continue
            value, unit, context = sent.get("value"), sent.get("unit", "W"), sent.get("context", "Sample.Periodic")
            if (
                total is not None
                or value.__class__ is not str
                or len(value) > MAX_DIGITS
                or NUMBER.fullmatch(value) is None
                or unit.__class__ is not str
                or unit not in _FACTORS
                or context.__class__ is not str
                or context not in _CONTEXTS
                or "phase" in sent
                or sent.get("location", "Outlet") != "Outlet"
                or sent.get("format", "Raw") != "Raw"
            ):
                plain = False
                continue
            watts = float(value) * _FACTORS[unit]
            if -_MOST <= watts <= _MOST:
                total = Power(watts, at, context=context)
            else:
                plain = False
    if plain and total is not None:
        return total
    return live_power_w(samples_of(dialect, [_untimed(each) for each in elements], at)) if electrical else None


def _untimed(element: JSON) -> JSON:
    """An element with no more samples than are looked at, of one moment with all others."""
    sampled = element.get("sampledValue")
    return {"sampledValue": sampled[:MAX_SAMPLES] if sampled.__class__ is list else sampled}
