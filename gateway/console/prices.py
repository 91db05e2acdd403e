"""The price of a kilowatt-hour over time, for the curve behind a session; costs are the gateway's to work out."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.api.v1.energy_pb2 import DailyPrice, PriceSchedule

STEP: Final = timedelta(minutes=15)
"""Prices change at quarters of an hour, at the most often."""

MAX_STEPS: Final = 7 * 96
"""A week of steps: a longer session has its curve without prices."""


def zone_of(schedule: PriceSchedule | None) -> str:
    """The time zone of a schedule; empty: UTC, or there is no such zone."""
    if schedule is None or not schedule.time_zone:
        return ""
    try:
        return ZoneInfo(schedule.time_zone).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ""


def price_steps(schedule: PriceSchedule, begin: datetime, end: datetime) -> list[tuple[datetime, float]]:
    """The prices between two times, each from when it holds; empty: too long, or the schedule says nothing of it, or
    can't be used, which the gateway says in words where a cost is asked for."""
    try:
        return _steps(schedule, begin, end)
    except (ZoneInfoNotFoundError, ValueError, ArithmeticError, OSError):
        return []


def _steps(schedule: PriceSchedule, begin: datetime, end: datetime) -> list[tuple[datetime, float]]:
    found: list[tuple[datetime, float]] = []
    for at in _times(begin.replace(minute=begin.minute // 15 * 15, second=0, microsecond=0), end):
        price = price_at(schedule, at)
        if price is not None and (not found or found[-1][1] != price):
            found.append((max(at, begin), price))
    return found


def _times(at: datetime, end: datetime) -> Iterator[datetime]:
    if end - at > STEP * MAX_STEPS:
        return
    while at <= end:
        yield at
        at += STEP


def price_at(schedule: PriceSchedule, at: datetime) -> float | None:
    """The price that holds at a time, without tiers; None: the schedule has none."""
    for period in schedule.periods:
        if period.start_time.ToDatetime(UTC) <= at < period.end_time.ToDatetime(UTC):
            return float(period.price_per_kwh)
    local = at.astimezone(ZoneInfo(schedule.time_zone or "UTC"))
    second = local.hour * 3600 + local.minute * 60 + local.second
    for daily in schedule.daily_prices:
        today = not daily.weekdays or local.isoweekday() in daily.weekdays
        if today and _second(daily, "start_of_day") <= second < _second(daily, "end_of_day"):
            return float(daily.price_per_kwh)
    return None


def _second(daily: DailyPrice, field: str) -> int:
    hour, minute, second = [*getattr(daily, field).split(":"), "0"][:3]
    return int(hour) * 3600 + int(minute) * 60 + int(second)
