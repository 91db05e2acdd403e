"""`gateway charge`: charging on and off, paused and limited, followed until a meter has shown it."""

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

import grpc
import typer

from gateway.api.v1.common_pb2 import ChargingRateUnit
from gateway.api.v1.operation_pb2 import (
    GetOperationRequest,
    LimitChargingRequest,
    ListOperationsRequest,
    Operation,
    OperationEnd,
    OperationKind,
    OperationStage,
    PauseChargingRequest,
    ResumeChargingRequest,
    StartChargingRequest,
    StopChargingRequest,
    WatchOperationRequest,
)
from gateway.api.v1.steering_pb2 import RateLimit
from gateway.cli.commands_send import ChargePointArgument, RequestIdOption, TransactionOption, ask
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
from gateway.cli.exit_codes import ExitCode
from gateway.cli.limit import rate
from gateway.cli.output import Interrupted, JsonOption, facts, fail, local, note, out, print_json, say, table
from gateway.cli.transactions import ChargerOption, LimitOption
from gateway.client import GatewayClient

app = typer.Typer(no_args_is_help=True)

ENDS = {
    OperationEnd.OPERATION_END_NO_EFFECT: ExitCode.FAILED,
    OperationEnd.OPERATION_END_REFUSED: ExitCode.REFUSED,
    OperationEnd.OPERATION_END_TIMED_OUT: ExitCode.OUTCOME_UNKNOWN,
    OperationEnd.OPERATION_END_OFFLINE: ExitCode.NOT_SENT,
    OperationEnd.OPERATION_END_NOT_SENT: ExitCode.NOT_SENT,
    OperationEnd.OPERATION_END_UNKNOWN: ExitCode.OUTCOME_UNKNOWN,
}
"""Exit codes of ends other than DONE."""

NoWaitOption = Annotated[
    bool, typer.Option("--no-wait", help="Return when it is accepted; `gateway charge show` shows how it ended.")
]


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
        _carry(gateway, gateway.operations.StartCharging, message, not no_wait, json)


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
        _carry(gateway, gateway.operations.StopCharging, message, not no_wait, json)


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
        _carry(gateway, gateway.operations.PauseCharging, message, not no_wait, json)


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
        _carry(gateway, gateway.operations.ResumeCharging, message, not no_wait, json)


@app.command("limit")
def limit_(
    charge_point: ChargePointArgument,
    amps: Annotated[
        Decimal | None, typer.Option(parser=rate, metavar="NUMBER", help="The most in amperes, for each phase.")
    ] = None,
    watts: Annotated[
        Decimal | None, typer.Option(parser=rate, metavar="NUMBER", help="The most in watts, over all phases.")
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
    message = LimitChargingRequest(
        charge_point=charge_point,
        request_id=request_id(request),
        connector=None if connector_id is None else connector(connector_id),
        limit=most,
    )
    with connect(target) as gateway:
        _carry(gateway, gateway.operations.LimitCharging, message, not no_wait, json)


@app.command("list")
def list_(
    charge_point: ChargerOption = "",
    limit: LimitOption = 50,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """List operations, the newest first."""
    request = ListOperationsRequest(charge_point=charge_point)
    with connect(target) as gateway:
        found = list(pages(gateway.operations.ListOperations, request, lambda page: page.operations, limit=limit))
        if charge_point and not found:
            must_exist(gateway, charge_point)
    if json:
        print_json([as_dict(each) for each in found])
        return
    rows = [
        (each.operation_id, each.charge_point, _kind(each), _state(each), local(moment(each, "create_time")))
        for each in found
    ]
    out().print(table("~operation", "charger", "kind", "~state", "created", rows=rows))
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
        ("kind", _kind(found)),
        ("connector", connector_name(found.connector) if found.HasField("connector") else ""),
        ("tag", found.id_tag),
        ("limit", _limit(found.limit) if found.HasField("limit") else ""),
        ("state", _state(found)),
        ("transaction", found.transaction_id),
        ("command", found.command_id),
        ("expires", local(moment(found, "expire_time"))),
        *((_stage(each.stage), local(moment(each, "reach_time"))) for each in found.stages),
        ("ended", local(moment(found, "end_time"))),
    )
    out().print(facts(pairs))


def _carry(gateway: GatewayClient, call: Callable[..., Any], message: Any, wait: bool, json: bool) -> None:
    """Begin an operation, and follow it to its end. Raises CommandFailed where that is not DONE; Interrupted on Ctrl-C,
    for the operation goes on."""
    operation: Operation = ask(call, message).operation
    if wait:
        operation = _follow(gateway, operation, json)
    elif not json:
        note(f"accepted: gateway charge show {operation.operation_id} shows how it ended")
    if json:
        print_json(as_dict(operation))
    code = ENDS.get(operation.end)
    if code is not None:
        name = OperationEnd.Name(operation.end).removeprefix("OPERATION_END_")
        metadata = {"charge_point": operation.charge_point, "operation_id": operation.operation_id}
        reason = f" ({operation.reason})" if operation.reason else ""
        fail(f"{operation.charge_point}: {_kind(operation)}: {_word(name)}{reason}", code, name, metadata)
    if wait and not json:
        say(f"{operation.charge_point}: {_kind(operation)}: done", "green")


def _follow(gateway: GatewayClient, operation: Operation, json: bool) -> Operation:
    """The operation at its end; its stages are shown as they are reached."""
    shown = 0
    request = WatchOperationRequest(operation_id=operation.operation_id)
    try:
        for response in gateway.operations.WatchOperation(request):
            operation = response.operation
            for each in operation.stages[shown:]:
                if not json:
                    note(f"{local(moment(each, 'reach_time'))}  {_stage(each.stage)}")
            shown = len(operation.stages)
    except grpc.RpcError as error:
        fail(
            f"the watch of the operation broke ({error.code().name}); it goes on: "
            f"gateway charge show {operation.operation_id}",
            ExitCode.OUTCOME_UNKNOWN,
            "OUTCOME_UNKNOWN",
            {"charge_point": operation.charge_point, "operation_id": operation.operation_id},
        )
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted: the operation goes on; gateway charge show {operation.operation_id} shows how it ended"
        ) from None
    return operation


def _limit(limit: RateLimit) -> str:
    unit = "W" if limit.unit == ChargingRateUnit.CHARGING_RATE_UNIT_WATTS else "A"
    return f"{limit.value:g} {unit}"


def _kind(operation: Operation) -> str:
    return _word(OperationKind.Name(operation.kind).removeprefix("OPERATION_KIND_"))


def _stage(stage: OperationStage.ValueType) -> str:
    return _word(OperationStage.Name(stage).removeprefix("OPERATION_STAGE_"))


def _state(operation: Operation) -> str:
    """The end with its reason, or the stage of one that is open."""
    if not operation.end:
        return _stage(operation.stages[-1].stage) if operation.stages else ""
    end = _word(OperationEnd.Name(operation.end).removeprefix("OPERATION_END_"))
    return f"{end} ({operation.reason})" if operation.reason else end


def _word(name: str) -> str:
    return name.lower().replace("_", " ")
