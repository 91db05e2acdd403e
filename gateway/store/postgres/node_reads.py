"""The reads of nodes of each other, and what one does for all, as ``gateway.store.nodes.NodeStore`` has it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from gateway.domain.events import StoredEvent
from gateway.domain.records import ChargePointRecord
from gateway.store.nodes import SILENCE_SECONDS, NodeRecord, OwnerRecord
from gateway.store.postgres import nodes
from gateway.store.postgres.connection import Connection

P = ParamSpec("P")
R = TypeVar("R")


class NodeReads(ABC):
    """A part of the store."""

    _event_ids: str

    @property
    @abstractmethod
    def node(self) -> int:
        """The slot of this process."""

    @abstractmethod
    def _ask(self, query: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of a query that is one statement."""

    @abstractmethod
    def _read(self, query: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of a query, in a read transaction."""

    @abstractmethod
    def _act(self, query: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of a statement that changes something, and is a transaction of its own."""

    def nodes(self) -> list[NodeRecord]:
        return self._ask(nodes.all_nodes)

    def owner(self, identity: str) -> OwnerRecord | None:
        return self._ask(nodes.owner, identity)

    def owned(self, after: str, limit: int) -> list[ChargePointRecord]:
        return self._read(nodes.owned, self.node, after, limit)

    def noticed(self, identity: str, position: int) -> list[StoredEvent]:
        return self._ask(nodes.noticed, identity, position, self._event_ids)

    def keep_chores(self) -> bool:
        return self._act(nodes.keep_chores, self.node, SILENCE_SECONDS)

    def leave_chores(self) -> None:
        self._act(nodes.leave_chores, self.node)

    def free_lanes(self, seconds: float) -> int:
        return self._act(nodes.free_lanes, self.node, seconds, SILENCE_SECONDS)
