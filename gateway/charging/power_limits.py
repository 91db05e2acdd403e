"""Wanted limits as powers over time, for what predicts when charging will be done."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal

from attrs import frozen

from gateway.charging import rates
from gateway.charging.plans import changes
from gateway.domain.charging import ChargingRateUnit
from gateway.domain.steering import RateLimit, Wanted


@frozen
class PowerLimit:
    """The most power, in W over all phases, from ``start`` until ``end``; 0 is a pause."""

    start: datetime
    end: datetime
    watts: float


def power_limits(
    wanted: Iterable[Wanted], start: datetime, end: datetime, phases: int | None = None
) -> Iterator[PowerLimit]:
    """The limits that are wanted from ``start`` until ``end``, those of each connector in order. Where nothing is
    wanted there is none. ``phases``: on which the vehicle charges, as measured, None if unknown."""
    for each in wanted:
        held = changes(each, start, end)
        ends = [*(at for at, _ in held[1:]), end]
        for (at, limit), until in zip(held, ends, strict=True):
            if limit is not None:
                yield PowerLimit(at, until, float(most_watts(limit, phases)))


def most_watts(limit: RateLimit, phases: int | None = None) -> Decimal:
    """The most power that a limit allows, in W: where it names no number of phases, over those on which the vehicle
    charges, or over three."""
    if limit.unit is ChargingRateUnit.WATT:
        return limit.value
    return limit.value * rates.VOLTAGE * (limit.phases or phases or rates.PHASES[-1])
