"""Operations as the command line shows them: begun, followed from stage to stage, and ended with an exit code."""

from collections.abc import Callable
from typing import Annotated, Any

import grpc
import typer

from gateway.api.v1.operation_pb2 import Operation, OperationEnd, OperationKind, OperationStage, WatchOperationRequest
from gateway.cli.commands_send import ask
from gateway.cli.connection import as_dict, moment
from gateway.cli.exit_codes import ExitCode
from gateway.cli.output import Interrupted, fail, local, note, print_json, say
from gateway.client import GatewayClient

ENDS = {
    OperationEnd.OPERATION_END_NO_EFFECT: ExitCode.FAILED,
    OperationEnd.OPERATION_END_REFUSED: ExitCode.REFUSED,
    OperationEnd.OPERATION_END_TIMED_OUT: ExitCode.OUTCOME_UNKNOWN,
    OperationEnd.OPERATION_END_OFFLINE: ExitCode.NOT_SENT,
    OperationEnd.OPERATION_END_NOT_SENT: ExitCode.NOT_SENT,
    OperationEnd.OPERATION_END_UNKNOWN: ExitCode.OUTCOME_UNKNOWN,
    OperationEnd.OPERATION_END_ROLLED_BACK: ExitCode.FAILED,
}
"""Exit codes of ends other than DONE."""

NoWaitOption = Annotated[
    bool, typer.Option("--no-wait", help="Return when it is accepted; `gateway charge show` shows how it ended.")
]


def carry(gateway: GatewayClient, call: Callable[..., Any], message: Any, wait: bool, json: bool) -> None:
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
        fail(f"{operation.charge_point}: {kind_name(operation)}: {_word(name)}{reason}", code, name, metadata)
    if wait and not json:
        say(f"{operation.charge_point}: {kind_name(operation)}: done", "green")


def _follow(gateway: GatewayClient, operation: Operation, json: bool) -> Operation:
    """The operation at its end; its stages are shown as they are reached."""
    shown = 0
    request = WatchOperationRequest(operation_id=operation.operation_id)
    try:
        for response in gateway.operations.WatchOperation(request):
            operation = response.operation
            for each in operation.stages[shown:]:
                if not json:
                    note(f"{local(moment(each, 'reach_time'))}  {stage_name(each.stage)}")
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


def kind_name(operation: Operation) -> str:
    return _word(OperationKind.Name(operation.kind).removeprefix("OPERATION_KIND_"))


def stage_name(stage: OperationStage.ValueType) -> str:
    return _word(OperationStage.Name(stage).removeprefix("OPERATION_STAGE_"))


def state_name(operation: Operation) -> str:
    """The end with its reason, or the stage of one that is open."""
    if not operation.end:
        return stage_name(operation.stages[-1].stage) if operation.stages else ""
    end = _word(OperationEnd.Name(operation.end).removeprefix("OPERATION_END_"))
    return f"{end} ({operation.reason})" if operation.reason else end


def _word(name: str) -> str:
    return name.lower().replace("_", " ")
