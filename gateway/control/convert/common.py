"""Values that many messages are made of: times, numbers, connectors, energy, charging profiles, meter samples."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.api.v1 import common_pb2 as pb
from gateway.control.convert.enums import FLAG, RATE_UNIT
from gateway.domain.charging import ChargingSchedule
from gateway.domain.events import ChargePointCreated, ChargePointUpdated
from gateway.domain.values import JSON, ConnectorAddress, Flag

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INT64 = (-(2**63), 2**63 - 1)
INT32 = (-(2**31), 2**31 - 1)


def asked(body: ChargePointCreated | ChargePointUpdated) -> dict[str, str]:
    """The caller of a change and its id: fields of the event's message."""
    return {"caller": body.caller, "request_id": body.request_id}


def int64(value: int) -> int:
    """A number of a charger's making in the 64 bits that the interface has for it."""
    return min(max(value, INT64[0]), INT64[1])


def int32(value: int) -> int:
    """The same with 32 bits."""
    return min(max(value, INT32[0]), INT32[1])


def timestamp(value: datetime | None) -> Timestamp | None:
    """An aware time; None leaves the field unset."""
    if value is None:
        return None
    # A third of what Timestamp.FromDatetime takes, and each event and command has several.
    since = value - EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1_000)


def seconds(value: int | None) -> Duration | None:
    """Whole seconds; None leaves the field unset."""
    if value is None:
        return None
    made = Duration()
    made.FromTimedelta(timedelta(seconds=min(max(value, 0), 10**9)))
    return made


def offset(value: timedelta | None) -> Duration | None:
    """A length of time that may be negative; None leaves the field unset."""
    if value is None:
        return None
    made = Duration()
    made.FromTimedelta(value)
    return made


def connector(value: ConnectorAddress | None) -> pb.ConnectorAddress | None:
    """Return a connector as a message."""
    return None if value is None else pb.ConnectorAddress(evse=int64(value.evse), connector=int64(value.connector))


def flags(values: Iterable[Flag]) -> list[Any]:
    """Quality flags."""
    return list(map(FLAG.number, values))


def energy(milliwatt_hours: int | None) -> pb.Energy | None:
    """An amount in milliwatt-hours."""
    if milliwatt_hours is None:
        return None
    return pb.Energy(watt_hours=_decimal(milliwatt_hours), milliwatt_hours=int64(milliwatt_hours))


def energy_of_watt_hours(value: int | None) -> pb.Energy | None:
    """An amount in whole watt-hours, as OCPP 1.6's transaction messages have it."""
    return None if value is None else energy(value * 1000)


def _decimal(milliwatt_hours: int) -> str:
    sign = "-" if milliwatt_hours < 0 else ""
    whole, fraction = divmod(abs(milliwatt_hours), 1000)
    return f"{sign}{whole}.{fraction:03}".rstrip("0").rstrip(".") if fraction else f"{sign}{whole}"


def json_text(value: JSON) -> str:
    """Return what was sent, as JSON text."""
    return orjson.dumps(value).decode()


def schedule(value: ChargingSchedule | None) -> pb.ChargingSchedule | None:
    """A charging schedule that a charger reported."""
    if value is None:
        return None
    return pb.ChargingSchedule(
        duration=seconds(value.duration),
        start_schedule_time=timestamp(value.start_schedule),
        rate_unit=RATE_UNIT.number(value.rate_unit),
        periods=[
            pb.ChargingSchedulePeriod(
                start_period=seconds(period.start_period),
                limit=_rate(period.limit),
                number_phases=None if period.number_phases is None else int32(period.number_phases),
            )
            for period in value.periods
        ],
        min_charging_rate=None if value.min_charging_rate is None else _rate(value.min_charging_rate),
    )


def _rate(value: Decimal) -> float:
    return float(value)
