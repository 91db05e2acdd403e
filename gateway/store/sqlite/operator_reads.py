"""The store's reads of the operator's tables, as ``gateway.store.api.Store`` has them: idTags, labels and callers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, TypeVar

import apsw

from gateway.domain.callers import Caller
from gateway.domain.labels import Labels
from gateway.domain.records import IdTagRecord
from gateway.store.sqlite import callers, queries

P = ParamSpec("P")
R = TypeVar("R")


class OperatorReads(ABC):
    """A part of the store."""

    @abstractmethod
    def _read(self, query: Callable[Concatenate[apsw.Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of a query, in a read transaction."""

    def id_tag(self, id_tag: str) -> IdTagRecord | None:
        return self._read(queries.id_tag, id_tag)

    def id_tags(self, after: str, limit: int) -> list[IdTagRecord]:
        return self._read(queries.id_tags, after, limit)

    def labelled(self, labels: Labels, identities: Sequence[str] | None, limit: int) -> list[str]:
        return self._read(queries.labelled, labels, identities, limit)

    def callers(self) -> list[Caller]:
        return self._read(callers.callers)
