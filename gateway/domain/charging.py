"""Charging profiles: the values a SetChargingProfile or a remote start carries (S §3.13, §7.8-§7.14)."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from attrs import frozen


class ProfilePurpose(StrEnum):
    """Purpose of a profile (S §7.11)."""

    CHARGE_POINT_MAX = "ChargePointMaxProfile"
    TX_DEFAULT = "TxDefaultProfile"
    TX = "TxProfile"


class ProfileKind(StrEnum):
    """The moment that a schedule's times are relative to (S §7.10)."""

    ABSOLUTE = "Absolute"
    RECURRING = "Recurring"
    RELATIVE = "Relative"


class RecurrencyKind(StrEnum):
    """Period after which a recurring schedule starts anew (S §7.37)."""

    DAILY = "Daily"
    WEEKLY = "Weekly"


class ChargingRateUnit(StrEnum):
    """A is per phase, W is the total over all phases (S §7.12)."""

    AMPERE = "A"
    WATT = "W"


@frozen
class SchedulePeriod:
    """From ``start_period`` seconds after the schedule's start the limit holds, with one decimal at most (S §7.14)."""

    start_period: int
    limit: Decimal
    number_phases: int | None = None


@frozen
class ChargingSchedule:
    """A list of limits over time. ``duration`` in seconds; None: the last period goes on (S §7.13)."""

    rate_unit: ChargingRateUnit
    periods: tuple[SchedulePeriod, ...]
    duration: int | None = None
    start_schedule: datetime | None = None
    min_charging_rate: Decimal | None = None


@frozen
class ChargingProfile:
    """A charging profile. ``transaction_id`` is ours; the 1.6 layer puts its integer on the wire (S §7.8)."""

    profile_id: int
    stack_level: int
    purpose: ProfilePurpose
    kind: ProfileKind
    schedule: ChargingSchedule
    transaction_id: str | None = None
    recurrency_kind: RecurrencyKind | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
