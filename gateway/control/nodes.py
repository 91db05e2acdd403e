"""The gateways of a service, as the operator is shown them: several on one store, or this one alone."""

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

import trio
from attrs import frozen

from gateway.domain.values import Clock
from gateway.store.nodes import SILENCE_SECONDS, NodeRecord

ALONE: Final = 0
"""The slot of a gateway that is the only one on its store."""


class NodeState(StrEnum):
    """The states of a node."""

    LIVE = "live"
    """It commits, and serves."""
    DRAINING = "draining"
    """It commits, and ends its sessions."""
    SILENT = "silent"
    """It has committed nothing for ``SILENCE_SECONDS``, and owns charge points: another node is about to end it."""
    ENDED = "ended"
    """It has stopped, or another node has ended it: it owns nothing."""


def state_of(node: NodeRecord) -> NodeState:
    """The state that a node's record shows."""
    if node.silent_seconds > SILENCE_SECONDS:
        return NodeState.SILENT if node.charge_points else NodeState.ENDED
    return NodeState.DRAINING if node.draining else NodeState.LIVE


@frozen
class NodeList:
    """All nodes, by slot; ``own``: the slot of the one that answers."""

    own: int
    nodes: Sequence[NodeRecord]

    @property
    def serving(self) -> int:
        """The number of those that are there."""
        return sum(state_of(each) in (NodeState.LIVE, NodeState.DRAINING) for each in self.nodes)

    @property
    def own_name(self) -> str:
        """Host and process of the one that answers."""
        return next((each.address for each in self.nodes if each.node == self.own), "")

    @property
    def chores(self) -> int | None:
        """The slot of the one that keeps the chores of the fleet; None: none does at this moment."""
        return next((each.node for each in self.nodes if each.chores), None)


class Nodes(Protocol):
    """The gateways that share a store. Belongs to the Trio loop."""

    async def all(self) -> NodeList:
        """Return them as of now. Raises ``StoreUnavailable``; cancelling is safe."""
        ...

    async def node_of(self, identity: str) -> int:
        """The slot of the node that has a session of the charge point; ``ALONE`` where there is none, or only this one.
        Raises ``StoreUnavailable``; cancelling is safe."""
        ...


@frozen
class OnlyNode:
    """A gateway that is alone on its store. ``sessions``: how many it has; ``draining``: whether it is to end."""

    name: str
    version: str
    started_at: datetime
    clock: Clock
    sessions: Callable[[], int]
    draining: Callable[[], bool]

    async def all(self) -> NodeList:
        """Itself."""
        await trio.lowlevel.checkpoint()
        only = NodeRecord(
            node=ALONE,
            incarnation=0,
            silent_seconds=0.0,
            address=self.name,
            version=self.version,
            draining=self.draining(),
            charge_points=self.sessions(),
            chores=True,
            seen_at=self.clock(),
            taken_at=self.started_at,
        )
        return NodeList(ALONE, (only,))

    async def node_of(self, identity: str) -> int:
        """No other has any."""
        await trio.lowlevel.checkpoint()
        return ALONE
