"""This gateway as one node of several: its parts, introduced to each other and to the store."""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from gateway.bridge.bus import Bus
from gateway.cluster import subjects
from gateway.cluster.calls import RoutedCommands
from gateway.cluster.changes import Changes
from gateway.cluster.desk import CallDesk
from gateway.cluster.head import HeadWatch
from gateway.cluster.membership import BEAT_SECONDS, Membership
from gateway.cluster.powers import ClusterPowers
from gateway.domain.values import Clock
from gateway.feed import Feed
from gateway.journal.journal import Journal
from gateway.session.fleet_power import FleetPower
from gateway.session.router import Router
from gateway.store.nodes import NodeStore
from gateway.store.reads import Reads

Count = Callable[[str, str], None]

LOOK_SECONDS: Final = BEAT_SECONDS
"""Between two looks at which incarnation of its slot this node is: another one is called elsewhere."""


def _nothing() -> None:
    """Do nothing: no job is run here."""


class ClusterNode:
    """Belongs to the Trio loop; ``store`` is not open yet. ``count``: counts what happens, for
    metrics."""

    def __init__(
        self,
        store: NodeStore,
        router: Router,
        reads: Reads,
        journal: Journal,
        feed: Feed,
        bus: Bus,
        clock: Clock,
        count: Count,
    ) -> None:
        self._store = store
        self._reads = reads
        self._bus = bus
        self.on_fleet_changed: Callable[[], None] = _nothing
        """There may be a new job of the fleet, of any node."""
        self.commands = RoutedCommands(router, store, reads, journal, bus, clock, count)
        self.membership = Membership(store, journal, reads, clock, count)
        self._changes = Changes(router, store, reads)
        self.powers = ClusterPowers(FleetPower(router, clock), store, reads, bus)
        self._desk = CallDesk(router, self.powers.answer)
        self._head = HeadWatch(feed, reads, bus)
        self._token: trio.lowlevel.TrioToken | None = None
        journal.on_commit.append(self._head.committed)
        store.on_notices = self._changes.noticed
        store.on_left = self._left

    @property
    def number(self) -> int:
        """The slot."""
        return self._store.node

    def tasks(self) -> tuple[tuple[str, Callable[[], Awaitable[None]]], ...]:
        """The long-lived tasks, once the store is open, by name."""
        return (
            ("cluster-changes", self._changes.run),
            ("cluster-membership", self.membership.run),
            ("cluster-head", self._head.run),
            ("cluster-calls", self._answer_calls),
        )

    def fleet_changed(self) -> None:
        """A job was begun or cancelled here; the node that has the chores is to hear of it. Never waits."""
        self.on_fleet_changed()
        self._bus.ring(subjects.fleet(self._reads.store_id))

    def _heard_of_fleet(self) -> None:
        self.on_fleet_changed()

    def _left(self, nodes: frozenset[int]) -> None:
        """Ring other nodes: the store has left notices for them. From any thread."""
        if self._token is not None:
            try:
                self._token.run_sync_soon(self._ring, nodes)
            except trio.RunFinishedError:
                pass

    def _ring(self, nodes: frozenset[int]) -> None:
        for node in nodes:
            self._bus.ring(subjects.notices(self._reads.store_id, node))

    async def _answer_calls(self) -> None:
        """Answer other nodes and hear their bells, until cancelled."""
        self._token = trio.lowlevel.current_trio_token()
        store_id, node = self._reads.store_id, self._store.node
        self._bus.listen(subjects.notices(store_id, node), self.membership.ring)
        self._bus.listen(subjects.watching(store_id), self._head.others_watch)
        self._bus.listen(subjects.fleet(store_id), self._heard_of_fleet)
        served = ""
        while True:
            subject = subjects.node(store_id, node, self._store.incarnation)
            if subject != served:
                if served:
                    self._bus.withdraw(served)
                self._bus.serve(subject, self._desk.answer)
                served = subject
            await trio.sleep(LOOK_SECONDS)
