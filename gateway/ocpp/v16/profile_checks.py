"""Conditions that a charging profile must fulfil before it may be sent (S §3.13, §7.8-§7.14; B10)."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from gateway.domain.charging import ChargingProfile, ChargingSchedule, ProfileKind, ProfilePurpose
from gateway.domain.commands import FieldViolation
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress

INT32: Final = 2**31 - 1

MAX_PERIODS: Final = 1_000
"""A week in steps of ten minutes. Where a charger reports its own limit, that one counts."""

MAX_LIMIT: Final = Decimal(10_000_000)
"""W or A: ten megawatts are no charge point's."""


def check_profile(profile: ChargingProfile, name: str, *, running: bool) -> Iterator[FieldViolation]:
    """Everything wrong with a profile under the field ``name``. ``running``: a TxProfile is for a transaction that
    runs, and names it."""
    for field, value in (("charging_profile_id", profile.profile_id), ("stack_level", profile.stack_level)):
        if not (0 if field == "stack_level" else -INT32 - 1) <= value <= INT32:
            yield FieldViolation(f"{name}.{field}", "is out of range")
    if running:
        if profile.purpose is ProfilePurpose.TX and profile.transaction_id is None:
            yield FieldViolation(f"{name}.transaction_id", "is needed with TxProfile")  # S §5.16.4, O25 057
        if profile.purpose is not ProfilePurpose.TX and profile.transaction_id is not None:
            yield FieldViolation(f"{name}.transaction_id", "is for TxProfile only")  # S §7.8
    yield from _kind(profile, name)
    if profile.valid_from is not None and profile.valid_to is not None and profile.valid_to <= profile.valid_from:
        yield FieldViolation(f"{name}.valid_to_time", "must be after valid_from_time")
    yield from _schedule(profile.schedule, f"{name}.schedule")


def connector_of_profile(connector: ConnectorAddress, profile: ChargingProfile) -> Iterator[FieldViolation]:
    """Check that a profile of its purpose may be set there (S §3.13.1, §5.16; B10.1, B10.2)."""
    if profile.purpose is ProfilePurpose.CHARGE_POINT_MAX and connector != WHOLE_CHARGE_POINT:
        yield FieldViolation("connector", "ChargePointMaxProfile is for the whole charge point (0, 0) only")
    if profile.purpose is ProfilePurpose.TX and connector == WHOLE_CHARGE_POINT:
        yield FieldViolation("connector", "TxProfile is for a connector, not for the whole charge point")


def _kind(profile: ChargingProfile, name: str) -> Iterator[FieldViolation]:
    """B10.6, SE 3.78."""
    recurring = profile.kind is ProfileKind.RECURRING
    if recurring and profile.recurrency_kind is None:
        yield FieldViolation(f"{name}.recurrency_kind", "is needed with Recurring")
    if not recurring and profile.recurrency_kind is not None:
        yield FieldViolation(f"{name}.recurrency_kind", "is for Recurring only")
    if profile.kind is ProfileKind.RELATIVE and profile.schedule.start_schedule is not None:
        yield FieldViolation(f"{name}.schedule.start_schedule_time", "must be absent with Relative")


def _schedule(schedule: ChargingSchedule, name: str) -> Iterator[FieldViolation]:
    """S §7.13, §7.14; B10.5, B10.8."""
    if schedule.duration is not None and not 0 < schedule.duration <= INT32:
        yield FieldViolation(f"{name}.duration", "must be a positive number of seconds")
    if schedule.min_charging_rate is not None:
        yield from _rate(f"{name}.min_charging_rate", schedule.min_charging_rate)
    if not 0 < len(schedule.periods) <= MAX_PERIODS:
        yield FieldViolation(f"{name}.periods", f"1 to {MAX_PERIODS} are needed")
        return
    previous = -1
    for index, period in enumerate(schedule.periods):
        field = f"{name}.periods[{index}]"
        if index == 0 and period.start_period != 0:
            yield FieldViolation(f"{field}.start_period", "must be 0 in the first period")
        elif not previous < period.start_period <= INT32:
            yield FieldViolation(f"{field}.start_period", "must be after the period before")
        previous = period.start_period
        yield from _rate(f"{field}.limit", period.limit)
        if period.number_phases is not None and period.number_phases not in (1, 2, 3):
            yield FieldViolation(f"{field}.number_phases", "must be 1, 2 or 3")


def _rate(name: str, value: Decimal) -> Iterator[FieldViolation]:
    if not value.is_finite() or not 0 <= value <= MAX_LIMIT:
        yield FieldViolation(name, f"must be from 0 to {MAX_LIMIT}")
    elif value != round(value, 1):
        yield FieldViolation(name, "has more than one decimal")
