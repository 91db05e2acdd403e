"""Reads of the operator's tables, as ``gateway.store.api.Store`` has them: idTags, labels, callers, totals, audit,
fleet jobs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Concatenate, ParamSpec, TypeVar

from gateway.domain.audit import AuditEntry
from gateway.domain.callers import Caller
from gateway.domain.fleet import FleetItem, FleetJob, FleetProgress
from gateway.domain.labels import Labels
from gateway.domain.records import IdTagRecord
from gateway.store.filters import AuditFilter
from gateway.store.postgres import audit, callers, fleet_jobs, queries, totals
from gateway.store.postgres.connection import Connection
from gateway.store.totals import Totals

P = ParamSpec("P")
R = TypeVar("R")


class OperatorReads(ABC):
    """A part of the store."""

    @abstractmethod
    def _read(self, query: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of a query, in a read transaction."""

    def id_tag(self, id_tag: str) -> IdTagRecord | None:
        return self._read(queries.id_tag, id_tag)

    def labelled(self, labels: Labels, identities: Sequence[str] | None, limit: int) -> list[str]:
        return self._read(queries.labelled, labels, identities, limit)

    def totals(self) -> Totals:
        return self._read(totals.totals)

    def callers(self) -> list[Caller]:
        return self._read(callers.callers)

    def audit(self, where: AuditFilter, after: tuple[datetime, int] | None, limit: int) -> list[AuditEntry]:
        return self._read(audit.audit, where, after, limit)

    def fleet_job(self, job_id: str) -> FleetJob | None:
        return self._read(fleet_jobs.fleet_job, job_id)

    def fleet_job_by_request(self, request_id: str) -> FleetJob | None:
        return self._read(fleet_jobs.fleet_job_by_request, request_id)

    def fleet_job_cancelled(self, job_id: str) -> bool:
        return self._read(fleet_jobs.fleet_job_cancelled, job_id)

    def fleet_jobs(self, running: bool) -> list[FleetJob]:
        return self._read(fleet_jobs.fleet_jobs, running)

    def fleet_items(self, job_id: str, outcome: str, after: str, limit: int) -> list[FleetItem]:
        return self._read(fleet_jobs.fleet_items, job_id, outcome, after, limit)

    def open_fleet_items(self, job_id: str) -> list[FleetItem]:
        return self._read(fleet_jobs.open_fleet_items, job_id)

    def fleet_progress(self, job_id: str, identities: Sequence[str]) -> list[FleetProgress]:
        return self._read(fleet_jobs.fleet_progress, job_id, identities)

    def selected(self, labels: Labels, identities: Sequence[str] | None, limit: int) -> list[str]:
        return self._read(fleet_jobs.selected, labels, identities, limit)
