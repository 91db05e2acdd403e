"""`gateway charge`: charging on and off, paused and limited, followed until a meter has shown it."""

from decimal import Decimal
from typing import Annotated

import typer

from gateway.api.v1.common_pb2 import ChargingRateUnit
from gateway.api.v1.operation_pb2 import (
    GetOperationRequest,
    LimitChargingRequest,
    ListOperationsRequest,
    PauseChargingRequest,
    ResumeChargingRequest,
    StartChargingRequest,
    StopChargingRequest,
)
from gateway.api.v1.steering_pb2 import RateLimit
from gateway.cli.commands_send import RequestIdOption, TransactionOption
from gateway.cli.completion import ChargePointArgument, ChargerOption
from gateway.cli.connection import (
    DEFAULT_TARGET,
    READ_SECONDS,
    TargetOption,
    as_dict,
    connect,
    connector,
    connector_name,
    moment,
    must_exist,
    pages,
    request_id,
)
from gateway.cli.limit import rate
from gateway.cli.list_options import FilterOption, LabelOption, OrderOption
from gateway.cli.operation_course import NoWaitOption, carry, kind_name, stage_name, state_name
from gateway.cli.output import JsonOption, facts, local, note, out, print_json, table
from gateway.cli.transactions import CallersOption, LimitOption

app = typer.Typer(no_args_is_help=True)


@app.callback()
def charge() -> None:
    """Switch charging on and off, and see it done."""


@app.command()
def start(
    charge_point: ChargePointArgument,
    tag: Annotated[str, typer.Option(help="The idTag to charge for.")],
    connector_id: Annotated[
        int | None, typer.Option("--connector", min=1, help="Which connector; without it the charger chooses.")
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Begin it although the gateway sees that the charger can't do it.")
    ] = False,
    no_wait: NoWaitOption = False,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Start charging, and wait until the meter shows it."""
    message = StartChargingRequest(
        charge_point=charge_point,
        request_id=request_id(request),
        id_tag=tag,
        connector=None if connector_id is None else connector(connector_id),
        insist=anyway,
    )
    with connect(target) as gateway:
        carry(gateway, gateway.operations.StartCharging, message, not no_wait, json)


@app.command()
def stop(
    charge_point: ChargePointArgument,
    transaction: TransactionOption = None,
    connector_id: Annotated[int | None, typer.Option("--connector", min=1, help="The one on this connector.")] = None,
    no_wait: NoWaitOption = False,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Stop charging, and wait until the transaction is over: the given one, or the only one that runs."""
    message = StopChargingRequest(
        charge_point=charge_point,
        request_id=request_id(request),
        transaction_id=transaction or "",
        connector=None if connector_id is None else connector(connector_id),
    )
    with connect(target) as gateway:
        carry(gateway, gateway.operations.StopCharging, message, not no_wait, json)


ConnectorOption = Annotated[
    int | None, typer.Option("--connector", min=1, help="Which connector; without it the whole charger.")
]


@app.command()
def pause(
    charge_point: ChargePointArgument,
    connector_id: ConnectorOption = None,
    no_wait: NoWaitOption = False,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Pause charging until it is resumed, whatever a plan says; kept for a charger that is offline."""
    message = PauseChargingRequest(
        charge_point=charge_point,
        request_id=request_id(request),
        connector=None if connector_id is None else connector(connector_id),
    )
    with connect(target) as gateway:
        carry(gateway, gateway.operations.PauseCharging, message, not no_wait, json)


@app.command()
def resume(
    charge_point: ChargePointArgument,
    connector_id: ConnectorOption = None,
    no_wait: NoWaitOption = False,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Lift a pause or a limit; a plan holds again."""
    message = ResumeChargingRequest(
        charge_point=charge_point,
        request_id=request_id(request),
        connector=None if connector_id is None else connector(connector_id),
    )
    with connect(target) as gateway:
        carry(gateway, gateway.operations.ResumeCharging, message, not no_wait, json)


@app.command("limit")
def limit_(
    charge_point: ChargePointArgument,
    amps: Annotated[
        Decimal | None, typer.Option(parser=rate, metavar="NUMBER", help="The most in amperes, for each phase.")
    ] = None,
    watts: Annotated[
        Decimal | None, typer.Option(parser=rate, metavar="NUMBER", help="The most in watts, over all phases.")
    ] = None,
    phases: Annotated[
        int | None, typer.Option(min=1, max=3, help="How many phases are used; default: as measured, else three.")
    ] = None,
    connector_id: ConnectorOption = None,
    no_wait: NoWaitOption = False,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Limit charging until it is resumed, whatever a plan says; kept for a charger that is offline."""
    if (amps is None) == (watts is None):
        raise typer.BadParameter("give --amps or --watts, one of them")
    if amps is not None:
        most = RateLimit(value=float(amps), unit=ChargingRateUnit.CHARGING_RATE_UNIT_AMPERES)
    else:
        most = RateLimit(value=float(watts or 0), unit=ChargingRateUnit.CHARGING_RATE_UNIT_WATTS)
    if phases is not None:
        most.number_phases = phases
    message = LimitChargingRequest(
        charge_point=charge_point,
        request_id=request_id(request),
        connector=None if connector_id is None else connector(connector_id),
        limit=most,
    )
    with connect(target) as gateway:
        carry(gateway, gateway.operations.LimitCharging, message, not no_wait, json)


@app.command("list")
def list_(
    charge_point: ChargerOption = "",
    caller: CallersOption = None,
    label: LabelOption = None,
    text: FilterOption = "",
    order: OrderOption = "",
    limit: LimitOption = 50,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """List operations, the newest first unless another order is asked for."""
    request = ListOperationsRequest(
        charge_point=charge_point, callers=caller or (), labels=dict(label or ()), filter=text, order_by=order
    )
    with connect(target) as gateway:
        found = list(pages(gateway.operations.ListOperations, request, lambda page: page.operations, limit=limit))
        if charge_point and not found:
            must_exist(gateway, charge_point)
    if json:
        print_json([as_dict(each) for each in found])
        return
    rows = [
        (
            each.operation_id,
            each.charge_point,
            kind_name(each),
            state_name(each),
            local(moment(each, "create_time")),
            each.caller,
        )
        for each in found
    ]
    out().print(table("~operation", "charger", "kind", "~state", "created", "~caller", rows=rows))
    if len(found) == limit:
        note(f"the newest {limit}; --limit for more")


@app.command()
def show(
    operation: Annotated[str, typer.Argument(metavar="OPERATION", help="The operation, by the gateway's id.")],
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """One operation."""
    with connect(target) as gateway:
        request = GetOperationRequest(operation_id=operation)
        found = gateway.operations.GetOperation(request, timeout=READ_SECONDS).operation
    if json:
        print_json(as_dict(found))
        return
    pairs = (
        ("operation", found.operation_id),
        ("request id", found.request_id),
        ("charger", found.charge_point),
        ("caller", found.caller),
        ("kind", kind_name(found)),
        ("connector", connector_name(found.connector) if found.HasField("connector") else ""),
        ("tag", found.id_tag),
        ("limit", _limit(found.limit) if found.HasField("limit") else ""),
        ("state", state_name(found)),
        ("transaction", found.transaction_id),
        ("command", found.command_id),
        ("expires", local(moment(found, "expire_time"))),
        *((stage_name(each.stage), local(moment(each, "reach_time"))) for each in found.stages),
        ("ended", local(moment(found, "end_time"))),
    )
    out().print(facts(pairs))


def _limit(limit: RateLimit) -> str:
    unit = "W" if limit.unit == ChargingRateUnit.CHARGING_RATE_UNIT_WATTS else "A"
    return f"{limit.value:g} {unit}"
