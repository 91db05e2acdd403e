"""`gateway limit`: a power or current limit, as the charging profile that fits the moment.

A limit has one profile per place, under a number of its own, so that a new limit replaces the one before (S §3.13.2)
and `--clear` takes away what `gateway limit` gave, and nothing else. The stack level is 0 unless given: some
wallboxes refuse any other.
"""

import json as json_
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from typing import Annotated, Any, Final

import grpc
import typer
from attrs import frozen

from gateway.api.v1 import command_pb2 as api
from gateway.api.v1 import common_pb2 as common
from gateway.api.v1.charge_point_pb2 import GetChargePointRequest
from gateway.cli.commands_send import (
    RequestIdOption,
    TransactionOption,
    answered,
    ask,
    open_transactions,
    the_only,
)
from gateway.cli.completion import ChargePointArgument
from gateway.cli.connection import (
    DEFAULT_TARGET,
    READ_SECONDS,
    TargetOption,
    as_dict,
    connect,
    connector,
    connector_name,
    duration,
    request_id,
    timestamp,
)
from gateway.cli.exit_codes import ExitCode
from gateway.cli.output import JsonOption, fail, note, print_json, say
from gateway.client import GatewayClient

WHOLE_PROFILE_ID = 1000
DEFAULT_PROFILE_IDS = 2000
TX_PROFILE_IDS = 3000
"""Numbers of our profiles: one for the charge point, one per connector for its default and for its transaction."""

CLOCK_SLACK = timedelta(minutes=10)
"""An absolute schedule starts so long ago: a charger whose clock is behind applies it at once (B10.11)."""

TENTH = Decimal("0.1")
"""The resolution of a limit on the wire (S §7.14)."""

MAX_RATE = 10_000_000
"""What the gateway takes at most: no charge point's, in W or A."""

MAX_CONNECTOR = 1_000_000
"""Beyond all that there are; with it the number of a profile is made."""

MAX_MINUTES = (2**31 - 1) // 60 - int(CLOCK_SLACK.total_seconds() // 60)
"""Durations on the wire are seconds in 32 bits."""

Purpose = common.ChargingProfilePurpose

PURPOSES: Final = {
    "ChargePointMaxProfile": Purpose.CHARGING_PROFILE_PURPOSE_CHARGE_POINT_MAX_PROFILE,
    "TxDefaultProfile": Purpose.CHARGING_PROFILE_PURPOSE_TX_DEFAULT_PROFILE,
    "TxProfile": Purpose.CHARGING_PROFILE_PURPOSE_TX_PROFILE,
}
"""By their names in the arguments of a command."""


@frozen
class Place:
    """The target of a limit: a running transaction, a connector's transactions to come, or the charge point."""

    purpose: Purpose.ValueType
    connector: common.ConnectorAddress
    transaction_id: str | None = None

    @property
    def profile_id(self) -> int:
        """The number of this place's profile."""
        if self.purpose == Purpose.CHARGING_PROFILE_PURPOSE_CHARGE_POINT_MAX_PROFILE:
            return WHOLE_PROFILE_ID
        if self.purpose == Purpose.CHARGING_PROFILE_PURPOSE_TX_DEFAULT_PROFILE:
            return DEFAULT_PROFILE_IDS + int(self.connector.evse)
        return TX_PROFILE_IDS + int(self.connector.evse)

    def is_named_by(self, connector_id: int | None, transaction_id: str | None) -> bool:
        """Return whether what was typed of it fits."""
        return connector_id in (None, self.connector.evse) and transaction_id in (None, self.transaction_id)

    def __str__(self) -> str:
        if self.purpose == Purpose.CHARGING_PROFILE_PURPOSE_CHARGE_POINT_MAX_PROFILE:
            return "the limit of the whole charge point (ChargePointMaxProfile)"
        if self.purpose == Purpose.CHARGING_PROFILE_PURPOSE_TX_DEFAULT_PROFILE:
            return f"the default limit of connector {connector_name(self.connector)} (TxDefaultProfile)"
        return f"the limit of the transaction on connector {connector_name(self.connector)} (TxProfile)"


def rate(text: str) -> Decimal:
    """A limit as typed, exactly: binary fractions would make more of some. Raises BadParameter."""
    try:
        value = Decimal(text.strip()) if text.isascii() and "_" not in text else Decimal("NaN")
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or not 0 <= value <= MAX_RATE:
        raise typer.BadParameter(f"expected a number from 0 to {MAX_RATE}, found {text!r}")
    return value


def limit(
    charge_point: ChargePointArgument,
    amps: Annotated[
        Decimal | None,
        typer.Option(parser=rate, metavar="NUMBER", help="The limit in amperes, for each phase; rounded down to 0.1."),
    ] = None,
    watts: Annotated[
        Decimal | None,
        typer.Option(parser=rate, metavar="NUMBER", help="The limit in watts, over all phases; rounded down to 0.1."),
    ] = None,
    connector_id: Annotated[
        int | None,
        typer.Option("--connector", min=0, max=MAX_CONNECTOR, help="Which connector; 0: the whole charge point."),
    ] = None,
    transaction: TransactionOption = None,
    phases: Annotated[int | None, typer.Option(min=1, max=3, help="How many phases may be used.")] = None,
    minutes: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_MINUTES, help="How long it holds; else until cleared, or the transaction's end."),
    ] = None,
    stack_level: Annotated[int, typer.Option(min=0, help="Higher levels prevail; some wallboxes take only 0.")] = 0,
    clear: Annotated[bool, typer.Option("--clear", help="Take away the limits that this command has set.")] = False,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Limit a charger's power, or take the limit away (--clear).

    While a transaction runs, the limit is for it alone (TxProfile) and ends with it. With none running it is for the
    whole charge point (ChargePointMaxProfile on connector 0) or, with --connector, for the transactions to come on
    that connector (TxDefaultProfile); both stay until cleared. --connector 0 means the whole charge point in any case.
    """
    if clear:
        if any(each is not None for each in (amps, watts, transaction, request, phases, minutes)) or stack_level:
            raise typer.BadParameter("--clear takes away what was set before: it goes with --connector, and no limit")
        with connect(target) as gateway:
            _clear(gateway, charge_point, connector_id, json)
        return
    if (amps is None) == (watts is None):
        raise typer.BadParameter("give --amps or --watts, one of them, or --clear to take a limit away")
    option, unit, asked = ("--watts", "W", watts) if amps is None else ("--amps", "A", amps)
    assert asked is not None
    value = rounded_down(asked, option)
    with connect(target) as gateway:
        earlier = None if request is None else _sent_before(gateway, charge_point, request)
        if earlier is not None and earlier[0].is_named_by(connector_id, transaction):
            place, begins = earlier
        else:
            place, begins = find_place(gateway, charge_point, connector_id, transaction), None
        message = api.SetChargingProfileRequest(
            charge_point=charge_point,
            request_id=request_id(request),
            connector=place.connector,
            charging_profile=profile(place, schedule(value, unit, phases, minutes), stack_level, begins),
        )
        set_to = {"limit": str(value), "rate_unit": unit, "applies_to": str(place)}
        answered(gateway.commands.SetChargingProfile, message, json, str(place), set_to)
    if not json:
        say(f"set: {place}: {value} {unit}")
    if value != asked:
        note(f"{asked} {unit} was rounded down to {value} {unit}: OCPP has one decimal")


def find_place(
    gateway: GatewayClient, charge_point: str, connector_id: int | None, transaction_id: str | None
) -> Place:
    """Return the target of a limit. Raises CommandFailed where that is not clear."""
    if connector_id == 0 and transaction_id is None:
        return _whole()
    running = open_transactions(gateway, charge_point, connector_id)
    if transaction_id is not None:
        running = [each for each in running if each.transaction_id == transaction_id]
        if not running:
            fail(
                f"{charge_point}: transaction {transaction_id} is not running there",
                ExitCode.NOT_FOUND,
                "NO_TRANSACTION",
                {"charge_point": charge_point},
            )
    if running:
        found = the_only(running, charge_point, "limit")
        return Place(Purpose.CHARGING_PROFILE_PURPOSE_TX_PROFILE, found.connector, found.transaction_id)
    if connector_id is None:
        return _whole()
    return Place(Purpose.CHARGING_PROFILE_PURPOSE_TX_DEFAULT_PROFILE, connector(connector_id))


def _sent_before(gateway: GatewayClient, charge_point: str, request: str) -> tuple[Place, datetime] | None:
    """Return the target and the beginning of the limit that the same request set before: of that it is a repeat, and of
    no other, whatever runs by now and however late it is."""
    asked = api.GetCommandRequest(charge_point=charge_point, request_id=request)
    try:
        found = gateway.commands.GetCommand(asked, timeout=READ_SECONDS).command
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return None
        raise
    try:
        arguments = json_.loads(found.arguments_json)
        address, given = arguments["connector"], arguments["profile"]
        place = Place(
            PURPOSES[given["purpose"]],
            common.ConnectorAddress(evse=address["evse"], connector=address["connector"]),
            given.get("transaction_id"),
        )
        begun = given["schedule"].get("start_schedule")
        return place, datetime.now(UTC) if begun is None else datetime.fromisoformat(begun) + CLOCK_SLACK
    except (KeyError, TypeError, ValueError, AttributeError):
        return None  # another command's: the gateway refuses the id


def rounded_down(asked: Decimal, option: str) -> Decimal:
    """The highest limit that OCPP can tell (one decimal, S §7.14) and that is not above the one asked for.

    Raises BadParameter where that would be 0 and 0 was not asked for: it would stop the charging.
    """
    value = asked.quantize(TENTH, rounding=ROUND_DOWN)
    if value == 0 and asked > 0:
        raise typer.BadParameter(
            f"{asked} would become 0, which stops the charging: OCPP has one decimal; the least limit is 0.1",
            param_hint=option,
        )
    return value


def schedule(limit: Decimal, unit: str, phases: int | None, minutes: int | None) -> common.ChargingSchedule:
    """One limit, from now on. ``unit`` is A or W; ``limit`` has one decimal at most."""
    units = common.ChargingRateUnit
    return common.ChargingSchedule(
        rate_unit=units.CHARGING_RATE_UNIT_WATTS if unit == "W" else units.CHARGING_RATE_UNIT_AMPERES,
        periods=[common.ChargingSchedulePeriod(start_period=duration(0), limit=float(limit), number_phases=phases)],
        duration=None if minutes is None else duration(minutes * 60),
    )


def profile(
    place: Place, limits: common.ChargingSchedule, stack_level: int, begins: datetime | None = None
) -> common.ChargingProfile:
    """The profile of a place. Without an end it is relative for a transaction, whose own start is the only clock that
    counts; everything else is absolute, from a little before it begins, which is
    now unless said otherwise."""
    kind = common.ChargingProfileKind
    made = common.ChargingProfile(
        charging_profile_id=place.profile_id,
        transaction_id=place.transaction_id,
        stack_level=stack_level,
        purpose=place.purpose,
        kind=kind.CHARGING_PROFILE_KIND_RELATIVE,
        schedule=limits,
    )
    if place.transaction_id is None or limits.HasField("duration"):
        start = (begins or datetime.now(UTC)).replace(microsecond=0) - CLOCK_SLACK
        made.kind = kind.CHARGING_PROFILE_KIND_ABSOLUTE
        made.schedule.start_schedule_time.CopyFrom(timestamp(start))
        if limits.HasField("duration"):
            lasts = limits.duration.ToTimedelta() + CLOCK_SLACK
            made.schedule.duration.FromTimedelta(lasts)
    return made


def _whole() -> Place:
    return Place(Purpose.CHARGING_PROFILE_PURPOSE_CHARGE_POINT_MAX_PROFILE, connector(0))


# --- clearing -------------------------------------------------------------------------------------------------


def _clear(gateway: GatewayClient, charge_point: str, connector_id: int | None, json: bool) -> None:
    """Remove our profiles by their numbers. Those that are not there are nothing to do."""
    responses = []
    for place in _places(gateway, charge_point, connector_id):
        message = api.ClearChargingProfileRequest(
            charge_point=charge_point, request_id=request_id(), charging_profile_id=place.profile_id
        )
        response = ask(gateway.commands.ClearChargingProfile, message)
        responses.append(response)
        if response.status == api.ClearChargingProfileStatus.CLEAR_CHARGING_PROFILE_STATUS_ACCEPTED and not json:
            say(f"cleared: {place}")
    if json:
        print_json([as_dict(each) for each in responses])
    elif not any(_cleared(each) for each in responses):
        say(f"{charge_point} had no limit that `gateway limit` has set")


def _cleared(response: Any) -> bool:
    return bool(response.status == api.ClearChargingProfileStatus.CLEAR_CHARGING_PROFILE_STATUS_ACCEPTED)


def _places(gateway: GatewayClient, charge_point: str, connector_id: int | None) -> Iterator[Place]:
    """Return all targets that may have limits: the charge point and each connector that it has reported."""
    if connector_id is None or connector_id == 0:
        yield _whole()
    if connector_id == 0:
        return
    if connector_id is not None:
        connectors = [connector(connector_id)]
    else:
        request = GetChargePointRequest(identity=charge_point)
        found = gateway.charge_points.GetChargePoint(request, timeout=READ_SECONDS).charge_point
        connectors = [each.connector for each in found.connectors if each.connector.evse > 0]
    for address in connectors:
        yield Place(Purpose.CHARGING_PROFILE_PURPOSE_TX_PROFILE, address)
        yield Place(Purpose.CHARGING_PROFILE_PURPOSE_TX_DEFAULT_PROFILE, address)
