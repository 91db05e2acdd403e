"""The store's reads for transactions' energy and its settlement, as ``gateway.store.api.Store`` has them."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime
from typing import Concatenate, ParamSpec, TypeVar

from gateway.domain.events import StoredEvent
from gateway.domain.records import AttributionRecord
from gateway.store.api import DueEnergy
from gateway.store.postgres import history, queries
from gateway.store.postgres.connection import Connection

P = ParamSpec("P")
R = TypeVar("R")


class EnergyReads(ABC):
    """A part of the store: its event types' codes, and the prefix of its event ids, are known once it is open."""

    _event_ids: str

    @property
    @abstractmethod
    def _codes(self) -> dict[str, int]:
        """Event types to their codes."""

    @abstractmethod
    def _read(self, query: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of a query, in a read transaction."""

    def energy_events(self, transaction_id: str, after: int, limit: int) -> list[StoredEvent]:
        return self._read(history.energy_events, transaction_id, after, limit, self._codes, self._event_ids)

    def due_energies(self, before: datetime, limit: int, beyond: datetime | None = None) -> list[DueEnergy]:
        return self._read(queries.due_energies, before, limit, beyond)

    def event(self, sequence: int) -> StoredEvent | None:
        return self._read(history.event, sequence, self._event_ids)

    def attribution(self, orphan: int) -> AttributionRecord | None:
        return self._read(queries.attribution, orphan)

    def attribution_by_request(self, charge_point: str, request_id: str) -> AttributionRecord | None:
        return self._read(queries.attribution_by_request, charge_point, request_id)
