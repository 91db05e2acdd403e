"""This gateway as a node of several, where the settings say so: what takes the place of what a single one has."""

from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from typing import Protocol

import structlog
import trio
from attrs import evolve

from gateway.app.drain import Draining
from gateway.app.housekeeping import AT_ONCE, Pages
from gateway.app.nats_servers import NO_LIBRARY, nats_address
from gateway.app.settings import Settings
from gateway.app.stores import ServedStore
from gateway.bridge.bus import Bus
from gateway.cluster.node import ClusterNode
from gateway.control.nodes import ALONE, NodeList, Nodes, OnlyNode
from gateway.control.ports import LivePowers
from gateway.control.server_info import Described, ServerFacts
from gateway.domain.drain import DrainStage
from gateway.domain.values import Clock
from gateway.errors import SettingsError
from gateway.feed.feed import Feed
from gateway.journal.journal import Journal
from gateway.observability.metrics import Metrics
from gateway.session.fleet_power import FleetPower
from gateway.session.router import Router
from gateway.store.nodes import NodeStore, own_name
from gateway.store.reads import Reads

log = structlog.get_logger()

DRAIN_SECONDS = 1.0
"""For saying that this node goes; a store that takes longer is not waited for."""

CHORES = frozenset(
    {"retention", "reservations", "operations", "energy", "fleet-jobs", "signings", "certificate-expiry"}
)
"""Background tasks that one node does for all: each works through what the store holds, of all charge points."""


class RunningBus(Bus, Protocol):
    """A bus that has to be run."""

    async def run(self) -> None:
        """Until cancelled."""


class NodeOfMany:
    """The parts of a gateway that is one node of several."""

    def __init__(
        self,
        store: NodeStore,
        bus: RunningBus,
        router: Router,
        reads: Reads,
        journal: Journal,
        feed: Feed,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._reads = reads
        self._bus = bus
        self.node = ClusterNode(store, router, reads, journal, feed, bus, clock, metrics.count)

    async def drain(self) -> None:
        """Say to the others that this node goes: within ``DRAIN_SECONDS``, whatever the store does."""
        with trio.move_on_after(DRAIN_SECONDS):
            await self.node.membership.drain()

    async def all(self) -> NodeList:
        """Return all nodes, for the control interface; whether this one drains as it knows itself."""
        own, draining = self._store.node, self.node.membership.draining
        found = await self._reads.compute(self._store.nodes)
        return NodeList(own, [evolve(each, draining=draining) if each.node == own else each for each in found])

    async def node_of(self, identity: str) -> int:
        """The slot of the node that has a session of the charge point, as the store has it."""
        owner = await self._reads.compute(self._store.owner, identity)
        return ALONE if owner is None else owner.node

    def own_pages(self) -> Pages:
        """The charge points whose connections are this node's to end."""
        return lambda after: self._reads.compute(self._store.owned, after, AT_ONCE)

    def tasks(self) -> tuple[tuple[str, Callable[[], Awaitable[None]]], ...]:
        """The long-lived tasks of a node, by name."""
        return (("cluster-bus", self._bus.run), *self.node.tasks())


def new_node(
    settings: Settings,
    store: ServedStore,
    router: Router,
    reads: Reads,
    journal: Journal,
    feed: Feed,
    clock: Clock,
    metrics: Metrics,
) -> NodeOfMany | None:
    """The node that the settings name; None: this gateway is the only one. Raises ``SettingsError``."""
    if not settings.cluster.node:
        return None
    from gateway.store.postgres import PostgresStore  # with a library that not every gateway has

    assert isinstance(store, PostgresStore), "the settings see to it"
    return NodeOfMany(store, new_bus(settings), router, reads, journal, feed, clock, metrics)


def live_powers(node: NodeOfMany | None, router: Router, clock: Clock) -> LivePowers:
    """Looks at the power of all connected charge points, at whichever node."""
    return FleetPower(router, clock) if node is None else node.node.powers


def server_facts(
    reads: Reads,
    subprotocols: Sequence[str],
    node: NodeOfMany | None,
    router: Router,
    draining: Draining,
    clock: Clock,
) -> ServerFacts:
    """The control interface's facts of this gateway, which begins now, and of those beside it."""
    running, began = version("gateway"), clock()
    nodes: Nodes = node or OnlyNode(
        own_name(),
        running,
        began,
        clock,
        lambda: len(router),
        lambda: draining.stage is not DrainStage.SERVING,
    )
    return ServerFacts(reads, Described(running, subprotocols), began, nodes)


def new_bus(settings: Settings) -> RunningBus:
    """The client of NATS. Raises ``SettingsError``."""
    try:
        from gateway.bridge.nats import NatsClient
    except ImportError as error:
        raise SettingsError(NO_LIBRARY) from error
    if plain := settings.cluster.unencrypted():
        log.warning("commands go to NATS unencrypted, keys among them: use tls://", servers=plain)
    return NatsClient(nats_address(settings.cluster))
