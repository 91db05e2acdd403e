"""The cost of a session: its energy, divided at the borders of prices, times these prices, exactly; rounded once.

The energy of each price is whole milliwatt-hours, and they sum to the session's total (``intervals``). An amount is
those milliwatt-hours times the price of a kilowatt-hour, divided by a million: a decimal that ends, and is never
rounded. To the sum of all amounts the standing charge is added; then minimum and maximum are applied; then the total
is rounded to the currency's decimals. So the same readings and prices give the same total, to the last digit.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation
from typing import Final

from attrs import frozen

from gateway.energy.intervals import MICROSECOND, Interval, pieces
from gateway.energy.prices import PricedTime, PriceSchedule, Rounding, Tier, priced_times, problems, uncovered
from gateway.energy.quality import Quality
from gateway.energy.session import SessionEnergy

EXACT: Final = Context(prec=80, traps=[Inexact, InvalidOperation])
"""An energy of 19 digits times a price of 18, some thousand of them, fits without rounding; if it did not, that would
be an error and not another total."""

MWH_PER_KWH: Final = Decimal(1_000_000)

_MODES: Final = {
    Rounding.HALF_UP: ROUND_HALF_UP,
    Rounding.HALF_EVEN: ROUND_HALF_EVEN,
    Rounding.DOWN: ROUND_DOWN,
}


@frozen
class CostLine:
    """Energy at one price. ``tier``: the index of the tier that adds to the price, None for none. ``amount``: exact."""

    start: datetime
    end: datetime
    mwh: int
    per_kwh: Decimal
    """With what the tier adds."""
    amount: Decimal
    quality: Quality
    tier: int | None = None


@frozen
class Cost:
    """The cost of a session. ``total`` has the schedule's decimals; everything else is exact:
    energy_amount + standing_charge + limit_adjustment + rounding_adjustment = total."""

    currency: str
    lines: tuple[CostLine, ...]
    mwh: int
    energy_amount: Decimal
    standing_charge: Decimal
    limit_adjustment: Decimal
    """What the schedule's minimum adds, or its maximum takes off."""
    rounding_adjustment: Decimal
    total: Decimal


def compute_cost(energy: SessionEnergy, schedule: PriceSchedule) -> Cost:
    """The cost of a session whose energy is known. Raises ValueError where it isn't, and for a schedule that has
    problems or does not cover the session: callers ask for these first."""
    start, end = energy.points[0].at, energy.points[-1].at
    if energy.total_mwh is None:
        raise ValueError("the energy is not known")
    if wrong := [*problems(schedule), *uncovered(schedule, start, end)]:
        raise ValueError("; ".join(f"{each.field}: {each.reason}" for each in wrong))
    until = max(end, start + MICROSECOND)  # a session of one moment has a price, too
    times = priced_times(schedule, start, until)
    edges = [times[0].start, *(each.end for each in times)]
    lines = tuple(_lines(pieces(energy.points, edges), times, schedule.tiers, end))
    amount = _sum(line.amount for line in lines)
    exact = EXACT.add(amount, schedule.standing_charge)
    limited = exact if schedule.maximum is None else min(exact, schedule.maximum)
    limited = limited if schedule.minimum is None else max(limited, schedule.minimum)
    rounded = limited.quantize(Decimal(1).scaleb(-schedule.decimals), _MODES[schedule.rounding], Context(prec=80))
    total = EXACT.add(rounded, Decimal(0))  # never -0.00
    return Cost(
        schedule.currency,
        lines,
        energy.total_mwh,
        amount,
        schedule.standing_charge,
        EXACT.subtract(limited, exact),
        EXACT.subtract(total, limited),
        total,
    )


def _lines(
    found: Sequence[Interval], times: Sequence[PricedTime], tiers: Sequence[Tier], end: datetime
) -> Iterator[CostLine]:
    """A line for each price and tier, in order."""
    before = 0
    for piece, time in zip(found, times, strict=True):
        for tier, mwh in _by_tier(before, piece.mwh, tiers):
            price = time.per_kwh if tier is None else EXACT.add(time.per_kwh, tiers[tier].additional_per_kwh)
            amount = EXACT.divide(EXACT.multiply(Decimal(mwh), price), MWH_PER_KWH)
            yield CostLine(piece.start, min(piece.end, end), mwh, price, amount, piece.quality, tier)
        before += piece.mwh


def _by_tier(before: int, mwh: int, tiers: Sequence[Tier]) -> Iterator[tuple[int | None, int]]:
    """(tier, energy) of what comes after ``before``; at least one, also of no energy."""
    begins = [0, *(tier.from_mwh for tier in tiers)]
    reached = max(number for number, begin in enumerate(begins) if begin <= before)
    while True:
        is_last = reached + 1 == len(begins)
        taken = mwh if is_last else min(mwh, begins[reached + 1] - before)
        yield (reached - 1 if reached else None), taken
        before, mwh, reached = before + taken, mwh - taken, reached + 1
        if not mwh:
            return


def _sum(amounts: Iterator[Decimal], /) -> Decimal:
    total = Decimal(0)
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total
