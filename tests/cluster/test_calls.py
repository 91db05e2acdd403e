"""Commands, operations and changes at a node for a charge point that another node has."""

import signal
import uuid
from functools import partial

import grpc
import pytest
import trio

from gateway.api.v1 import charge_point_pb2 as points
from gateway.api.v1 import command_pb2 as commands
from gateway.api.v1 import fleet_pb2, fleet_pb2_grpc, operation_pb2_grpc, server_pb2_grpc
from gateway.api.v1 import operation_pb2 as operations
from gateway.api.v1 import server_pb2 as servers
from tests.cluster.site import Site
from tests.endtoend.asking import CONNECTOR, failure, in_thread, trigger
from tests.endtoend.charger import chargers, connect, now
from tests.endtoend.gateway_process import RPC_SECONDS, Gateway, eventually
from tests.endtoend.wire import Closed

pytestmark = pytest.mark.postgres


async def test_any_node_reaches_a_charger(site: Site) -> None:
    """With the charger's answer; and so it is with the NATS server dead, at the node that has it."""
    first, second, third = site.nodes
    first.add_charge_point("CP1")
    async with chargers(second, "CP1") as [charger]:
        for node in site.nodes:
            answer = await in_thread(trigger, node, "CP1")
            assert answer.status == commands.TRIGGER_MESSAGE_STATUS_ACCEPTED
            await charger.is_asked("TriggerMessage")
        assert third.charge_point("CP1").connection.connected
        assert third.charge_point("CP1").connection.node_slot == 2
        stub = server_pb2_grpc.ServerServiceStub(third.channel)
        listed = await in_thread(lambda: stub.ListNodes(servers.ListNodesRequest(), timeout=RPC_SECONDS))
        assert [(each.slot, each.session_count) for each in listed.nodes] == [(1, 0), (2, 1), (3, 0)]
        assert {each.state for each in listed.nodes} == {servers.NODE_STATE_LIVE}
        assert listed.own_slot == 3
        site.nats.kill()
        assert (await in_thread(trigger, second, "CP1")).status == commands.TRIGGER_MESSAGE_STATUS_ACCEPTED
        refused = await in_thread(failure, trigger, third, "CP1", 3.0)
        assert refused[:2] == (grpc.StatusCode.UNAVAILABLE, "NODE_UNREACHABLE")
        site.nats.start()

        def reaches() -> bool:
            try:
                return trigger(third, "CP1").status == commands.TRIGGER_MESSAGE_STATUS_ACCEPTED
            except grpc.RpcError:
                return False

        assert await in_thread(eventually, "NATS is back", reaches, bool)


async def test_an_operation_is_begun_where_the_charger_is(site: Site) -> None:
    first, second, _ = site.nodes
    first.add_charge_point("CP1")
    async with chargers(second, "CP1") as [charger]:
        await charger.status("Preparing")
        request = operations.StartChargingRequest(
            charge_point="CP1", request_id=str(uuid.uuid4()), connector=CONNECTOR, id_tag="TAG"
        )
        stub = operation_pb2_grpc.OperationServiceStub(first.channel)
        begun = await in_thread(lambda: stub.StartCharging(request, timeout=RPC_SECONDS))
        assert begun.operation.charge_point == "CP1"
        assert (await charger.is_asked("RemoteStartTransaction"))["idTag"] == "TAG"


async def test_any_node_shows_the_power_of_all(site: Site) -> None:
    """Of a charger at one node at each of the others, too; a node that hangs is named, and what it has is not there."""
    first, second, _ = site.nodes

    def seen(node: Gateway) -> tuple[float, list[int]]:
        stub = fleet_pb2_grpc.FleetServiceStub(node.channel)
        power = stub.GetFleetSummary(fleet_pb2.GetFleetSummaryRequest(), timeout=RPC_SECONDS).summary.power
        return power.watts, list(power.unanswered_nodes)

    first.add_charge_point("CP1")
    async with chargers(second, "CP1") as [charger]:
        await charger.status("Charging")
        sampled = [{"value": "7400", "measurand": "Power.Active.Import", "unit": "W"}]
        values = [{"timestamp": now(), "sampledValue": sampled}]
        await charger.call("MeterValues", {"connectorId": 1, "meterValue": values})
        for node in site.nodes:
            found = await in_thread(eventually, "it is in the sum", partial(seen, node), lambda said: said[0] > 0)
            assert found == (7400.0, [])
        second.signal(signal.SIGSTOP)
        found = await in_thread(eventually, "it is named", partial(seen, first), lambda said: bool(said[1]))
        assert found == (0.0, [2])
        second.signal(signal.SIGCONT)


async def test_an_operator_at_another_node_disconnects_and_deletes(site: Site) -> None:
    """Within seconds, also while the bus is down."""
    first, second, third = site.nodes
    first.add_charge_point("CP1")
    async with trio.open_nursery() as nursery:
        charger = await connect(nursery, second, "CP1")
        await charger.boot()
        request = points.DisconnectChargePointRequest(identity="CP1")
        await in_thread(lambda: first.points.DisconnectChargePoint(request, timeout=RPC_SECONDS))
        ended = await charger.sees_the_end(5.0)
        assert isinstance(ended, Closed)
        assert ended.args[0] == 1000
        site.nats.kill()
        charger = await connect(nursery, second, "CP1")
        await charger.boot()
        gone = points.DeleteChargePointRequest(identity="CP1")
        await in_thread(lambda: third.points.DeleteChargePoint(gone, timeout=RPC_SECONDS))
        ended = await charger.sees_the_end(8.0)
        assert isinstance(ended, Closed)
        assert ended.args == (1008, "deleted")
    site.nats.start()
