"""Reads of the store for tasks of the loop: each in a thread of the journal's, within its deadline."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import cached_property, partial
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from gateway.domain.audit import AuditEntry
from gateway.domain.callers import Caller
from gateway.domain.commands import CommandRecord
from gateway.domain.events import StoredEvent
from gateway.domain.labels import NO_LABELS, Labels
from gateway.domain.operations import OperationRecord
from gateway.domain.records import AttributionRecord, ChargePointRecord, Credential, IdTagRecord, TransactionRecord
from gateway.domain.signing import SigningRecord
from gateway.domain.steering import ChangedWanted, SteeringState
from gateway.domain.values import Registration
from gateway.store.api import (
    AdmissionRecord,
    Bounds,
    DueEnergy,
    Generation,
    OverdueOperation,
    OverdueReservation,
    SteeringRow,
    Store,
    StoredState,
)
from gateway.store.certificates import DueCertificate
from gateway.store.commits import ClockRecord
from gateway.store.filters import ALL_RECORDS, AuditFilter, RecordFilter, TransactionFilter
from gateway.store.totals import Totals

P = ParamSpec("P")
T = TypeVar("T")


class Runner(Protocol):
    """Runs reads in threads: ``gateway.journal``."""

    async def read(self, fn: Callable[..., T], *args: Any) -> T:
        """The result of ``fn(*args)``, run in a thread. Raises ``StoreUnavailable``; cancelling is safe."""
        ...


class Reads:
    """Reads as ``Store`` has them, to be awaited. All raise ``StoreUnavailable``; cancelling is safe."""

    def __init__(self, store: Store, runner: Runner) -> None:
        self._store = store
        self._runner = runner
        self.current_generations: Callable[[], tuple[Generation, ...]] = partial(getattr, store, "generations")
        """As ``generations``, for what is asked with each batch: it calls nothing of Python's."""

    @cached_property
    def store_id(self) -> str:
        """As the store's, which knows it when it is open, and where it never changes; waits for nothing."""
        return self._store.store_id

    @property
    def store_kind(self) -> str:
        """As the store's; waits for nothing."""
        return self._store.kind

    @property
    def generations(self) -> tuple[Generation, ...]:
        """As the store's; waits for nothing."""
        return self._store.generations

    def run(self, fn: Callable[Concatenate[Store, P], T], *args: P.args, **_: P.kwargs) -> Awaitable[T]:
        """The result of ``fn(store, *args)``, which may read several times, in one thread."""
        return self._runner.read(fn, self._store, *args)

    def compute(self, fn: Callable[..., T], *args: Any) -> Awaitable[T]:
        """The result of ``fn(*args)``, which takes too long for the loop, in such a thread."""
        return self._runner.read(fn, *args)

    def mark(self) -> Awaitable[None]:
        return self._runner.read(self._store.mark)

    def size_bytes(self) -> Awaitable[int]:
        return self._runner.read(self._store.size_bytes)

    def totals(self) -> Awaitable[Totals]:
        return self._runner.read(self._store.totals)

    def next_number(self) -> Awaitable[int]:
        return self._runner.read(self._store.next_number)

    # charge points
    def charge_point(self, identity: str) -> Awaitable[ChargePointRecord | None]:
        return self._runner.read(self._store.charge_point, identity)

    def state(self, identity: str, at: datetime) -> Awaitable[StoredState | None]:
        return self._runner.read(self._store.state, identity, at)

    def steering(
        self, state: SteeringState | None, after: str, limit: int, scope: Labels = NO_LABELS
    ) -> Awaitable[list[SteeringRow]]:
        return self._runner.read(self._store.steering, state, after, limit, scope)

    def changed_wanted(self, identity: str, request_id: str) -> Awaitable[ChangedWanted | None]:
        return self._runner.read(self._store.changed_wanted, identity, request_id)

    def charge_points(
        self,
        after: str,
        limit: int,
        connected: bool | None = None,
        registration: Registration | None = None,
        labels: Labels = NO_LABELS,
    ) -> Awaitable[list[ChargePointRecord]]:
        return self._runner.read(self._store.charge_points, after, limit, connected, registration, labels)

    def labelled(self, labels: Labels, identities: Sequence[str] | None, limit: int) -> Awaitable[list[str]]:
        return self._runner.read(self._store.labelled, labels, identities, limit)

    def charge_points_named(self, identities: Sequence[str]) -> Awaitable[list[ChargePointRecord]]:
        return self._runner.read(self._store.charge_points_named, identities)

    def taken(self, identities: Sequence[str]) -> Awaitable[frozenset[str]]:
        return self._runner.read(self._store.taken, identities)

    def credentials(self, identity: str) -> Awaitable[tuple[Credential, ...]]:
        return self._runner.read(self._store.credentials, identity)

    def admission(self, identity: str) -> Awaitable[AdmissionRecord | None]:
        return self._runner.read(self._store.admission, identity)

    def overdue_reservations(self, at: datetime, limit: int) -> Awaitable[list[OverdueReservation]]:
        return self._runner.read(self._store.overdue_reservations, at, limit)

    # transactions
    def transaction(self, transaction_id: str) -> Awaitable[TransactionRecord | None]:
        return self._runner.read(self._store.transaction, transaction_id)

    def transaction_by_number(self, number: int) -> Awaitable[TransactionRecord | None]:
        return self._runner.read(self._store.transaction_by_number, number)

    def transaction_by_start_key(self, charge_point: str, start_key: str) -> Awaitable[TransactionRecord | None]:
        return self._runner.read(self._store.transaction_by_start_key, charge_point, start_key)

    def occupying_transactions_of_tag(self, id_tag: str, limit: int) -> Awaitable[list[TransactionRecord]]:
        return self._runner.read(self._store.occupying_transactions_of_tag, id_tag, limit)

    def transactions(
        self, where: TransactionFilter, after: str | None, limit: int
    ) -> Awaitable[list[TransactionRecord]]:
        return self._runner.read(self._store.transactions, where, after, limit)

    def readings(self, transaction_id: str, after: int, limit: int) -> Awaitable[list[StoredEvent]]:
        return self._runner.read(self._store.readings, transaction_id, after, limit)

    def due_energies(self, before: datetime, limit: int, beyond: datetime | None = None) -> Awaitable[list[DueEnergy]]:
        return self._runner.read(self._store.due_energies, before, limit, beyond)

    def event(self, sequence: int) -> Awaitable[StoredEvent | None]:
        return self._runner.read(self._store.event, sequence)

    def attribution(self, orphan: int) -> Awaitable[AttributionRecord | None]:
        return self._runner.read(self._store.attribution, orphan)

    def attribution_by_request(self, charge_point: str, request_id: str) -> Awaitable[AttributionRecord | None]:
        return self._runner.read(self._store.attribution_by_request, charge_point, request_id)

    # idTags
    def id_tag(self, id_tag: str) -> Awaitable[IdTagRecord | None]:
        return self._runner.read(self._store.id_tag, id_tag)

    # callers
    def callers(self) -> Awaitable[list[Caller]]:
        return self._runner.read(self._store.callers)

    def audit(self, where: AuditFilter, after: tuple[datetime, int] | None, limit: int) -> Awaitable[list[AuditEntry]]:
        return self._runner.read(self._store.audit, where, after, limit)

    # commands
    def command(self, command_id: str) -> Awaitable[CommandRecord | None]:
        return self._runner.read(self._store.command, command_id)

    def command_by_request(self, charge_point: str, request_id: str) -> Awaitable[CommandRecord | None]:
        return self._runner.read(self._store.command_by_request, charge_point, request_id)

    def commands(
        self, charge_point: str | None, after: str | None, limit: int, where: RecordFilter = ALL_RECORDS
    ) -> Awaitable[list[CommandRecord]]:
        return self._runner.read(self._store.commands, charge_point, after, limit, where)

    # operations
    def operation(self, operation_id: str) -> Awaitable[OperationRecord | None]:
        return self._runner.read(self._store.operation, operation_id)

    def operation_by_request(self, charge_point: str, request_id: str) -> Awaitable[OperationRecord | None]:
        return self._runner.read(self._store.operation_by_request, charge_point, request_id)

    def overdue_operations(self, at: datetime, limit: int) -> Awaitable[list[OverdueOperation]]:
        return self._runner.read(self._store.overdue_operations, at, limit)

    # certificates
    def signing(self, signing_id: str) -> Awaitable[SigningRecord | None]:
        return self._runner.read(self._store.signing, signing_id)

    def unsigned(self, after: str, limit: int) -> Awaitable[list[SigningRecord]]:
        return self._runner.read(self._store.unsigned, after, limit)

    def overdue_signings(self, at: datetime, limit: int) -> Awaitable[list[SigningRecord]]:
        return self._runner.read(self._store.overdue_signings, at, limit)

    def due_certificates(self, now: datetime, near: datetime, limit: int) -> Awaitable[list[DueCertificate]]:
        return self._runner.read(self._store.due_certificates, now, near, limit)

    # events
    def bounds(self) -> Awaitable[Bounds]:
        return self._runner.read(self._store.bounds)

    def newest_time(self) -> Awaitable[datetime | None]:
        return self._runner.read(self._store.newest_time)

    def oldest_time(self, now: datetime) -> Awaitable[datetime | None]:
        return self._runner.read(self._store.oldest_time, now)

    def crowded_out(self, count: int) -> Awaitable[tuple[int, int]]:
        return self._runner.read(self._store.crowded_out, count)

    def clock_record(self) -> Awaitable[ClockRecord | None]:
        return self._runner.read(self._store.clock_record)
