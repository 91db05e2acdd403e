"""Price schedules: the price of a kilowatt-hour at each moment, and other charges.

Prices are either absolute periods, as a market publishes them, or daily ones by the wall's clock of a zone (time of
use). Tiers add to the price of each kilowatt-hour beyond an amount of energy. All amounts are decimals.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Final

from attrs import frozen

from gateway.energy.calendar import DAY_SECONDS, spans

MAX_PERIODS: Final = 3_000
"""A month of quarter-hours."""

MAX_DAILY_PRICES: Final = 400
"""A week of half-hours, each priced apart."""

MAX_TIERS: Final = 20
"""Of a tariff for one charge; the ones in use have two or three."""

MAX_AMOUNT: Final = Decimal(10) ** 9
"""Amounts and prices are below it, of either sign: currencies whose units are small included."""

MAX_PLACES: Final = 9
"""Decimals of an amount or a price: prices of markets are per megawatt-hour with two or three."""

MAX_DECIMALS: Final = 6
"""Decimals of a total: no currency has more than four."""

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_EPOCH_WEEKDAY: Final = WEEKDAYS.index("Thursday")
"""1970-01-01, from which local days are counted."""


class Rounding(StrEnum):
    """A way to round a total, once, at the end."""

    HALF_UP = "half-up"
    """To the nearest; halves away from zero."""
    HALF_EVEN = "half-even"
    """To the nearest; halves to an even last digit."""
    DOWN = "down"
    """Towards zero."""


@frozen
class PricePeriod:
    """From ``start`` up to ``end``, aware, a kilowatt-hour costs so much."""

    start: datetime
    end: datetime
    per_kwh: Decimal


@frozen
class DailyPrice:
    """From ``start`` up to ``end``, seconds of the wall's clock since midnight (at most 86,400), a kilowatt-hour costs
    so much on these days of the week (0 is Monday)."""

    start: int
    end: int
    per_kwh: Decimal
    weekdays: frozenset[int] = frozenset(range(7))


@frozen
class Tier:
    """Additional price of each kilowatt-hour beyond ``from_mwh`` of a session; a discount, if it is negative."""

    from_mwh: int
    additional_per_kwh: Decimal


@frozen
class PriceSchedule:
    """All that a session is charged. Either ``periods``, in order, or ``daily``, in ``zone``."""

    currency: str
    periods: tuple[PricePeriod, ...] = ()
    daily: tuple[DailyPrice, ...] = ()
    zone: tzinfo = UTC
    tiers: tuple[Tier, ...] = ()
    """In rising order. Of several that are reached the last one counts."""
    standing_charge: Decimal = Decimal(0)
    """Once for the session."""
    minimum: Decimal | None = None
    """The total is no less, before it is rounded."""
    maximum: Decimal | None = None
    """The total is no more, before it is rounded."""
    decimals: int = 2
    rounding: Rounding = Rounding.HALF_UP


@frozen
class Problem:
    """A field of a schedule that can't be used, and why."""

    field: str
    reason: str


@frozen
class PricedTime:
    """A time in which one price holds."""

    start: datetime
    end: datetime
    per_kwh: Decimal


def problems(schedule: PriceSchedule) -> list[Problem]:
    """List the problems of a schedule; with none it can be used for the times that it covers."""
    return [
        *_wrong_currency(schedule.currency),
        *_wrong_prices(schedule),
        *_wrong_tiers(schedule.tiers),
        *_wrong_amounts(schedule),
    ]


def uncovered(schedule: PriceSchedule, start: datetime, end: datetime) -> list[Problem]:
    """List why a schedule without problems has no price for a part of a session; daily prices always have one."""
    if not schedule.periods:
        return []
    first, last = schedule.periods[0], schedule.periods[-1]
    found = []
    if first.start > start:
        reason = f"begins at {_time(first.start)}, after the transaction, which began at {_time(start)}"
        found.append(Problem("periods[0].start_time", reason))
    if last.end < end or last.end <= start:
        reason = f"ends at {_time(last.end)}, before the transaction, which lasted until {_time(end)}"
        found.append(Problem(f"periods[{len(schedule.periods) - 1}].end_time", reason))
    return found


def priced_times(schedule: PriceSchedule, start: datetime, end: datetime) -> list[PricedTime]:
    """The prices of the time from ``start`` up to ``end``, later than it, in order and without gaps. ``schedule`` has
    no problems and covers that time."""
    if schedule.periods:
        return [
            PricedTime(max(period.start, start), min(period.end, end), period.per_kwh)
            for period in schedule.periods
            if period.start < end and period.end > start
        ]
    merged: list[tuple[int, datetime, datetime]] = []
    for number, begin, until in _daily_times(schedule, start, end):
        if merged and merged[-1][0] == number:  # midnight, or a change of the clocks, within one price
            merged[-1] = (number, merged[-1][1], until)
        else:
            merged.append((number, begin, until))
    return [PricedTime(begin, until, schedule.daily[number].per_kwh) for number, begin, until in merged]


def price_changes(schedule: PriceSchedule, start: datetime, end: datetime) -> int:
    """An upper bound on the changes of price between two moments."""
    days = (end - start).days + 2
    return len(schedule.periods) + days * len({daily.start for daily in schedule.daily})


def _daily_times(schedule: PriceSchedule, start: datetime, end: datetime) -> Iterator[tuple[int, datetime, datetime]]:
    """(index of the daily price, from, until): a change of the clocks begins anew."""
    seconds = sorted({daily.start for daily in schedule.daily})
    for span in spans(schedule.zone, start, end):
        first, until = span.local(span.start), span.local(span.end)
        moments = [span.start]
        for day in range(first // DAY_SECONDS, until // DAY_SECONDS + 1):
            at = [span.moment(day * DAY_SECONDS + second) for second in seconds]
            moments.extend(each for each in at if span.start < each < span.end)
        for begin, finish in pairwise([*moments, span.end]):
            yield _daily_at(schedule.daily, span.local(begin)), begin, finish


def _daily_at(daily: Sequence[DailyPrice], local: int) -> int:
    day, second = divmod(local, DAY_SECONDS)
    weekday = (day + _EPOCH_WEEKDAY) % 7
    return next(i for i, each in enumerate(daily) if weekday in each.weekdays and each.start <= second < each.end)


# --- what is wrong --------------------------------------------------------------------------------------------


def _wrong_currency(currency: str) -> Iterator[Problem]:
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()):
        yield Problem("currency", "must be three capital letters, as in ISO 4217")


def _wrong_prices(schedule: PriceSchedule) -> Iterator[Problem]:
    if bool(schedule.periods) == bool(schedule.daily):
        yield Problem("periods", "either periods or daily_prices must be set, and not both")
    elif schedule.periods:
        yield from _wrong_periods(schedule.periods)
    else:
        yield from _wrong_daily(schedule.daily)


def _wrong_periods(periods: Sequence[PricePeriod]) -> Iterator[Problem]:
    if len(periods) > MAX_PERIODS:
        yield Problem("periods", f"has {len(periods)} periods; at most {MAX_PERIODS} are taken")
        return
    for number, period in enumerate(periods):
        if period.end <= period.start:
            yield Problem(f"periods[{number}].end_time", "must be later than start_time")
        yield from _wrong_amount(f"periods[{number}].price_per_kwh", period.per_kwh)
    for number, (before, after) in enumerate(pairwise(periods)):
        if after.start != before.end:
            how = "leaves a gap after" if after.start > before.end else "overlaps"
            reason = f"{how} periods[{number}], which ends at {_time(before.end)}"
            yield Problem(f"periods[{number + 1}].start_time", reason)


def _wrong_daily(daily: Sequence[DailyPrice]) -> Iterator[Problem]:
    if len(daily) > MAX_DAILY_PRICES:
        yield Problem("daily_prices", f"has {len(daily)} prices; at most {MAX_DAILY_PRICES} are taken")
        return
    usable = True
    for number, each in enumerate(daily):
        yield from _wrong_amount(f"daily_prices[{number}].price_per_kwh", each.per_kwh)
        if not 0 <= each.start < each.end <= DAY_SECONDS:
            usable = False
            yield Problem(f"daily_prices[{number}]", "must begin and end within a day, the end later than the start")
        if not each.weekdays <= frozenset(range(7)) or not each.weekdays:
            usable = False
            yield Problem(f"daily_prices[{number}].weekdays", "must be days of the week")
    if usable:
        yield from _gaps_and_overlaps(daily)


def _gaps_and_overlaps(daily: Sequence[DailyPrice]) -> Iterator[Problem]:
    """Each weekday must have exactly one price at any time."""
    for weekday, name in enumerate(WEEKDAYS):
        of_day = sorted((each.start, each.end, number) for number, each in enumerate(daily) if weekday in each.weekdays)
        until, last = 0, -1
        for start, end, number in of_day:
            if start < until:
                reason = f"overlaps daily_prices[{last}] on {name} at {_clock(start)}"
                yield Problem(f"daily_prices[{number}]", reason)
            elif start > until:
                yield Problem("daily_prices", f"leaves {name} without a price from {_clock(until)} to {_clock(start)}")
            if end > until:
                until, last = end, number
        if until < DAY_SECONDS:
            yield Problem("daily_prices", f"leaves {name} without a price from {_clock(until)} to 24:00")


def _wrong_tiers(tiers: Sequence[Tier]) -> Iterator[Problem]:
    if len(tiers) > MAX_TIERS:
        yield Problem("tiers", f"has {len(tiers)} tiers; at most {MAX_TIERS} are taken")
        return
    for number, tier in enumerate(tiers):
        if tier.from_mwh < 0:
            yield Problem(f"tiers[{number}].from_milliwatt_hours", "must not be negative")
        yield from _wrong_amount(f"tiers[{number}].additional_price_per_kwh", tier.additional_per_kwh)
    for number, (before, after) in enumerate(pairwise(tiers), 1):
        if after.from_mwh <= before.from_mwh:
            yield Problem(f"tiers[{number}].from_milliwatt_hours", "must be more than that of the tier before")


def _wrong_amounts(schedule: PriceSchedule) -> Iterator[Problem]:
    yield from _wrong_amount("standing_charge", schedule.standing_charge)
    for name, amount in (("minimum_total", schedule.minimum), ("maximum_total", schedule.maximum)):
        if amount is not None:
            yield from _wrong_amount(name, amount)
    if schedule.minimum is not None and schedule.maximum is not None and schedule.minimum > schedule.maximum:
        yield Problem("maximum_total", "must not be less than minimum_total")
    if not 0 <= schedule.decimals <= MAX_DECIMALS:
        yield Problem("decimals", f"must be 0 to {MAX_DECIMALS}")


def _wrong_amount(name: str, amount: Decimal) -> Iterator[Problem]:
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -MAX_PLACES or abs(amount) >= MAX_AMOUNT:
        yield Problem(name, f"must be a decimal number below {MAX_AMOUNT:f} with at most {MAX_PLACES} decimals")


def _clock(second: int) -> str:
    hours, rest = divmod(second, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours:02}:{minutes:02}" + (f":{seconds:02}" if seconds else "")


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
