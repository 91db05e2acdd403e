"""ListNodes: the gateways that work as one, by their states, and the short form in GetServerInfo."""

from datetime import timedelta

import grpc
import pytest

from gateway.api.v1 import charge_point_pb2
from gateway.api.v1 import server_pb2 as api
from gateway.control.nodes import ALONE, NodeList, NodeState, OnlyNode, state_of
from gateway.domain.events import ChargePointDisconnected
from gateway.store.nodes import SILENCE_SECONDS, NodeRecord
from tests.control.fakes import NOW


def a_node(slot=1, silent=0.5, *, draining=False, sessions=7, chores=False, taken=NOW):
    return NodeRecord(
        node=slot,
        incarnation=3,
        silent_seconds=silent,
        address=f"gw{slot}, process 812",
        version="1.2.3",
        draining=draining,
        charge_points=sessions,
        chores=chores,
        seen_at=NOW + timedelta(minutes=1),
        taken_at=taken,
    )


@pytest.mark.parametrize(
    ("node", "state"),
    [
        (a_node(), NodeState.LIVE),
        (a_node(silent=SILENCE_SECONDS), NodeState.LIVE),
        (a_node(draining=True), NodeState.DRAINING),
        (a_node(silent=SILENCE_SECONDS + 0.1), NodeState.SILENT),
        (a_node(silent=SILENCE_SECONDS + 0.1, draining=True), NodeState.SILENT),
        (a_node(silent=SILENCE_SECONDS + 0.1, sessions=0), NodeState.ENDED),
        (a_node(silent=99_999, sessions=0, draining=True), NodeState.ENDED),
    ],
)
def test_a_node_is_in_the_state_that_its_lease_and_its_sessions_show(node, state):
    """One that others still have to end is not called ended."""
    assert state_of(node) is state


async def test_all_nodes_are_listed_with_who_answers(gateway):
    """Each with its sessions, its lease and its chores."""
    nodes = (
        a_node(1),
        a_node(2, draining=True),
        a_node(3, chores=True),
        a_node(4, silent=11, sessions=2, taken=None),
        a_node(9, silent=999, sessions=0),
    )
    gateway.nodes.nodes, gateway.nodes.own = nodes, 3
    found = await gateway.call(gateway.client.server.ListNodes, api.ListNodesRequest())
    assert found.own_slot == 3
    assert [(each.slot, each.state) for each in found.nodes] == [
        (1, api.NODE_STATE_LIVE),
        (2, api.NODE_STATE_DRAINING),
        (3, api.NODE_STATE_LIVE),
        (4, api.NODE_STATE_SILENT),
        (9, api.NODE_STATE_ENDED),
    ]
    first, silent = found.nodes[0], found.nodes[3]
    assert (first.name, first.version, first.session_count, first.incarnation) == ("gw1, process 812", "1.2.3", 7, 3)
    assert first.since_time.ToDatetime() == NOW.replace(tzinfo=None)
    assert first.renew_time.ToDatetime() == (NOW + timedelta(minutes=1)).replace(tzinfo=None)
    assert not silent.HasField("since_time")
    assert [each.slot for each in found.nodes if each.keeps_chores] == [3]
    cluster = (await gateway.call(gateway.client.server.GetServerInfo, api.GetServerInfoRequest())).server.cluster
    assert (cluster.node_count, cluster.own_slot, cluster.own_name, cluster.chores_slot) == (
        3,
        3,
        "gw3, process 812",
        3,
    )


async def test_nodes_that_can_not_be_read_are_unavailable_and_shown_as_they_were(gateway):
    """The list says so; what a client has reached it learns all the same."""
    gateway.nodes.nodes = (a_node(1), a_node(2))
    before = (await gateway.call(gateway.client.server.GetServerInfo, api.GetServerInfoRequest())).server.cluster
    gateway.nodes.failing = True
    after = (await gateway.call(gateway.client.server.GetServerInfo, api.GetServerInfoRequest())).server.cluster
    assert before == after
    assert (after.node_count, after.HasField("chores_slot")) == (2, False)
    with pytest.raises(grpc.RpcError) as caught:
        await gateway.call(gateway.client.server.ListNodes, api.ListNodesRequest())
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_gateway_alone_is_the_only_node():
    """Of the slot that stands for it, with all that it knows of itself."""
    draining = []
    alone = OnlyNode("gw, process 1", "1.2.3", NOW, lambda: NOW + timedelta(hours=1), lambda: 5, lambda: bool(draining))
    found = await alone.all()
    assert (found.own, found.own_name, found.serving, found.chores) == (ALONE, "gw, process 1", 1, ALONE)
    (only,) = found.nodes
    assert (only.charge_points, only.seen_at - only.taken_at) == (5, timedelta(hours=1))
    assert state_of(only) is NodeState.LIVE
    draining.append(True)
    assert state_of((await alone.all()).nodes[0]) is NodeState.DRAINING
    assert await alone.node_of("CP1") == ALONE


def test_a_list_without_the_one_that_answers_has_no_name_for_it():
    """It has not taken its slot yet."""
    assert (NodeList(2, (a_node(1),)).own_name, NodeList(2, ()).chores) == ("", None)


async def test_a_charge_point_says_at_which_node_it_is(gateway):
    """While it is connected; one that is away is at none, though its row may not have been settled."""
    await gateway.charge_point("CP1")
    epoch = await gateway.charge_point("CP2")
    ended = ChargePointDisconnected("closed", "peer", 1000)
    await gateway.append("CP2", epoch, ended)
    gateway.nodes.has = {"CP1": 3, "CP2": 3}
    slots = []
    for identity in ("CP1", "CP2"):
        request = charge_point_pb2.GetChargePointRequest(identity=identity)
        found = await gateway.call(gateway.client.charge_points.GetChargePoint, request)
        slots.append((found.charge_point.connection.connected, found.charge_point.connection.node_slot))
    assert slots == [(True, 3), (False, 0)]
