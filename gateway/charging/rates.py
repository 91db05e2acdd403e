"""Charging rates between A per phase and W over all phases, never upwards.

A limit is a promise to a fuse or to a bill: where a conversion needs a number of phases that is not known, the one is
taken that yields the lower rate, and what does not fit the wire's resolution is rounded down.
"""

from collections.abc import Iterator
from decimal import ROUND_DOWN, Decimal
from typing import Final

from gateway.domain.charging import ChargingRateUnit
from gateway.domain.commands import FieldViolation
from gateway.domain.steering import RateLimit

TENTH: Final = Decimal("0.1")
"""The resolution of a limit on the wire (S §7.14)."""

VOLTAGE: Final = Decimal(230)
"""V from a phase to neutral (IEC 60038), where none was measured."""

MINIMUM_AMPERES: Final = Decimal(6)
"""A per phase: below it no vehicle may be offered anything (IEC 61851-1, table A.8), and chargers differ in what they
make of such a limit: some pause, some give 6 A."""

MAX_RATE: Final = Decimal(10_000_000)
"""No charge point's, in W or A."""

PHASES: Final = range(1, 4)


def converted(
    limit: RateLimit, unit: ChargingRateUnit, phases: int | None = None, voltage: Decimal = VOLTAGE
) -> Decimal:
    """The limit in a unit, rounded down to one decimal, never more than was asked for.

    The number of phases is the limit's own; where it names none, ``phases``, as measured; where that is None, three
    from W to A and one from A to W. ``voltage`` in V, from phase to neutral.
    """
    used = limit.phases or phases
    value = limit.value
    if limit.unit is not unit:
        if unit is ChargingRateUnit.AMPERE:
            value = value / (voltage * (used or PHASES[-1]))
        else:
            value = value * voltage * (used or PHASES[0])
    return value.quantize(TENTH, ROUND_DOWN)


def below_minimum(
    value: Decimal, unit: ChargingRateUnit, phases: int | None, minimum: Decimal = MINIMUM_AMPERES
) -> bool:
    """Return whether a rate is above 0 and yet less than a vehicle may be offered. W without a number of phases are
    taken to be one phase's: only what is too little for any vehicle is too little."""
    if unit is ChargingRateUnit.WATT:
        minimum = minimum * VOLTAGE * (phases or PHASES[0])
    return 0 < value < minimum


def too_low(limit: RateLimit, minimum: Decimal = MINIMUM_AMPERES, phases: int | None = None) -> bool:
    """Return whether a limit is above 0 and below ``minimum``, in A per phase. ``phases``: those by which one that
    names none would be put in A; None: it need not be."""
    return below_minimum(limit.value, limit.unit, limit.phases or phases, minimum)


def problems(limit: RateLimit, field: str) -> Iterator[FieldViolation]:
    """Everything that is wrong with a limit, whatever the charge point. ``field``: the path to it."""
    value = limit.value
    if not value.is_finite() or not 0 <= value <= MAX_RATE:
        yield FieldViolation(f"{field}.value", f"must be from 0 to {MAX_RATE}")
    elif value != value.quantize(TENTH, ROUND_DOWN):
        yield FieldViolation(f"{field}.value", "has more than one decimal (S §7.14)")
    elif 0 < value < TENTH:
        yield FieldViolation(f"{field}.value", "is above 0 and would be sent as 0")
    if limit.phases is not None and limit.phases not in PHASES:
        yield FieldViolation(f"{field}.phases", "must be from 1 to 3")
