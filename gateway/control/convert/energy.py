"""Energy, costs and price schedules: requests read, answers made."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.api.v1 import energy_pb2
from gateway.control.convert.common import connector, energy, int32, int64, timestamp
from gateway.control.convert.enums import (
    COMPLETION_STATE,
    ENERGY_BASIS,
    ENERGY_DOUBT,
    ENERGY_QUALITY,
    ENERGY_STATE,
    PROVENANCE,
    ROUNDING,
    TRANSACTION_STATE,
    WEEKDAY,
)
from gateway.control.convert.requests import EPOCH, Fields
from gateway.control.energy import MeteredTransaction
from gateway.domain.records import EnergyRecord
from gateway.energy.completion import Completion, EnergyTarget, FullTarget, SocTarget, Target
from gateway.energy.cost import Cost, CostLine
from gateway.energy.intervals import HALF_HOUR, Interval, divides_a_day
from gateway.energy.power_history import Limit
from gateway.energy.prices import (
    MAX_DAILY_PRICES,
    MAX_PERIODS,
    MAX_TIERS,
    WEEKDAYS,
    DailyPrice,
    PricePeriod,
    PriceSchedule,
    Rounding,
    Tier,
    problems,
)
from gateway.energy.session import RULES_VERSION

ZONE_NAME: Final = re.compile(r"[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,2}", re.ASCII)
"""Of the IANA database; nothing else becomes a path."""

CLOCK: Final = re.compile(r"(\d{2}):(\d{2})(?::(\d{2}))?", re.ASCII)

AMOUNT: Final = re.compile(r"[+-]?(\d{1,9}(\.\d{0,9})?|\.\d{1,9})", re.ASCII)
"""A decimal number as ``gateway.energy.prices`` takes it, without an exponent."""


MAX_LIMITS: Final = 400
"""Of power: half-hours of a week."""

MAX_WATTS: Final = 1e9
"""Of a limit. None is as high, so that a limit can say that there is none."""

MAX_CAPACITY_MWH: Final = 10**10
"""Of a battery: ten megawatt-hours, a ship's."""


# --- requests -------------------------------------------------------------------------------------------------


def time_zone(fields: Fields, name: str, value: str) -> tzinfo:
    """A zone of the IANA database; UTC where none is named."""
    if not value:
        return UTC
    if ZONE_NAME.fullmatch(value):
        try:
            return ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of the database
            pass
    fields.wrong(name, f"{value[:100]!r} is no time zone of the IANA database")
    return UTC


def interval_seconds(fields: Fields, request: energy_pb2.ListTransactionEnergyRequest) -> int:
    """The length of an interval; half an hour where none is given."""
    before = len(fields.violations)
    seconds = fields.optional_seconds("interval", request, "interval")
    if seconds is None:
        return HALF_HOUR
    if not divides_a_day(seconds) and len(fields.violations) == before:
        fields.wrong("interval", f"must divide a day of 86400 seconds; {seconds} seconds do not")
        return HALF_HOUR
    return seconds


def position(fields: Fields, value: int) -> int:
    """A position; 0 for the newest one."""
    if value < 0:
        fields.wrong("position", "must not be negative")
    return value


def revision(fields: Fields, request: energy_pb2.ComputeCostRequest) -> int | None:
    """The only revision that is wanted; None: any is."""
    if not request.HasField("revision"):
        return None
    if request.revision < 0:
        fields.wrong("revision", "must not be negative")
    elif request.position:
        fields.wrong("revision", "must not be set together with position")
    return request.revision


def price_schedule(fields: Fields, name: str, value: energy_pb2.PriceSchedule) -> PriceSchedule:
    """A price schedule, with all that is wrong with it noted."""
    before = len(fields.violations)
    zone = time_zone(fields, f"{name}.time_zone", value.time_zone)
    for field, most in (("periods", MAX_PERIODS), ("daily_prices", MAX_DAILY_PRICES), ("tiers", MAX_TIERS)):
        if (given := len(getattr(value, field))) > most:
            fields.wrong(f"{name}.{field}", f"has {given} elements; at most {most} are taken")
    if len(fields.violations) > before:
        return PriceSchedule("XXX", zone=zone)
    schedule = PriceSchedule(
        currency=value.currency,
        periods=tuple(_period(fields, f"{name}.periods[{n}]", each) for n, each in enumerate(value.periods)),
        daily=tuple(_daily(fields, f"{name}.daily_prices[{n}]", each) for n, each in enumerate(value.daily_prices)),
        zone=zone,
        tiers=tuple(_tier(fields, f"{name}.tiers[{n}]", each) for n, each in enumerate(value.tiers)),
        standing_charge=_amount(fields, f"{name}.standing_charge", value.standing_charge or "0"),
        minimum=_amount(fields, f"{name}.minimum_total", value.minimum_total)
        if value.HasField("minimum_total")
        else None,
        maximum=_amount(fields, f"{name}.maximum_total", value.maximum_total)
        if value.HasField("maximum_total")
        else None,
        decimals=value.decimals if value.HasField("decimals") else 2,
        rounding=fields.optional_word(f"{name}.rounding", ROUNDING, value.rounding) or Rounding.HALF_UP,
    )
    if len(fields.violations) == before:  # else what stands in would be found wrong, too
        for each in problems(schedule):
            fields.wrong(f"{name}.{each.field}", each.reason)
    return schedule


def _period(fields: Fields, name: str, value: energy_pb2.PricePeriod) -> PricePeriod:
    return PricePeriod(
        _required_time(fields, f"{name}.start_time", value, "start_time"),
        _required_time(fields, f"{name}.end_time", value, "end_time"),
        _amount(fields, f"{name}.price_per_kwh", value.price_per_kwh),
    )


def _required_time(fields: Fields, name: str, value: energy_pb2.PricePeriod, field: str) -> datetime:
    return (fields.optional_time(name, value, field) or EPOCH) if fields.present(name, value, field) else EPOCH


def _daily(fields: Fields, name: str, value: energy_pb2.DailyPrice) -> DailyPrice:
    weekdays = set[int]()
    for each in value.weekdays:
        word = fields.optional_word(f"{name}.weekdays", WEEKDAY, each)
        if word is None and each == 0:
            fields.wrong(f"{name}.weekdays", "must be set")
        elif word is not None:
            weekdays.add(WEEKDAYS.index(word))
    return DailyPrice(
        _second_of_day(fields, f"{name}.start_of_day", value.start_of_day),
        _second_of_day(fields, f"{name}.end_of_day", value.end_of_day),
        _amount(fields, f"{name}.price_per_kwh", value.price_per_kwh),
        frozenset(weekdays) if value.weekdays else frozenset(range(7)),
    )


def _second_of_day(fields: Fields, name: str, value: str) -> int:
    found = CLOCK.fullmatch(value)
    if found is not None:
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        second = hours * 3600 + minutes * 60 + seconds
        if minutes < 60 and seconds < 60 and second <= 86_400:
            return second
    fields.wrong(name, 'must be a time of day from "00:00" to "24:00", as "HH:MM" or "HH:MM:SS"')
    return 0


def _tier(fields: Fields, name: str, value: energy_pb2.PriceTier) -> Tier:
    return Tier(
        value.from_milliwatt_hours,
        _amount(fields, f"{name}.additional_price_per_kwh", value.additional_price_per_kwh),
    )


def _amount(fields: Fields, name: str, value: str) -> Decimal:
    if AMOUNT.fullmatch(value):
        return Decimal(value)
    fields.wrong(
        name, 'must be a decimal number such as "0.2475", with at most nine digits on either side of the point'
    )
    return Decimal(0)


def target(fields: Fields, request: energy_pb2.EstimateCompletionRequest) -> Target | None:
    """The target of a request; None where it is wrong."""
    match request.WhichOneof("target"):
        case "energy_milliwatt_hours":
            if request.energy_milliwatt_hours < 0:
                fields.wrong("energy_milliwatt_hours", "must not be negative")
            return EnergyTarget(request.energy_milliwatt_hours)
        case "soc_percent":
            if not 0 <= request.soc_percent <= 100:
                fields.wrong("soc_percent", "must be 0 to 100 percent")
            return SocTarget(request.soc_percent)
        case "full":
            if not request.full.HasField("expected_milliwatt_hours"):
                return FullTarget()
            if request.full.expected_milliwatt_hours < 0:
                fields.wrong("full.expected_milliwatt_hours", "must not be negative")
            return FullTarget(request.full.expected_milliwatt_hours)
    fields.wrong("target", "must be set: an energy, a state of charge or full")
    return None


def power_limits(fields: Fields, name: str, values: Sequence[energy_pb2.PowerLimit]) -> tuple[Limit, ...]:
    """Limits of power, in any order."""
    if len(values) > MAX_LIMITS:
        fields.wrong(name, f"has {len(values)} elements; at most {MAX_LIMITS} are taken")
        return ()
    return tuple(_power_limit(fields, f"{name}[{number}]", value) for number, value in enumerate(values))


def _power_limit(fields: Fields, name: str, value: energy_pb2.PowerLimit) -> Limit:
    start = fields.optional_time(f"{name}.start_time", value, "start_time") or EPOCH
    fields.present(f"{name}.start_time", value, "start_time")
    end = fields.optional_time(f"{name}.end_time", value, "end_time")
    if end is not None and end <= start:
        fields.wrong(f"{name}.end_time", "must be later than start_time")
    if not 0 <= value.watts <= MAX_WATTS:
        fields.wrong(f"{name}.watts", f"must be 0 to {MAX_WATTS:.0f}")
    return Limit(start, end, value.watts)


def battery_capacity(fields: Fields, request: energy_pb2.EstimateCompletionRequest) -> int | None:
    """The capacity of a battery; None where it is not given."""
    if not request.HasField("battery_capacity_milliwatt_hours"):
        return None
    if not 0 < request.battery_capacity_milliwatt_hours <= MAX_CAPACITY_MWH:
        fields.wrong("battery_capacity_milliwatt_hours", f"must be 1 to {MAX_CAPACITY_MWH}")
    return request.battery_capacity_milliwatt_hours


# --- answers --------------------------------------------------------------------------------------------------


def transaction_energy(found: MeteredTransaction) -> energy_pb2.TransactionEnergy:
    """The energy of a transaction, and how far it can be relied on."""
    worked_out, record = found.energy, found.record
    known = record.settlement if found.whole else EnergyRecord()
    return energy_pb2.TransactionEnergy(
        transaction_id=record.transaction_id,
        charge_point=record.charge_point,
        connector=connector(record.connector),
        transaction_state=TRANSACTION_STATE.number(record.state),
        energy=energy(worked_out.total_mwh),
        basis=ENERGY_BASIS.number(worked_out.basis),
        doubts=[ENERGY_DOUBT.number(doubt) for doubt in worked_out.doubts],
        contradicted=worked_out.contradicted,
        stop_minus_start=energy(worked_out.stop_minus_start_mwh),
        start_time=timestamp(worked_out.points[0].at),
        end_time=timestamp(worked_out.points[-1].at),
        position=int64(found.position),
        rules_version=RULES_VERSION,
        revision=known.revision,
        state=ENERGY_STATE.number(found.state),
        pending=found.pending,
        recorded_energy=energy(known.mwh),
        recorded_rules_version=known.rules_version,
        rules_differ=found.rules_differ,
        provenance=PROVENANCE.number(found.provenance),
        replayed_message_count=found.replayed,
    )


def energy_interval(interval: Interval) -> energy_pb2.EnergyInterval:
    """The energy of an interval."""
    return energy_pb2.EnergyInterval(
        start_time=timestamp(interval.start),
        end_time=timestamp(interval.end),
        energy=energy(interval.mwh),
        quality=ENERGY_QUALITY.number(interval.quality),
    )


def cost_message(cost: Cost) -> energy_pb2.Cost:
    """Return the cost of a transaction as a message."""
    return energy_pb2.Cost(
        currency=cost.currency,
        lines=[_line(line) for line in cost.lines],
        energy_amount=_plain(cost.energy_amount),
        standing_charge=_plain(cost.standing_charge),
        limit_adjustment=_plain(cost.limit_adjustment),
        rounding_adjustment=_plain(cost.rounding_adjustment),
        total=f"{cost.total:f}",
    )


def completion_response(
    found: MeteredTransaction, completion: Completion, now: datetime
) -> energy_pb2.EstimateCompletionResponse:
    """The response with an estimate."""
    return energy_pb2.EstimateCompletionResponse(
        energy=transaction_energy(found),
        state=COMPLETION_STATE.number(completion.state),
        estimate_time=timestamp(now),
        finish_time=timestamp(completion.finish),
        earliest_time=timestamp(completion.earliest),
        latest_time=timestamp(completion.latest),
        remaining=energy(completion.remaining_mwh),
    )


def _line(line: CostLine) -> energy_pb2.CostLine:
    return energy_pb2.CostLine(
        start_time=timestamp(line.start),
        end_time=timestamp(line.end),
        energy=energy(line.mwh),
        price_per_kwh=_plain(line.per_kwh),
        amount=_plain(line.amount),
        quality=ENERGY_QUALITY.number(line.quality),
        tier_index=None if line.tier is None else int32(line.tier),
    )


def _plain(amount: Decimal) -> str:
    """An exact amount without an exponent and without zeros at its end."""
    text = f"{amount:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text
