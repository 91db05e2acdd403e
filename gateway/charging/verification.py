"""Verification of a wanted limit: by the power that a meter shows, or by the schedule that a charger reports."""

from bisect import bisect_right
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from attrs import frozen

from gateway.charging import plans, rates
from gateway.charging.schedules import rate_at
from gateway.domain.charging import ChargingProfile, ChargingRateUnit, ChargingSchedule, SchedulePeriod
from gateway.domain.commands import CompositeScheduleAnswer
from gateway.domain.steering import RateLimit, Steering, SteeringState, Wanted

SETTLING: Final = timedelta(seconds=60)
"""After the charger's acceptance: what the meter shows before that is of before. Vehicles take some seconds to follow
(IEC 61851-1: 5 s), chargers' meters average, and many apply a profile at their next look only."""

PATIENCE: Final = timedelta(minutes=3)
"""After it, or after a change of the limit: more power than that, measured then, shows that it does not hold. Some
vehicles ramp down for a minute or two."""

TOLERANCE: Final = Decimal("1.10")
"""Times the limit: voltage above its nominal value, and what meters of class B and vehicles are off by."""

MARGIN_WATTS: Final = 100
"""Beside the tolerance; and for a pause all that may be drawn: a charger's and a vehicle's electronics take some."""

RECENT: Final = timedelta(hours=1)
"""As far back as a change of the limit is looked for; what was before that has settled."""


LOOK_AHEAD: Final = timedelta(hours=1)
"""Of a look at the charger's composite schedule, at least."""

MAX_LOOK_AHEAD: Final = timedelta(hours=24)
"""And at most: a part of a plan that is sent at once is no longer."""

BOUNDARY: Final = timedelta(seconds=5)
"""After a change of a limit in which a charger's schedule may still have the one before it: its periods begin at whole
seconds, and its clock is right to some seconds."""

AMPLE: Final = timedelta(minutes=2)
"""Between a change of a profile and a moment at which a charger's schedule is held against it, to say that the profile
is gone: some reckon by whole minutes. Where in doubt it is cleared once more, which changes nothing."""

ACCEPTED: Final = "Accepted"


@frozen
class Measured:
    """The power (W) that was measured last, and when that was received."""

    watts: float
    at: datetime


def shown(
    wanted: Wanted, steering: Steering, power: Measured | None, now: datetime, phases: int | None = None
) -> SteeringState | None:
    """The state that the meter shows, VERIFIED or INEFFECTIVE; None: it shows nothing yet. ``phases``: as measured."""
    limit = plans.in_force(wanted, now)
    if limit is None or power is None:
        return None
    changed_at = _last_change(wanted, now) or steering.since
    held_since = changed_at if steering.state is SteeringState.VERIFIED else max(changed_at, steering.since)
    if power.at < held_since + SETTLING:
        return None
    if power.watts <= most_watts(limit, phases):
        return SteeringState.VERIFIED
    return SteeringState.INEFFECTIVE if power.at >= held_since + PATIENCE else None


def most_watts(limit: RateLimit, phases: int | None = None) -> float:
    """The most that a meter may show under a limit. A per phase without a number of phases are taken for those that
    are used, as measured, or for three."""
    if limit.pause:
        return MARGIN_WATTS
    value = limit.value
    if limit.unit is ChargingRateUnit.AMPERE:
        value = value * rates.VOLTAGE * (limit.phases or phases or rates.PHASES[-1])
    return float(value * TOLERANCE) + MARGIN_WATTS


def _last_change(wanted: Wanted, now: datetime) -> datetime | None:
    """The last moment up to ``now`` at which the wanted limit changed; None: not lately."""
    found = plans.changes(wanted, now - RECENT, now + timedelta(microseconds=1))
    return found[-1][0] if len(found) > 1 else None


def look_ahead(steering: Steering, now: datetime) -> timedelta:
    """The time that a look at the composite schedule is to cover: as long as the profile is right without another."""
    if steering.covered_until is None:
        return LOOK_AHEAD
    return min(max(steering.covered_until - now, LOOK_AHEAD), MAX_LOOK_AHEAD)


def look_shows(
    wanted: Wanted, answer: object, now: datetime, offset: timedelta = timedelta(0), phases: int | None = None
) -> bool:
    """Return whether the answer to a look shows that the charger does what is wanted. An error, a refusal, none in
    time, or a schedule of another time: it can't say. ``offset``: by how much its clock is ahead. ``phases``: as
    measured."""
    seen = _schedule(answer, now, offset)
    return seen is not None and agrees(wanted, seen[0], seen[1], phases)


def _schedule(answer: object, now: datetime, offset: timedelta) -> tuple[datetime, ChargingSchedule] | None:
    """The composite schedule of an answer, and when it begins by the gateway's clock; None: the answer has none, or
    one of another time."""
    if not isinstance(answer, CompositeScheduleAnswer) or answer.status != ACCEPTED or answer.schedule is None:
        return None
    start = answer.schedule_start
    if start is not None and abs(start - now) > MAX_LOOK_AHEAD:
        return None
    return now if start is None else start - offset, answer.schedule


def look_shows_gone(profile: ChargingProfile, answer: object, now: datetime, offset: timedelta = timedelta(0)) -> bool:
    """Return whether the answer to a look shows that a charger does not have a profile: at some time it allows more
    than the profile would, by whichever number of phases. ``offset``: by how much its clock is ahead."""
    seen = _schedule(answer, now, offset)
    if seen is None:
        return False
    start, schedule = seen
    periods, begins, end = _periods(start, schedule)
    begun = profile.schedule.start_schedule
    if begun is None:
        return False
    changes = {begun - offset + timedelta(seconds=period.start_period) for period in profile.schedule.periods}
    for moment in {*begins, *(at for at in changes if start <= at < end)}:
        at = moment + AMPLE
        place = bisect_right(begins, at)
        near = [rate_at(profile, by, offset) for by in (at - AMPLE, at, at + AMPLE)]
        held = [rate for rate in near if rate is not None]
        if at >= end or not place or len(held) < len(near):
            continue
        if periods[place - 1].limit > _most(max(held), profile.schedule.rate_unit, schedule.rate_unit):
            return True
    return False


def _most(rate: Decimal, unit: ChargingRateUnit, other: ChargingRateUnit) -> Decimal:
    """A rate in another unit, by the number of phases that makes the most of it."""
    if unit is other:
        return rate
    if other is ChargingRateUnit.WATT:
        return rate * rates.VOLTAGE * rates.PHASES[-1]
    return rate / (rates.VOLTAGE * rates.PHASES[0])


def _periods(start: datetime, schedule: ChargingSchedule) -> tuple[list[SchedulePeriod], list[datetime], datetime]:
    """The periods of a composite schedule that a look covers, when each of them begins, and when the last one ends."""
    length = LOOK_AHEAD.total_seconds() if schedule.duration is None else schedule.duration
    length = min(length, MAX_LOOK_AHEAD.total_seconds())
    periods = [period for period in schedule.periods if 0 <= period.start_period <= length]
    begins = [start + timedelta(seconds=period.start_period) for period in periods]
    return periods, begins, start + timedelta(seconds=max(length, 0))


def agrees(wanted: Wanted, start: datetime, schedule: ChargingSchedule, phases: int | None = None) -> bool:
    """Return whether a composite schedule that begins at ``start`` allows no more than is wanted, wherever something
    is wanted: the least of all profiles holds (B10.4). Looked at where either of the two changes."""
    periods, begins, end = _periods(start, schedule)
    compared = False
    for moment in {*begins, *(at for at, _ in plans.changes(wanted, start, end))}:
        at = min(moment + BOUNDARY, end)
        limit, place = plans.in_force(wanted, at), bisect_right(begins, at)
        if limit is None or not place:
            continue
        period = periods[place - 1]
        if period.limit > rates.converted(
            limit, schedule.rate_unit, period.number_phases or phases or rates.PHASES[-1]
        ):
            return False
        compared = True
    return compared
