"""The gateway as a client finds it: version, contract, capabilities, limits, store (Trio's side)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from attrs import frozen

from gateway.control.nodes import ALONE, NodeList, Nodes
from gateway.errors import StoreUnavailable
from gateway.store.api import Bounds
from gateway.store.reads import Reads

CAPABILITIES: Final = (
    "all-list-filters",
    "caught-up",
    "certificate-filters",
    "counts",
    "error-reasons",
    "failure-limits",
    "firmware-rollouts",
    "fleet-summary",
    "latest-samples",
    "list-filters",
    "list-positions",
    "nodes",
    "own-roles",
    "plain-firmware",
    "reflection-v1",
    "response-compression",
    "security-extension",
    "server-info",
    "snapshots",
)
"""In the order of the alphabet; ``docs/api.md`` says what each is."""


@frozen
class Described:
    """Facts that do not change while the process runs. ``subprotocols`` in the order of preference."""

    version: str
    subprotocols: Sequence[str]


@frozen
class StoreFacts:
    """The store as it was last read; ``store_id`` empty: it was never open."""

    store_id: str
    kind: str
    bounds: Bounds


class ServerFacts:
    """Facts of the running gateway."""

    def __init__(self, reads: Reads, described: Described, started_at: datetime, nodes: Nodes) -> None:
        self.described = described
        self.started_at = started_at
        self.nodes = nodes
        self._reads = reads
        self._known_nodes = NodeList(ALONE, ())
        self._store = StoreFacts("", "", Bounds(0, 0))

    async def store(self) -> StoreFacts:
        """The store, as of now or, where it can't be read, as it was. Cancelling is safe."""
        try:
            bounds = await self._reads.bounds()
            self._store = StoreFacts(self._reads.store_id, self._reads.store_kind, bounds)
        except StoreUnavailable:
            pass
        return self._store

    async def known_nodes(self) -> NodeList:
        """The nodes, as of now or, where the store can't be read, as they were. Cancelling is safe."""
        try:
            self._known_nodes = await self.nodes.all()
        except StoreUnavailable:
            pass
        return self._known_nodes
