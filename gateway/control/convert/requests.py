"""Reading requests: what is missing or can't be meant becomes a field violation, all of them at once."""

from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import TypeVar

from attrs import define, field
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.api.v1 import common_pb2 as pb
from gateway.control.convert.enums import KIND, PURPOSE, RATE_UNIT, RECURRENCY, Words
from gateway.control.errors import invalid
from gateway.domain.charging import (
    ChargingProfile,
    ChargingRateUnit,
    ChargingSchedule,
    ProfileKind,
    ProfilePurpose,
    SchedulePeriod,
)
from gateway.domain.commands import FieldViolation
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress

W = TypeVar("W", bound=str)

MAX_VIOLATIONS = 20
"""More would not fit into the trailing metadata, which gRPC limits to 16 kB."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@define
class Fields:
    """Collects what is wrong with one request. Values read after a violation stand in and are never used."""

    violations: list[FieldViolation] = field(factory=list)

    def wrong(self, name: str, description: str) -> None:
        """A field that can't be served."""
        if len(self.violations) < MAX_VIOLATIONS:
            self.violations.append(FieldViolation(name, description))

    def check(self) -> None:
        """Raises the violations, if there are any."""
        if self.violations:
            raise invalid(*self.violations)

    def text(self, name: str, value: str) -> str:
        """A text that must be there."""
        if not value:
            self.wrong(name, "must be set")
        return value

    def word(self, name: str, words: Words[W], number: int, stand_in: W) -> W:
        """An enum that must be there."""
        word = self.optional_word(name, words, number)
        if word is None and number == 0:
            self.wrong(name, "must be set")
        return stand_in if word is None else word

    def optional_word(self, name: str, words: Words[W], number: int) -> W | None:
        """An enum; None if it is unspecified."""
        word = words.word(number)
        if word is None and number != 0:
            self.wrong(name, f"has no value {number}")
        return word

    def present(self, name: str, message: Message, field: str) -> bool:
        """Return true if a required message field is there, else note the violation."""
        if message.HasField(field):
            return True
        self.wrong(name, "must be set")
        return False

    def connector(self, message: Message, field: str = "connector") -> ConnectorAddress:
        """A connector that must be there."""
        if not self.present(field, message, field):
            return WHOLE_CHARGE_POINT
        value: pb.ConnectorAddress = getattr(message, field)
        return ConnectorAddress(value.evse, value.connector)

    def optional_connector(self, message: Message, field: str = "connector") -> ConnectorAddress | None:
        """A connector; None if it is not given."""
        return self.connector(message, field) if message.HasField(field) else None

    def time(self, name: str, message: Message, field: str) -> datetime:
        """A time that must be there."""
        return self.optional_time(name, message, field) or EPOCH if self.present(name, message, field) else EPOCH

    def optional_time(self, name: str, message: Message, field: str) -> datetime | None:
        """A time; None if it is not given."""
        if not message.HasField(field):
            return None
        value: Timestamp = getattr(message, field)
        try:
            return value.ToDatetime(UTC)
        except (ValueError, OverflowError):
            self.wrong(name, "is no time between the years 1 and 9999")
            return None

    def seconds(self, name: str, message: Message, field: str) -> int:
        """A duration in whole seconds that must be there."""
        return self.optional_seconds(name, message, field) or 0 if self.present(name, message, field) else 0

    def optional_seconds(self, name: str, message: Message, field: str) -> int | None:
        """A duration in whole seconds, not negative; None if it is not given."""
        if not message.HasField(field):
            return None
        value: Duration = getattr(message, field)
        if value.nanos or not 0 <= value.seconds < 2**31:
            self.wrong(name, "must be whole seconds, 0 to 2147483647")
            return None
        return value.seconds

    def number(self, name: str, value: float) -> Decimal:
        """A decimal number."""
        if not isfinite(value):
            self.wrong(name, "must be a finite number")
            return Decimal(0)
        return Decimal(repr(value))  # the shortest decimal that is this double: 16.1 stays 16.1

    def profile(self, name: str, value: pb.ChargingProfile) -> ChargingProfile:
        """A charging profile."""
        schedule = (
            self._schedule(f"{name}.schedule", value.schedule)
            if self.present(f"{name}.schedule", value, "schedule")
            else ChargingSchedule(ChargingRateUnit.AMPERE, ())
        )
        return ChargingProfile(
            profile_id=value.charging_profile_id,
            stack_level=value.stack_level,
            purpose=self.word(f"{name}.purpose", PURPOSE, value.purpose, ProfilePurpose.TX),
            kind=self.word(f"{name}.kind", KIND, value.kind, ProfileKind.ABSOLUTE),
            schedule=schedule,
            transaction_id=value.transaction_id if value.HasField("transaction_id") else None,
            recurrency_kind=self.optional_word(f"{name}.recurrency_kind", RECURRENCY, value.recurrency_kind),
            valid_from=self.optional_time(f"{name}.valid_from_time", value, "valid_from_time"),
            valid_to=self.optional_time(f"{name}.valid_to_time", value, "valid_to_time"),
        )

    def _schedule(self, name: str, value: pb.ChargingSchedule) -> ChargingSchedule:
        if not value.periods:
            self.wrong(f"{name}.periods", "must have at least one")
        return ChargingSchedule(
            rate_unit=self.word(f"{name}.rate_unit", RATE_UNIT, value.rate_unit, ChargingRateUnit.AMPERE),
            periods=tuple(self._period(f"{name}.periods[{n}]", period) for n, period in enumerate(value.periods)),
            duration=self.optional_seconds(f"{name}.duration", value, "duration"),
            start_schedule=self.optional_time(f"{name}.start_schedule_time", value, "start_schedule_time"),
            min_charging_rate=(
                self.number(f"{name}.min_charging_rate", value.min_charging_rate)
                if value.HasField("min_charging_rate")
                else None
            ),
        )

    def _period(self, name: str, value: pb.ChargingSchedulePeriod) -> SchedulePeriod:
        return SchedulePeriod(
            start_period=self.optional_seconds(f"{name}.start_period", value, "start_period") or 0,
            limit=self.number(f"{name}.limit", value.limit),
            number_phases=value.number_phases if value.HasField("number_phases") else None,
        )
