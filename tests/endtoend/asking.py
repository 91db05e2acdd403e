"""Commands and errors over gRPC, as tests from end to end need them."""

import uuid
from collections.abc import Callable
from typing import Any, TypeVar

import grpc
import trio
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from gateway.api.v1 import command_pb2 as commands
from gateway.api.v1 import common_pb2 as common
from tests.endtoend.gateway_process import RPC_SECONDS, Gateway

T = TypeVar("T")

CONNECTOR = common.ConnectorAddress(evse=1, connector=1)


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Run what blocks beside the chargers' tasks."""
    return await trio.to_thread.run_sync(function, *arguments)


def trigger(gateway: Gateway, identity: str, seconds: float = RPC_SECONDS) -> commands.TriggerMessageResponse:
    """TriggerMessage(Heartbeat): a command that changes nothing."""
    return gateway.commands.TriggerMessage(
        commands.TriggerMessageRequest(
            charge_point=identity,
            request_id=str(uuid.uuid4()),
            requested_message=commands.TRIGGERED_MESSAGE_HEARTBEAT,
        ),
        timeout=seconds,
    )


def failure(function: Callable[..., Any], *arguments: Any) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    """Status, reason and metadata of a call that must fail."""
    try:
        answer = function(*arguments)
    except grpc.RpcError as error:
        return error.code(), *reason_of(error)
    raise AssertionError(f"expected an error, got {answer}")


def command(gateway: Gateway, command_id: str) -> commands.Command:
    """GetCommand."""
    return gateway.commands.GetCommand(commands.GetCommandRequest(command_id=command_id), timeout=RPC_SECONDS).command


def reason_of(error: grpc.RpcError) -> tuple[str, dict[str, str]]:
    """Reason and metadata of an error; an empty reason: it has none."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # of a call it is a Call, too
    for detail in status.details if status is not None else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info.reason, dict(info.metadata)
    return "", {}
