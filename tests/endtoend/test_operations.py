"""Operations on charging against the gateway as a process, which is killed in the middle of one."""

from gateway.api.v1 import operation_pb2 as pb
from gateway.api.v1.common_pb2 import ConnectorAddress
from gateway.api.v1.operation_pb2_grpc import OperationServiceStub
from tests.endtoend.asking import in_thread
from tests.endtoend.charger import Charger, chargers, now
from tests.endtoend.gateway_process import RPC_SECONDS, Gateway

ONE = ConnectorAddress(evse=1, connector=1)
WATCH_SECONDS = 30.0


def started(gateway: Gateway, request_id: str) -> pb.Operation:
    request = pb.StartChargingRequest(charge_point="CP1", request_id=request_id, id_tag="TAG", connector=ONE)
    return OperationServiceStub(gateway.channel).StartCharging(request, timeout=RPC_SECONDS).operation


def stopped(gateway: Gateway, request_id: str) -> pb.Operation:
    request = pb.StopChargingRequest(charge_point="CP1", request_id=request_id, connector=ONE)
    return OperationServiceStub(gateway.channel).StopCharging(request, timeout=RPC_SECONDS).operation


def watched(gateway: Gateway, operation: pb.Operation) -> pb.Operation:
    """The operation at its end."""
    request = pb.WatchOperationRequest(operation_id=operation.operation_id, after_sequence=operation.sequence)
    stream = OperationServiceStub(gateway.channel).WatchOperation(request, timeout=WATCH_SECONDS)
    *_, last = [response.operation for response in stream]
    return last


def reached(gateway: Gateway, operation: pb.Operation, stage: pb.OperationStage.ValueType) -> pb.Operation:
    """The operation once it has reached a stage."""
    request = pb.WatchOperationRequest(operation_id=operation.operation_id)
    stream = OperationServiceStub(gateway.channel).WatchOperation(request, timeout=WATCH_SECONDS)
    for response in stream:
        if response.operation.stages[-1].stage == stage:
            return response.operation
    raise AssertionError("it ended before")


async def meters(charger: Charger, number: int, watts: int) -> None:
    sampled = [{"value": str(watts), "measurand": "Power.Active.Import", "unit": "W"}]
    values = [{"timestamp": now(), "sampledValue": sampled}]
    await charger.call("MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": values})


async def test_charging_goes_on_and_off_though_the_gateway_is_killed(gateway: Gateway) -> None:
    """The start is sent once; its end is watched after the restart, and so is the stop's."""
    gateway.add_charge_point("CP1")
    gateway.add_tag("TAG")
    async with chargers(gateway, "CP1") as (charger,):
        await charger.status("Preparing")
        start = await in_thread(started, gateway, "on")
        await charger.is_asked("RemoteStartTransaction")
        await in_thread(reached, gateway, start, pb.OperationStage.OPERATION_STAGE_CHARGER_ACCEPTED)
        await in_thread(gateway.kill)
        await charger.sees_the_end()
    await in_thread(gateway.start)
    async with chargers(gateway, "CP1") as (charger,):
        begun = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": now()}
        number = (await charger.call("StartTransaction", begun))["transactionId"]
        await meters(charger, number, 7000)
        ended = await in_thread(watched, gateway, start)
        assert (ended.end, ended.reason) == (pb.OperationEnd.OPERATION_END_DONE, "")
        assert await in_thread(started, gateway, "on") == ended  # the same request again
        assert not any(action == "RemoteStartTransaction" for action, _ in charger.asked)

        stop = await in_thread(stopped, gateway, "off")
        await charger.is_asked("RemoteStopTransaction")
        over = {"transactionId": number, "meterStop": 900, "timestamp": now(), "reason": "Remote"}
        await charger.call("StopTransaction", over)
        ended = await in_thread(watched, gateway, stop)
        assert ended.end == pb.OperationEnd.OPERATION_END_DONE
        assert ended.transaction_id == stop.transaction_id
    sent = [each for each in gateway.history("CP1") if each.type == "command.sent"]
    asked = [each.command_sent.operation for each in sent if "Remote" in each.command_sent.operation]
    assert asked == ["RemoteStartTransaction", "RemoteStopTransaction"]
