"""The power of the charge points of all nodes: each node looks at its own sessions, and asks the others for theirs.

What no answer comes of is named, not guessed. Nothing but figures rests on it.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

import structlog
import trio

from gateway.bridge.bus import Bus, BusDown, NoResponder
from gateway.cluster import subjects, wire
from gateway.domain.fleet_summary import Look, Seen
from gateway.errors import StoreUnavailable
from gateway.session.fleet_power import FleetPower
from gateway.store.nodes import NodeRecord, NodeStore
from gateway.store.reads import Reads

PAGE: Final = 4_000
"""Sessions in one reply: some 100 bytes each at most, while NATS takes a message of 1 MiB."""

MAX_PAGES: Final = 100
"""Replies of one node: many times what a process serves."""

ANSWER_SECONDS: Final = 2.0
"""For all of a node's replies: a person waits for a page."""

SHARED_SECONDS: Final = 1.0
"""For which a look of this node's sessions is good for the nodes that ask: at a full minute all of them do."""

log = structlog.get_logger()


class ClusterPowers:
    """Belongs to the Trio loop."""

    def __init__(self, own: FleetPower, store: NodeStore, reads: Reads, bus: Bus) -> None:
        self._own = own
        self._store = store
        self._reads = reads
        self._bus = bus
        self._nodes: Sequence[NodeRecord] = ()
        self._shared: list[tuple[str, Seen]] = []
        self._shared_at = -math.inf
        self._looking = trio.Lock()

    async def look(self) -> Look:
        """The connected charge points of all nodes. Of one that has just gone from node to node its newest session
        counts. Cancelling is safe."""
        try:
            self._nodes = await self._reads.compute(self._store.nodes)
        except StoreUnavailable:
            pass  # those of the last look
        found = dict((await self._own.look()).seen)
        unanswered: list[int] = []

        async def ask(node: NodeRecord) -> None:
            theirs = await self._theirs(node)
            if theirs is None:
                unanswered.append(node.node)
                return
            for identity, each in theirs:
                if identity not in found or found[identity].epoch < each.epoch:
                    found[identity] = each

        async with trio.open_nursery() as nursery:
            for each in self._nodes:
                if each.node != self._store.node and each.charge_points:
                    nursery.start_soon(ask, each)
        return Look(found, tuple(sorted(unanswered)))

    async def _theirs(self, node: NodeRecord) -> list[tuple[str, Seen]] | None:
        """The sessions of another node; None: it did not say all of them."""
        to, until = (
            subjects.node(self._reads.store_id, node.node, node.incarnation),
            trio.current_time() + ANSWER_SECONDS,
        )
        found: list[tuple[str, Seen]] = []
        try:
            for _ in range(MAX_PAGES):
                asked = wire.encode_request(wire.Look(found[-1][0] if found else ""))
                page = wire.decode_seen(await self._bus.request(to, asked, max(until - trio.current_time(), 0.0)))
                found += page.rows
                if not (page.more and page.rows):
                    return found
        except (BusDown, NoResponder, trio.TooSlowError, wire.Unreadable) as error:
            log.info("a node did not say what its charge points draw", node=node.node, why=repr(error))
        return None

    async def answer(self, asked: wire.Look) -> wire.Seen:
        """The reply to another node's look at this one's sessions."""
        async with self._looking:
            if trio.current_time() - self._shared_at >= SHARED_SECONDS:
                self._shared = sorted((await self._own.look()).seen.items())
                self._shared_at = trio.current_time()
            rows = self._shared
        first = bisect_right(rows, asked.after, key=_identity)
        page = rows[first : first + PAGE]
        return wire.Seen(tuple(page), first + PAGE < len(rows))


def _identity(row: tuple[str, Seen]) -> str:
    return row[0]
