"""The gateways of a service as messages."""

from gateway.api.v1 import server_pb2 as pb
from gateway.control.convert.common import timestamp
from gateway.control.nodes import NodeList, NodeState, state_of
from gateway.store.nodes import NodeRecord

STATES = {
    NodeState.LIVE: pb.NODE_STATE_LIVE,
    NodeState.DRAINING: pb.NODE_STATE_DRAINING,
    NodeState.SILENT: pb.NODE_STATE_SILENT,
    NodeState.ENDED: pb.NODE_STATE_ENDED,
}


def node(record: NodeRecord) -> pb.Node:
    """One of them."""
    return pb.Node(
        slot=record.node,
        name=record.address,
        version=record.version,
        state=STATES[state_of(record)],
        session_count=record.charge_points,
        incarnation=record.incarnation,
        since_time=timestamp(record.taken_at),
        renew_time=timestamp(record.seen_at),
        keeps_chores=record.chores,
    )


def cluster(found: NodeList) -> pb.ClusterInfo:
    """All of them, in short."""
    return pb.ClusterInfo(
        node_count=found.serving, own_slot=found.own, own_name=found.own_name, chores_slot=found.chores
    )
