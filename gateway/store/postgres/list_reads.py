"""The store's lists with filters, and counts, as ``gateway.store.lists.ListStore`` has them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Concatenate, ParamSpec, TypeVar

from gateway.domain.commands import CommandRecord
from gateway.domain.events import StoredEvent
from gateway.domain.fleet_summary import FleetCounts
from gateway.domain.labels import Labels
from gateway.domain.operations import OperationRecord
from gateway.domain.records import ChargePointRecord, ConnectorsRecord, IdTagRecord, TransactionRecord, TransactionState
from gateway.store.filters import TransactionFilter
from gateway.store.lists import ChargePointCounts, Found, Query
from gateway.store.postgres import list_queries, queries
from gateway.store.postgres.connection import Connection

P = ParamSpec("P")
R = TypeVar("R")


class ListReads(ABC):
    """A part of the store."""

    _event_ids: str

    @abstractmethod
    def _read(self, query: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of a query, in a read transaction."""

    def transactions(self, where: TransactionFilter, after: str | None, limit: int) -> list[TransactionRecord]:
        return self._read(queries.transactions, where, after, limit)

    def find_charge_points(self, query: Query, after: str, limit: int, whole: bool = True) -> Found[ChargePointRecord]:
        return self._read(list_queries.charge_points, query, after, limit, whole)

    def find_connectors(self, query: Query, after: str, limit: int) -> Found[ConnectorsRecord]:
        return self._read(list_queries.connectors, query, after, limit)

    def count_charge_points(self, query: Query) -> ChargePointCounts:
        return self._read(list_queries.charge_point_counts, query)

    def ever_known(self, identities: Sequence[str]) -> frozenset[str]:
        return self._read(list_queries.ever_known, identities)

    def find_transactions(self, query: Query, after: str, limit: int) -> Found[TransactionRecord]:
        return self._read(list_queries.transactions, query, after, limit)

    def count_transactions(self, query: Query) -> dict[TransactionState, int]:
        return self._read(list_queries.transaction_counts, query)

    def find_commands(self, query: Query, after: str, limit: int) -> Found[CommandRecord]:
        return self._read(list_queries.commands, query, after, limit)

    def find_operations(self, query: Query, after: str, limit: int) -> Found[OperationRecord]:
        return self._read(list_queries.operations, query, after, limit)

    def find_orphans(self, query: Query, after: str, limit: int) -> Found[StoredEvent]:
        return self._read(list_queries.orphans, query, after, limit, self._event_ids)

    def find_id_tags(self, query: Query, after: str, limit: int) -> Found[IdTagRecord]:
        return self._read(list_queries.id_tags, query, after, limit)

    def fleet_counts(self, labels: Labels, now: datetime, gone_before: datetime) -> FleetCounts:
        return self._read(list_queries.fleet_counts, labels, now, gone_before)
