"""A charger's use, reservations and lists: `gateway availability|reserve|cancel-reservation|clear-cache|schedule`,
`gateway diagnostics` and `gateway local-list`.

Each waits for the charger's answer, as the commands of ``commands_send`` do.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from gateway.api.v1 import command_pb2 as api
from gateway.api.v1 import common_pb2
from gateway.cli.commands_send import RequestIdOption, answered, ask
from gateway.cli.completion import ChargePointArgument
from gateway.cli.connection import (
    DEFAULT_TARGET,
    TargetOption,
    as_dict,
    connect,
    connector,
    duration,
    moment,
    request_id,
    timestamp,
)
from gateway.cli.maintenance import Location, Retries, RetryInterval, Time, typed
from gateway.cli.option_values import moment_of, one_of, spelled
from gateway.cli.output import JsonOption, local, out, print_json, say, table

AnyConnector = Annotated[
    int, typer.Option("--connector", min=0, help="Which connector; 0: the charger as a whole.", show_default=True)
]
LONGEST_HOURS = 24 * 366
"""Of a schedule that is asked for: what is planned for a charger is a day or two."""


class Use(StrEnum):
    """Into use, or out of it."""

    IN = "in"
    OUT = "out"


def availability(
    charge_point: ChargePointArgument,
    use: Annotated[
        Use, typer.Argument(parser=one_of(Use), metavar=spelled(Use).upper(), help="Into use (in), or out of it (out).")
    ],
    connector_id: AnyConnector = 0,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Take a charger or a connector into use, or out of it. Scheduled: once its transaction is over."""
    kinds = {Use.IN: api.AVAILABILITY_TYPE_OPERATIVE, Use.OUT: api.AVAILABILITY_TYPE_INOPERATIVE}
    message = api.ChangeAvailabilityRequest(
        charge_point=charge_point, request_id=request_id(request), connector=connector(connector_id), type=kinds[use]
    )
    with connect(target) as gateway:
        answered(gateway.commands.ChangeAvailability, message, json, "the change")


def reserve(
    charge_point: ChargePointArgument,
    tag: Annotated[str, typer.Option(help="The idTag that it is for.")],
    until: Annotated[
        datetime,
        typer.Option(parser=moment_of, metavar="TIME", help="As 2026-12-31T18:00:00; without a zone, local time."),
    ],
    number: Annotated[int, typer.Option(help="Your number for it; one with the same number is replaced.")],
    connector_id: AnyConnector = 0,
    group: Annotated[str | None, typer.Option(help="The parent idTag of those who may use it as well.")] = None,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Reserve a connector of a charger for a tag."""
    message = api.ReserveNowRequest(
        charge_point=charge_point,
        request_id=request_id(request),
        connector=connector(connector_id),
        expire_time=timestamp(until),
        id_tag=tag,
        reservation_id=number,
        parent_id_tag=group,
    )
    with connect(target) as gateway:
        answered(gateway.commands.ReserveNow, message, json, "the reservation")


def cancel_reservation(
    charge_point: ChargePointArgument,
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="The number that it was made with.")],
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Cancel a reservation."""
    message = api.CancelReservationRequest(
        charge_point=charge_point, request_id=request_id(request), reservation_id=number
    )
    with connect(target) as gateway:
        answered(gateway.commands.CancelReservation, message, json, "the cancellation")


def clear_cache(
    charge_point: ChargePointArgument,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Have a charger forget the tags that it remembers."""
    message = api.ClearCacheRequest(charge_point=charge_point, request_id=request_id(request))
    with connect(target) as gateway:
        answered(gateway.commands.ClearCache, message, json, "the clearing")


class Unit(StrEnum):
    """Units of limits."""

    AMPERE = "A"
    WATT = "W"


def schedule(
    charge_point: ChargePointArgument,
    hours: Annotated[float, typer.Option(min=0.001, max=LONGEST_HOURS, help="For how long from now.")] = 24.0,
    connector_id: AnyConnector = 0,
    unit: Annotated[
        Unit | None,
        typer.Option(parser=one_of(Unit), metavar=spelled(Unit), help="Without it the charger chooses."),
    ] = None,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Ask a charger for the limits that its profiles come to (GetCompositeSchedule)."""
    units = {
        None: common_pb2.CHARGING_RATE_UNIT_UNSPECIFIED,
        Unit.AMPERE: common_pb2.CHARGING_RATE_UNIT_AMPERES,
        Unit.WATT: common_pb2.CHARGING_RATE_UNIT_WATTS,
    }
    message = api.GetCompositeScheduleRequest(
        charge_point=charge_point,
        request_id=request_id(request),
        connector=connector(connector_id),
        duration=duration(round(hours * 3600)),
        rate_unit=units[unit],
    )
    with connect(target) as gateway:
        response = answered(gateway.commands.GetCompositeSchedule, message, json, "the schedule")
    if json:
        return
    shown = "A" if response.schedule.rate_unit == common_pb2.CHARGING_RATE_UNIT_AMPERES else "W"
    begin = moment(response, "schedule_start_time") or datetime.now(UTC)
    rows = [
        (local(begin + each.start_period.ToTimedelta()), f"{each.limit:g} {shown}", each.number_phases or "")
        for each in response.schedule.periods
    ]
    out().print(table("from", ">limit", ">phases", rows=rows, empty="no schedule"))


def upload_diagnostics(
    charge_point: ChargePointArgument,
    location: Location,
    since: Time = None,
    until: Time = None,
    retries: Retries = None,
    retry_interval: RetryInterval = None,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Have a charger upload its diagnostics (GetDiagnostics). `gateway watch` shows how that goes."""
    message = api.GetDiagnosticsRequest(
        charge_point=charge_point,
        request_id=request_id(request),
        location=typed(location),
        retries=retries,
        retry_interval=None if retry_interval is None else duration(retry_interval),
        start_time=None if since is None else timestamp(since),
        stop_time=None if until is None else timestamp(until),
    )
    with connect(target) as gateway:
        response = ask(gateway.commands.GetDiagnostics, message)
    if json:
        print_json(as_dict(response))
    elif response.HasField("file_name"):
        say(f"{charge_point} uploads {response.file_name}", "green")
    else:
        say(f"{charge_point} has nothing to upload")


# --- local lists ------------------------------------------------------------------------------------------------------

local_list = typer.Typer(no_args_is_help=True)


@local_list.callback()
def local_list_() -> None:
    """Tags that a charger lets in while the gateway is out of its reach."""


@local_list.command("version")
def version(
    charge_point: ChargePointArgument,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Ask a charger for the version of its list."""
    message = api.GetLocalListVersionRequest(charge_point=charge_point, request_id=request_id(request))
    with connect(target) as gateway:
        response = ask(gateway.commands.GetLocalListVersion, message)
    if json:
        print_json(as_dict(response))
    elif response.list_version < 0:
        say(f"{charge_point} has no local list")
    else:
        say(f"{charge_point}: version {response.list_version}")


@local_list.command("send")
def send(
    charge_point: ChargePointArgument,
    number: Annotated[int, typer.Option("--version", min=1, help="The version that the list will then have.")],
    tags: Annotated[list[str] | None, typer.Argument(metavar="TAG", help="Tags that are let in.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="A tag to take out; repeat it.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Replace the list; otherwise it is changed.")] = False,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Send a charger its list, or changes of it. --full without tags clears it."""
    if full and remove:
        raise typer.BadParameter("--full replaces the list: leave out --remove")
    if not full and not tags and not remove:
        raise typer.BadParameter("name tags, or --remove some; --full clears the list")
    accepted = api.AuthorizationStatus.AUTHORIZATION_STATUS_ACCEPTED
    kind = api.LOCAL_LIST_UPDATE_TYPE_FULL if full else api.LOCAL_LIST_UPDATE_TYPE_DIFFERENTIAL
    message = api.SendLocalListRequest(
        charge_point=charge_point,
        request_id=request_id(request),
        list_version=number,
        update_type=kind,
        entries=[
            *(api.LocalListEntry(id_tag=each, status=accepted) for each in tags or ()),
            *(api.LocalListEntry(id_tag=each) for each in remove or ()),
        ],
    )
    with connect(target) as gateway:
        answered(gateway.commands.SendLocalList, message, json, "the list")
