"""Charging profiles from wanted limits: as much of a plan as a charge point takes at once, and when to send the rest.

Every profile ends, or falls back, without the gateway: a limit without an end is put for ``LEASE`` and renewed, and the
last period of a part of a plan is what the plan names for then. So no pause outlives the gateway or the link by more
than that.

A profile that replaces another one applies at once (S §3.13.2, B10.14). It starts ``CLOCK_SLACK`` ago, so that neither
a charger's clock nor the way there opens a gap at the default rate (B10.11), and is sent while the one before it still
holds.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from attrs import frozen

from gateway.charging import rates
from gateway.charging.plans import changes, in_force, next_change
from gateway.domain.charging import (
    ChargingProfile,
    ChargingRateUnit,
    ChargingSchedule,
    ProfileKind,
    ProfilePurpose,
    SchedulePeriod,
)
from gateway.domain.steering import ChargingAbilities, RateLimit, Wanted
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress

LEASE: Final = timedelta(hours=2)
"""A limit without an end is put for so long, and renewed when half of it is over: a link that comes back within an hour
changes nothing, and a gateway that never comes back leaves no vehicle empty in the morning."""

AHEAD: Final = timedelta(hours=24)
"""A plan is sent for so much time at once."""

CLOCK_SLACK: Final = timedelta(minutes=10)
"""A schedule starts so long ago: a charger whose clock is behind applies it at once (B10.11)."""

SEAM: Final = timedelta(minutes=10)
"""A part of what is wanted is held for at least so long after the time at which the next one is due, if need be beyond
its end: the next one replaces it in time, and if it does not come, the limit ends."""

OFFSET_MATTERS: Final = timedelta(seconds=5)
"""A charger's clock that is off by less is right."""

PROFILE_IDS: Final = 900_000_000
"""Profile ids from here on are the gateway's; 10 for each connector. The ones below are the callers'."""

MAX_CONNECTOR: Final = 99_999_999

_NUMBERS: Final = {ProfilePurpose.CHARGE_POINT_MAX: 1, ProfilePurpose.TX_DEFAULT: 2, ProfilePurpose.TX: 3}


@frozen
class Installation:
    """A profile to be sent. ``profile`` None: none is needed before ``refresh_at``.

    ``covered_until``: from then on the charger does not do what is wanted without a further profile; None: it does.
    ``refresh_at``: when that is to be sent; None: never. ``too_little``: a limit is put as a pause, for by the number
    of phases that it is put for it is less than any vehicle may be offered.
    """

    connector: ConnectorAddress
    profile: ChargingProfile | None
    covered_until: datetime | None = None
    refresh_at: datetime | None = None
    too_little: bool = False


def profile_id(connector: ConnectorAddress, purpose: ProfilePurpose) -> int:
    """The id of the gateway's profile of a purpose for a connector: the same one each time, so that a profile that is
    sent twice is there once (B10.4)."""
    return PROFILE_IDS + min(connector.evse, MAX_CONNECTOR) * 10 + _NUMBERS[purpose]


def is_own(number: int) -> bool:
    """Return whether a profile id is one that the gateway gives."""
    return PROFILE_IDS <= number < PROFILE_IDS + (MAX_CONNECTOR + 1) * 10


def purposes(
    connector: ConnectorAddress,
    abilities: ChargingAbilities,
    *,
    transaction_open: bool,
    failed: Collection[ProfilePurpose] = (),
) -> tuple[ProfilePurpose, ...]:
    """The purposes by which a limit can be put, the best one first; empty: none is left.

    A running transaction is limited by a TxProfile, the ones to come by a TxDefaultProfile (S §3.13.1). The whole
    charge point's maximum comes last, and for a connector only where it is the only one. ``failed``: those that have
    been tried in vain.
    """
    if connector == WHOLE_CHARGE_POINT:
        order = [ProfilePurpose.CHARGE_POINT_MAX]
    else:
        order = [ProfilePurpose.TX_DEFAULT]
        if transaction_open:
            order.insert(0, ProfilePurpose.TX)
        if abilities.connectors == 1:
            order.append(ProfilePurpose.CHARGE_POINT_MAX)
    return tuple(each for each in order if each in abilities.purposes and each not in failed)


def profile_for(
    wanted: Wanted,
    purpose: ProfilePurpose,
    abilities: ChargingAbilities,
    now: datetime,
    *,
    offset: timedelta = timedelta(0),
    phases: int | None = None,
    transaction_id: str | None = None,
) -> Installation | None:
    """The profile that brings about what is wanted from ``now`` on; None: nothing is wanted, now and later.

    ``offset``: by how much the charger's clock is ahead of the gateway's. ``phases``: as measured, None if unknown.
    ``transaction_id``: of the running transaction; for a TxProfile.
    """
    target = WHOLE_CHARGE_POINT if purpose is ProfilePurpose.CHARGE_POINT_MAX else wanted.connector
    now = now.replace(microsecond=0)
    first, start = now, now - CLOCK_SLACK
    if in_force(wanted, now) is None:
        later = next_change(wanted, now)
        if later is None:
            return None
        if later >= now + AHEAD:
            return Installation(target, None, later, later - AHEAD / 2)
        first = start = later
    part = _part(wanted, first, now + AHEAD, abilities.max_periods)
    unit = _unit(part.limits, abilities)
    ends_at = None if part.fallback is not None else part.ends_at
    profile = ChargingProfile(
        profile_id=profile_id(wanted.connector, purpose),
        stack_level=abilities.max_stack_level,
        purpose=purpose,
        kind=ProfileKind.ABSOLUTE,
        schedule=ChargingSchedule(
            rate_unit=unit,
            periods=_periods(part, start, unit, phases),
            duration=None if ends_at is None else _seconds(ends_at - start),
            start_schedule=_by_its_clock(start, offset),
        ),
        transaction_id=transaction_id if purpose is ProfilePurpose.TX else None,
        valid_from=_by_its_clock(start, offset),
        valid_to=None if ends_at is None else _by_its_clock(ends_at, offset),
    )
    too_little = any(not limit.pause and not rate_for(limit, unit, phases) for _, limit in part.limits)
    return Installation(target, profile, part.covered_until, part.refresh_at, too_little)


def rate_at(profile: ChargingProfile, at: datetime, offset: timedelta = timedelta(0)) -> Decimal | None:
    """The limit of one of the gateway's profiles at a moment, in its unit; None: it has none then."""
    start, its_time = profile.schedule.start_schedule, _by_its_clock(at, offset)
    if start is None or (profile.valid_to is not None and its_time >= profile.valid_to):
        return None
    elapsed = (its_time - start).total_seconds()
    begun = [period.limit for period in profile.schedule.periods if period.start_period <= elapsed]
    return begun[-1] if begun else None


def rate_for(limit: RateLimit, unit: ChargingRateUnit, phases: int | None) -> Decimal:
    """The rate that a limit is sent as. ``phases``: as measured, None if unknown."""
    rate = rates.converted(limit, unit, phases)
    # Chargers differ in what they make of less than the least: some give 6 A.
    return Decimal(0) if rates.below_minimum(rate, unit, limit.phases or phases) else rate


@frozen
class _Part:
    """The part of what is wanted that one profile holds.

    ``fallback``: what holds from ``ends_at`` on; where there is one, the profile has no end. ``ends_at`` None: the last
    limit goes on.
    """

    limits: tuple[tuple[datetime, RateLimit], ...]
    ends_at: datetime | None
    fallback: RateLimit | None
    covered_until: datetime | None
    refresh_at: datetime | None


def _part(wanted: Wanted, start: datetime, horizon: datetime, max_periods: int) -> _Part:
    """The limits from ``start`` on, at which one holds, as many as one profile takes, and what follows them."""
    limits: list[tuple[datetime, RateLimit]] = []
    for at, limit in changes(wanted, start, horizon):
        if limit is None:
            return _complete(wanted, limits, at, max_periods)
        limits.append((at, limit))
    fallback = _fallback(wanted, max_periods)
    last_at, last = limits[-1]
    for_good = next_change(wanted, last_at) is None
    if (
        for_good
        and fallback is not None
        and last == fallback
        and len(limits) <= max_periods
        and not _stands(wanted, last_at)
    ):
        return _Part(tuple(limits), None, None, None, None)
    slots = max_periods - (fallback is not None)
    if len(limits) > slots:
        return _cut(limits, slots, fallback)
    ends_at = last_at + LEASE if for_good else horizon
    refresh_at = _half(limits[-1:] if for_good else limits, ends_at)
    return _Part(tuple(limits), ends_at, fallback, ends_at, refresh_at)


def _complete(wanted: Wanted, limits: list[tuple[datetime, RateLimit]], ends_at: datetime, max_periods: int) -> _Part:
    """The part that ends, as is wanted, with no limit from ``ends_at`` on. What follows that is put when it has
    ended."""
    if len(limits) > max_periods:
        fallback = _fallback(wanted, max_periods)
        return _cut(limits, max_periods - (fallback is not None), fallback)
    goes_on_at = next_change(wanted, ends_at)
    return _Part(tuple(limits), ends_at, None, goes_on_at, None if goes_on_at is None else ends_at)


def _cut(limits: list[tuple[datetime, RateLimit]], slots: int, fallback: RateLimit | None) -> _Part:
    """The first ``slots`` of more limits."""
    ends_at = limits[slots][0]
    kept = limits[:slots]
    refresh_at = ends_at if slots == 1 else _half(kept, ends_at)
    held_until = max(ends_at, refresh_at + SEAM)
    return _Part(tuple(kept), held_until, fallback, ends_at, refresh_at)


def _fallback(wanted: Wanted, max_periods: int) -> RateLimit | None:
    """The limit that holds where a part of what is wanted is not followed by the next one; None: no limit. A charger
    that takes one limit at a time can't be given one."""
    return None if wanted.plan is None or max_periods == 1 else wanted.plan.after


def _half(limits: list[tuple[datetime, RateLimit]], ends_at: datetime) -> datetime:
    """The moment at which half of the limits, or of the only one's time, are over."""
    start = limits[0][0]
    return limits[len(limits) // 2][0] if len(limits) > 1 else start + (ends_at - start) / 2


def _stands(wanted: Wanted, at: datetime) -> bool:
    """Return whether the limit in force is the standing one, and not the plan's."""
    standing = wanted.standing
    return standing is not None and (standing.until is None or at < standing.until)


def _unit(limits: tuple[tuple[datetime, RateLimit], ...], abilities: ChargingAbilities) -> ChargingRateUnit:
    """The unit of the first limit, where the charge point takes it, so that the least has to be converted."""
    wished = limits[0][1].unit
    if wished in abilities.units or not abilities.units:
        return wished
    return next(unit for unit in ChargingRateUnit if unit in abilities.units)


def _periods(part: _Part, start: datetime, unit: ChargingRateUnit, phases: int | None) -> tuple[SchedulePeriod, ...]:
    limits = list(part.limits)
    if part.fallback is not None and part.ends_at is not None:
        limits.append((part.ends_at, part.fallback))
    periods: list[SchedulePeriod] = []
    for number, (at, limit) in enumerate(limits):
        rate = rate_for(limit, unit, phases)
        period = SchedulePeriod(0 if number == 0 else _seconds(at - start), rate, limit.phases)
        if periods and period.start_period <= periods[-1].start_period:
            periods.pop()  # it ends within the second in which it begins
        if not periods or (period.limit, period.number_phases) != (periods[-1].limit, periods[-1].number_phases):
            periods.append(period)
    return tuple(periods)


def _by_its_clock(at: datetime, offset: timedelta) -> datetime:
    """A moment as the charger's clock will show it."""
    return at if abs(offset) < OFFSET_MATTERS else (at + offset).replace(microsecond=0)


def _seconds(span: timedelta) -> int:
    """Whole seconds, at least one."""
    return max(int(span.total_seconds()), 1)
